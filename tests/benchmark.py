"""How fast a message and a whole turn are, each next to the best there is for it.

``python3 -m tests.benchmark`` prints a table. Both are measured in one run and in turns; a ratio is
the median of the ratios of neighbors, so that what else the machine does falls on both.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing.connection
import os
import resource
import socket
import statistics
import subprocess
import sys
import time

from protocol import Connection
from tests.programs import ENVIRONMENT, PROMPT, ROOT

MESSAGES = 500  # in one measurement
TURNS = 4000  # in one measurement

# The shortest honest pair: the same frame and the same turns, input() and print().
PAIR = """
import socket, struct, sys

def send(text):
    data = text.encode()
    sock.sendall(struct.pack(">I", len(data)) + data)

def receive():
    header = stream.read(4) or sys.exit()
    return stream.read(*struct.unpack(">I", header)).decode()
"""
PAIR_SERVER = f"""{PAIR}
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
sock, _ = listener.accept()
stream = sock.makefile("rb")
while True:
    print("Client:", receive(), flush=True)
    send(input("{PROMPT}"))
"""
PAIR_CLIENT = f"""{PAIR}
sock = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
stream = sock.makefile("rb")
while True:
    send(input("{PROMPT}"))
    print("Server:", receive(), flush=True)
"""


def ours(near, far, size):
    """Return what sends so many messages and receives each before the next: our text."""
    send, receive, text = Connection(near).send, Connection(far).receive, "x" * size

    def exchange(count):
        for _ in range(count):
            send(text)
            receive()

    return exchange


def by_multiprocessing(near, far, size):
    """Do the same with bytes and multiprocessing.connection, whose frame is ours."""
    near, far = (multiprocessing.connection.Connection(os.dup(s.fileno())) for s in (near, far))
    message = b"x" * size

    def exchange(count):
        for _ in range(count):
            near.send_bytes(message)
            far.recv_bytes()

    return exchange


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


def timed(act):
    """Return a function that measures the processor time of one of MESSAGES acts, in seconds."""

    def measure():
        start = time.process_time()
        act(MESSAGES)
        return (time.process_time() - start) / MESSAGES

    return measure


def pair(stack):
    """Return two connected TCP sockets."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = stack.enter_context(socket.create_connection(listener.getsockname()))
        return near, stack.enter_context(listener.accept()[0])


def transfers(stack, size):
    """Return what measures the processor time of a message sent and received in one process."""
    return {
        "ours": timed(ours(*pair(stack), size)),
        "multiprocessing.connection": timed(by_multiprocessing(*pair(stack), size)),
    }


def run_pair(server, client, turns):
    """Return the processor time that two programs take for what waits in a pipe, in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    options = {"stdin": subprocess.PIPE, "cwd": ROOT, "env": ENVIRONMENT}
    first = subprocess.Popen([sys.executable, *server], stdout=subprocess.PIPE, **options)
    port = first.stdout.readline().decode().strip().rpartition(":")[2]
    options.update(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    second = subprocess.Popen([sys.executable, *client, port], **options)
    # Left to the system, both can share a processor or not, which takes longer.
    for program, processor in zip((first, second), itertools.cycle(os.sched_getaffinity(0))):
        os.sched_setaffinity(program.pid, {processor})
        program.stdin.write(b"hello\n" * turns)
        program.stdin.close()
    first.stdout.read(), first.wait(), second.wait()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def whole_turns(_stack):
    """Return what measures the processor time of a turn in both programs, without their start."""
    pairs = {
        "ours": (["server.py", "--port", "0"], ["client.py", "--port"]),
        "the shortest pair": (["-c", PAIR_SERVER], ["-c", PAIR_CLIENT]),
    }
    return {
        name: lambda pair=pair: (run_pair(*pair, TURNS) - run_pair(*pair, 1)) / (2 * TURNS)
        for name, pair in pairs.items()
    }


def main():
    print(f"{sys.implementation.name} {sys.version.partition(' ')[0]}, {sys.platform}")
    print(f"\n{'':50}{'median':>12}{'ours to it':>12}")
    for title, measured, rounds, *size in (
        *(("processor time, a message of {} bytes", transfers, 60, size) for size in (16, 4096)),
        ("processor time, a turn in both programs", whole_turns, 20),
    ):
        with contextlib.ExitStack() as stack:
            rows = compare(rounds, measured(stack, *size))
        for name, (median, ratio) in rows.items():
            label = title.format(*size) if name == "ours" else ""
            print(f"{label:50}{median * 1e6:>9.1f} µs{ratio:>12.2f}  {name}")


if __name__ == "__main__":
    main()
