"""How fast the frame, the start and the game are, each next to the best there is for it.

``python3 -m tests.benchmark`` prints a table, ``--json`` the numbers. All is measured in one run,
ours and its peers in turns; a ratio is the median of the ratios of neighbours, so that what else
the machine does falls on both. Where pyspiel (OpenSpiel) can be imported, it walks the games, too.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.util
import json
import multiprocessing.connection
import os
import socket
import statistics
import subprocess
import sys
import time

from protocol import HEADER, Connection
from tests.terminal import PROMPT, ROOT, Pipes
from tictactoe import Game

SIZES = (16, 4096)
MESSAGES = 500  # in one measurement
TURNS = 100_000


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

    def ping(self, count):
        """Send so many messages, each sent back before the next."""
        self.transfer(self, count)

    def answer(self):
        """Send back all that comes, until nothing more does."""
        send, receive, message = self.send, self.receive, self.message
        with contextlib.suppress(EOFError, OSError):
            while True:
                receive()
                send(message)


class Bare(Ours):
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
        if not Asyncio.loop:
            Asyncio.loop = asyncio.new_event_loop()
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

    def ping(self, count):
        self.transfer(self, count)

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
    for measure in measures.values():
        measure()
    values = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            values[name].append(measure())
    mine = next(iter(values.values()))
    return {
        name: {
            "median": statistics.median(its),
            "ratio": statistics.median(one / other for one, other in zip(mine, its)),
        }
        for name, its in values.items()
    }


def transfers(size, rounds):
    """Compare the processor time, in s, of a message sent and received in one process."""
    with contextlib.ExitStack() as stack:

        def measure_of(kind):
            with socket.create_server(("127.0.0.1", 0)) as listener:
                near = stack.enter_context(socket.create_connection(listener.getsockname()))
                far = stack.enter_context(listener.accept()[0])
            near, far = kind(near, size), kind(far, size)

            def measure():
                start = time.process_time()
                near.transfer(far, MESSAGES)
                return (time.process_time() - start) / MESSAGES

            return measure

        return compare(rounds, {name: measure_of(kind) for name, kind in KINDS.items()})


def processors():
    """Return a processor for this process and the others for the rest, or the same for both."""
    if not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) == 1:
        return set(), set()
    first, *others = sorted(os.sched_getaffinity(0))
    return {first}, set(others)


def round_trips(size, rounds):
    """Compare the time, in s, in which a message goes to another process and comes back.

    Where it can be had, that process is kept on another processor: on the same one, or now here
    and now there as the system pleases, one peer would take four times as long as the next.
    """
    here, there = processors()
    with contextlib.ExitStack() as stack:
        if here != there:
            stack.callback(os.sched_setaffinity, 0, here | there)
            os.sched_setaffinity(0, here)

        def measure_of(name):
            with socket.create_server(("127.0.0.1", 0)) as listener:
                port = str(listener.getsockname()[1])
                command = (
                    sys.executable,
                    "-m",
                    "tests.benchmark",
                    "--answer",
                    name,
                    port,
                    str(size),
                )
                process = subprocess.Popen(command, cwd=ROOT)
                if here != there:
                    os.sched_setaffinity(process.pid, there)
                stack.callback(process.wait)
                stack.callback(process.terminate)
                end = KINDS[name](stack.enter_context(listener.accept()[0]), size)

            def measure():
                start = time.perf_counter()
                end.ping(MESSAGES)
                return (time.perf_counter() - start) / MESSAGES

            return measure

        return compare(rounds, {name: measure_of(name) for name in KINDS})


def starts(rounds):
    """Compare the time, in s, from a program's start to its first line."""
    # The modules are compiled before, as they are for everyone from the second start on.
    environment = {key: value for key, value in os.environ.items() if "BYTECODE" not in key}
    bare = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s, flush=True); "
    bare += "s.accept()"

    def measure_of(*command):
        def measure():
            start = time.perf_counter()
            process = subprocess.Popen(
                (sys.executable, *command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment,
                cwd=ROOT,
            )
            process.stdout.readline()
            took = time.perf_counter() - start
            process.kill()
            process.communicate()
            return took

        return measure

    return compare(
        rounds, {"Ours": measure_of("server.py", "--port", "0"), "Bare": measure_of("-c", bare)}
    )


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


def walk_in_place(state):
    """Do the same in OpenSpiel's interface, moves made and taken back in one state."""
    if state.is_terminal():
        return 1
    player, count = state.current_player(), 0
    for action in state.legal_actions():
        state.apply_action(action)
        count += walk_in_place(state)
        state.undo_action(player, action)
    return count


def walks(rounds):
    """Compare the time, in s, to walk all 255,168 games."""

    def measure_of(walk_from, start):
        def measure():
            begin = time.perf_counter()
            assert walk_from(start()) == 255168
            return time.perf_counter() - begin

        return measure

    measures = {"Ours": measure_of(walk, Game)}
    if importlib.util.find_spec("pyspiel"):
        pyspiel = importlib.import_module("pyspiel")
        start = pyspiel.load_game("tic_tac_toe").new_initial_state
        measures["OpenSpiel, child()"] = measure_of(walk_children, start)
        measures["OpenSpiel, undo_action()"] = measure_of(walk_in_place, start)
    return compare(rounds, measures)


def memory(turns):
    """Return the growth of each program's resident memory, in bytes, over so many turns.

    Of twelve turns, ten are a game that is played to a draw.
    """
    lines = ("hello", "play", *"513746829", "Grüße")
    server = Pipes(sys.executable, "server.py", "--port", "0", PYTHONUTF8="1")
    port = server.until(b"\n").decode().rpartition(":")[2].strip()
    client = Pipes(sys.executable, "client.py", "--port", port, PYTHONUTF8="1")
    ends = {"client": client, "server": server}
    client.until(PROMPT.encode())

    def resident(end):
        command = ("ps", "-o", "rss=", "-p", str(end.process.pid))
        return int(subprocess.run(command, capture_output=True, check=True).stdout) * 1024

    before = {name: resident(end) for name, end in ends.items()}
    for drawn in range(1, turns // len(lines) + 1):
        client.write("".join(f"{line}\n" for line in lines[::2]).encode())
        server.write("".join(f"{line}\n" for line in lines[1::2]).encode())
        client.until(b"Gr\xc3\xbc\xc3\x9fe\n" + PROMPT.encode())
        server.until(f"drawn {drawn}\n{PROMPT}Waiting for the client...\n".encode())
    growth = {name: resident(end) - before[name] for name, end in ends.items()}
    for end in ends.values():
        end.end()
    return growth


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    parser.add_argument("--rounds", type=int, default=60, help="measurements of each")
    parser.add_argument("--answer", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.answer:
        name, port, size = arguments.answer
        KINDS[name](socket.create_connection(("127.0.0.1", int(port))), int(size)).answer()
        return
    rounds = arguments.rounds
    results = {}
    for size in SIZES:
        results[f"processor time of a message of {size} bytes"] = transfers(size, rounds)
    for size in SIZES:
        results[f"round trip of {size} bytes between processes"] = round_trips(size, rounds)
    results["start of server.py to its first line"] = starts(rounds)
    results["all 255,168 games"] = walks(max(rounds // 6, 3))
    growth = memory(TURNS)
    if arguments.json:
        print(json.dumps({"seconds": results, "memory growth in bytes": growth}, indent=2))
        return
    print(f"{sys.implementation.name} {sys.version.partition(' ')[0]}, {sys.platform}")
    print(f"\n{'':50}{'median':>12}{'Ours to it':>12}")
    for title, rows in results.items():
        for name, row in rows.items():
            line = f"{title if name == 'Ours' else '':50}{row['median'] * 1e6:>9.1f} µs"
            print(f"{line}{row['ratio']:>12.2f}  {name}")
    for name, grown in growth.items():
        print(
            f"{name + ' memory after ' + format(TURNS, ',') + ' turns':50}{grown / 1024:>+8.0f} KiB"
        )


if __name__ == "__main__":
    main()
