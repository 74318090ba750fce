"""How fast a message and a whole turn are, each next to the best there is for it.

``python3 -m tests.benchmark`` prints processor times, and the ratio of ours to the peer's. Each
round measures both, so that what else the machine does falls on both; the figures are medians.
"""

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


def message_seconds(send, receive, message):
    """Return the processor time of a message, sent and received in one process."""
    start = time.process_time()
    for _ in range(MESSAGES):
        send(message)
        receive()
    return (time.process_time() - start) / MESSAGES


def turn_seconds(server, client):
    """Return the processor time of a turn in both programs, without their start."""
    return (pair_seconds(server, client, TURNS) - pair_seconds(server, client, 1)) / (2 * TURNS)


def pair_seconds(server, client, turns):
    """Return the processor time that two programs take for what waits in a pipe."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    options = {"stdin": subprocess.PIPE, "cwd": ROOT, "env": ENVIRONMENT}
    first = subprocess.Popen([sys.executable, *server], stdout=subprocess.PIPE, **options)
    port = first.stdout.readline().decode().strip().rpartition(":")[2]
    options.update(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    second = subprocess.Popen([sys.executable, *client, port], **options)
    # Left to the system, both can share a processor or not, which takes longer.
    processors = sorted(os.sched_getaffinity(0))
    for program, processor in ((first, processors[0]), (second, processors[-1])):
        os.sched_setaffinity(program.pid, {processor})
        program.stdin.write(b"hello\n" * turns)
        program.stdin.close()
    first.stdout.read(), first.wait(), second.wait()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def connect():
    """Return two connected TCP sockets."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return socket.create_connection(listener.getsockname()), listener.accept()[0]


def compare(title, rounds, measure, mine, its):
    """Measure both in turns, and print a row."""
    measure(*mine), measure(*its)  # This only warms up.
    times = [(measure(*mine), measure(*its)) for _ in range(rounds)]
    medians = [statistics.median(column) * 1e6 for column in zip(*times)]
    ratio = statistics.median(own / other for own, other in times)
    print(f"{title:45}{medians[0]:8.1f} µs{medians[1]:8.1f} µs{ratio:8.2f}")


def main():
    print(f"{sys.implementation.name} {sys.version.partition(' ')[0]}, {sys.platform}")
    print(f"\n{'':45}{'ours':>11}{'the peer':>11}{'ratio':>8}")
    near, far = map(Connection, connect())
    its_near, its_far = (multiprocessing.connection.Connection(s.detach()) for s in connect())
    for size in (16, 4096):
        mine = near.send, far.receive, "x" * size
        its = its_near.send_bytes, its_far.recv_bytes, b"x" * size
        compare(f"a message of {size} bytes, multiprocessing", 60, message_seconds, mine, its)
    mine = ("server.py", "--port", "0"), ("client.py", "--port")
    its = ("-c", PAIR_SERVER), ("-c", PAIR_CLIENT)
    compare("a turn in both programs, the shortest pair", 20, turn_seconds, mine, its)


if __name__ == "__main__":
    main()
