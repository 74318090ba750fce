"""How fast the frame, a turn and the game are, each next to the best there is for it.

``python3 -m tests.benchmark`` prints a table. All is measured in one run, ours and its peers in
turns; a ratio is the median of the ratios of neighbors, so that what else the machine does falls
on both. Where pyspiel (OpenSpiel) can be imported, it walks the games, too.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.util
import multiprocessing.connection
import os
import resource
import select
import socket
import statistics
import subprocess
import sys
import time

from protocol import HEADER, Connection
from tests.programs import ENVIRONMENT, PROMPT, ROOT, Pipes
from tictactoe import Game

SIZES = (16, 4096)
MESSAGES = 500  # in one measurement
TURNS = 4000  # in one measurement
MEMORY_TURNS = 100_000

# The shortest honest pair: the same frame and the same turns, input() and print().
PAIR = """
import socket, struct, sys

def send(text):
    data = text.encode()
    sock.sendall(struct.pack(">I", len(data)) + data)

def read(size):
    data = b""
    while len(data) < size:
        more = sock.recv(size - len(data))
        if not more:
            sys.exit()
        data += more
    return data

def receive():
    (size,) = struct.unpack(">I", read(4))
    return read(size).decode()
"""
PAIR_SERVER = f"""{PAIR}
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
sock, _ = listener.accept()
while True:
    print("Client:", receive(), flush=True)
    send(input("{PROMPT}"))
"""
PAIR_CLIENT = f"""{PAIR}
sock = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
while True:
    send(input("{PROMPT}"))
    print("Server:", receive(), flush=True)
"""


class Ours:
    """Text, through Connection."""

    def __init__(self, sock, size):
        connection, self.message = Connection(sock), "x" * size
        self.send, self.receive = connection.send, connection.receive

    def transfer(self, far, count):
        """Send so many messages, each received at the far end before the next."""
        send, receive, message = self.send, far.receive, self.message
        for _ in range(count):
            send(message)
            receive()

    def answer(self):
        """Send back all that comes, until nothing more does."""
        send, receive, message = self.send, self.receive, self.message
        with contextlib.suppress(EOFError, OSError):
            while True:
                receive()
                send(message)


class Bare:
    """The same bytes, through sendall and recv alone, the latter until all of them are there."""

    def __init__(self, sock, size):
        self.message = HEADER.pack(size) + b"x" * size
        self.send, self.recv = sock.sendall, sock.recv

    def transfer(self, far, count):
        # Without a call in between, so that it is as bare as it can be.
        send, recv, message, size = self.send, far.recv, self.message, len(self.message)
        for _ in range(count):
            send(message)
            received = recv(size)
            while len(received) < size:
                received += recv(size - len(received))

    def answer(self):
        send, recv, message, size = self.send, self.recv, self.message, len(self.message)
        with contextlib.suppress(OSError):
            while received := recv(size):
                while len(received) < size:
                    received += recv(size - len(received))
                send(message)


class Multiprocessing(Ours):
    """The payload in the same frame, through multiprocessing.connection."""

    def __init__(self, sock, size):
        self.message = b"x" * size
        # The descriptor is taken over; the socket stays open in the caller's hands.
        self.connection = multiprocessing.connection.Connection(os.dup(sock.fileno()))
        self.send, self.receive = self.connection.send_bytes, self.connection.recv_bytes


class Asyncio:
    """The payload in the same frame, through asyncio's streams."""

    loop = None

    def __init__(self, sock, size):
        Asyncio.loop = self.loop or asyncio.new_event_loop()
        self.message = b"x" * size
        opening = asyncio.open_connection(sock=sock.dup())
        self.reader, self.writer = self.loop.run_until_complete(opening)

    async def send(self):
        self.writer.write(HEADER.pack(len(self.message)) + self.message)
        await self.writer.drain()

    async def receive(self):
        (size,) = HEADER.unpack(await self.reader.readexactly(HEADER.size))
        return await self.reader.readexactly(size)

    def transfer(self, far, count):
        async def transfer():
            for _ in range(count):
                await self.send()
                await far.receive()

        self.loop.run_until_complete(transfer())

    def answer(self):
        async def answer():
            with contextlib.suppress(EOFError, OSError):
                while True:
                    await self.receive()
                    await self.send()

        self.loop.run_until_complete(answer())


KINDS = {kind.__name__: kind for kind in (Ours, Bare, Multiprocessing, Asyncio)}


def compare(rounds, measures):
    """Measure in turns; return each one's median and the first one's median ratio to each other."""
    values = {name: [] for name in measures}
    for measured in range(rounds + 1):
        for name, measure in measures.items():
            value = measure()
            if measured:  # The first round only warms up.
                values[name].append(value)
    mine = next(iter(values.values()))
    return {
        name: (statistics.median(its), statistics.median(x / y for x, y in zip(mine, its)))
        for name, its in values.items()
    }


def timed(clock, count, act, *arguments):
    """Return a function that measures the time on a clock that an act takes, one of ``count``."""

    def measure():
        start = clock()
        act(*arguments)
        return (clock() - start) / count

    return measure


def transfers(stack, size):
    """Return what measures the processor time of a message sent and received in one process."""
    measures = {}
    for name, kind in KINDS.items():
        with socket.create_server(("127.0.0.1", 0)) as listener:
            near = stack.enter_context(socket.create_connection(listener.getsockname()))
            far = stack.enter_context(listener.accept()[0])
        near, far = kind(near, size), kind(far, size)
        measures[name] = timed(time.process_time, MESSAGES, near.transfer, far, MESSAGES)
    return measures


def processors():
    """Return a processor for this process and the others for the rest, or the same for both."""
    here, *others = sorted(os.sched_getaffinity(0))
    return {here}, set(others or [here])


def round_trips(stack, size):
    """Return what measures the time in which a message goes to another process and comes back.

    That process is kept on another processor: on the same one, or now here and now there as the
    system pleases, one peer would take four times as long as the next.
    """
    here, there = processors()
    stack.callback(os.sched_setaffinity, 0, here | there)
    os.sched_setaffinity(0, here)
    measures = {}
    for name, kind in KINDS.items():
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = str(listener.getsockname()[1])
            command = [sys.executable, "-m", "tests.benchmark", "--answer", name, port, str(size)]
            process = subprocess.Popen(command, cwd=ROOT)
            os.sched_setaffinity(process.pid, there)
            stack.callback(process.wait)
            stack.callback(process.terminate)
            end = kind(stack.enter_context(listener.accept()[0]), size)
        measures[name] = timed(time.perf_counter, MESSAGES, end.transfer, end, MESSAGES)
    return measures


def run_pair(server, client, turns):
    """Let two programs, each on a processor of its own, take turns with what waits in a pipe.

    Return the processor time of both, in seconds.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "cwd": ROOT, "env": ENVIRONMENT}
    first = subprocess.Popen([sys.executable, *server], **pipes)
    port = first.stdout.readline().decode().strip().rpartition(":")[2]
    second = subprocess.Popen([sys.executable, *client, port], stderr=subprocess.DEVNULL, **pipes)
    for program, processor in zip((first, second), processors()):
        os.sched_setaffinity(program.pid, processor)
        program.stdin.write(b"hello\n" * turns)
        program.stdin.close()
    open_outputs = [first.stdout, second.stdout]
    while open_outputs:
        for output in select.select(open_outputs, [], [])[0]:
            if not os.read(output.fileno(), 1 << 16):
                output.close()
                open_outputs.remove(output)
    first.wait(), second.wait()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def whole_turns(_stack):
    """Return what measures the processor time of a turn in both programs, without their start."""

    def measure_of(*pair):
        return lambda: (run_pair(*pair, TURNS) - run_pair(*pair, 1)) / (2 * TURNS)

    return {
        "Ours": measure_of(["server.py", "--port", "0"], ["client.py", "--port"]),
        "the shortest pair": measure_of(["-c", PAIR_SERVER], ["-c", PAIR_CLIENT]),
    }


def walk(game):
    """Return how many games go on from this one, walked through the public interface."""
    if game.is_over:
        return 1
    return sum(walk(game.play(square)) for square in game.legal_moves)


def walk_children(state):
    """Do the same in OpenSpiel's interface, a new state for each move, as ours."""
    if state.is_terminal():
        return 1
    return sum(walk_children(state.child(action)) for action in state.legal_actions())


def walks(_stack):
    """Return what measures the time in which all 255,168 games are walked."""
    measures = {"Ours": timed(time.perf_counter, 1, walk, Game())}
    if importlib.util.find_spec("pyspiel"):
        start = importlib.import_module("pyspiel").load_game("tic_tac_toe").new_initial_state()
        child = timed(time.perf_counter, 1, walk_children, start)
        measures["OpenSpiel, child()"] = child
    return measures


def memory_growth():
    """Return the growth of each program's resident memory, in KiB, over so many turns.

    Of twelve turns, ten are a game that is played to a draw.
    """
    lines = ("hello", "play", *"513746829", "bye")
    server = Pipes(sys.executable, "server.py", "--port", "0")
    server.until("Listening on ")
    client = Pipes(sys.executable, "client.py", "--port", server.until("\n").rpartition(":")[2])
    ends = {"client": client, "server": server}

    def resident(end):
        command = ["ps", "-o", "rss=", "-p", str(end.process.pid)]
        return int(subprocess.run(command, capture_output=True).stdout)

    for drawn in range(1, MEMORY_TURNS // len(lines) + 1):
        client.write("".join(f"{line}\n" for line in lines[::2]))
        server.write("".join(f"{line}\n" for line in lines[1::2]))
        client.until("Server: bye\n")
        server.until(f"drawn {drawn}\n")
        for end in ends.values():
            end.begin()  # Or all that was shown would be kept here.
        if drawn == 1:
            before = {name: resident(end) for name, end in ends.items()}
    growth = {name: resident(end) - before[name] for name, end in ends.items()}
    for end in ends.values():
        end.end()
    return growth


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=60, help="measurements of each")
    parser.add_argument("--answer", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.answer:
        name, port, size = arguments.answer
        KINDS[name](socket.create_connection(("127.0.0.1", int(port))), int(size)).answer()
        return
    print(f"{sys.implementation.name} {sys.version.partition(' ')[0]}, {sys.platform}")
    print(f"\n{'':50}{'median':>12}{'ours to it':>12}")
    rounds = arguments.rounds
    for title, measured, times, *size in (
        *(("processor time, a message of {} bytes", transfers, rounds, size) for size in SIZES),
        *(("round trip, a message of {} bytes", round_trips, rounds, size) for size in SIZES),
        ("processor time, a turn in both programs", whole_turns, rounds // 3),
        ("all 255,168 games", walks, rounds // 6),
    ):
        with contextlib.ExitStack() as stack:
            rows = compare(max(times, 3), measured(stack, *size))
        for name, (median, ratio) in rows.items():
            label = title.format(*size) if name == "Ours" else ""
            print(f"{label:50}{median * 1e6:>9.1f} µs{ratio:>12.2f}  {name}")
    for name, grown in memory_growth().items():
        print(f"{f'{name}: memory after {MEMORY_TURNS:,} turns':50}{grown:>+8} KiB")


if __name__ == "__main__":
    main()
