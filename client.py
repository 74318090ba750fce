"""The client: connects to the server and speaks first; then they take turns until one quits."""

from __future__ import annotations

import contextlib
import socket
import sys

import protocol
from protocol import CLIENT, Chat, Connection

# On Windows, Ctrl-C does not interrupt an attempt to connect, so attempts are short. But they are
# longer than a second, which is what Windows needs to report that a connection was refused.
ATTEMPT_SECONDS = 1.25
ATTEMPTS = 16


def main() -> int:
    """Run the program; return its exit status."""
    return protocol.run(converse, "Chat with whoever runs server.py.", lowest_port=1)


def converse(host: str, port: int) -> None:
    """Connect and chat until the end."""
    sock, address = connect(host, port)
    with contextlib.closing(Chat(Connection(sock), CLIENT, protocol.ask, protocol.show)) as chat:
        protocol.show(f"Connected to {address}")
        while chat.speak() and chat.hear():
            pass


def connect(host: str, port: int) -> tuple[socket.socket, str]:
    """Return a socket connected to the server, and the server's address as text.

    Raises ChatError if there can be no connection.
    """
    try:
        sock = create_connection(host, port)
        sock.settimeout(None)  # The limit was for connecting.
        return sock, protocol.address_text(sock.getpeername())
    except (OSError, UnicodeError) as error:  # UnicodeError: no host can have such a name.
        advice = "is server.py running there, or busy with another client?"
        raise protocol.no_connection("connect to", host, port, error, advice) from error


def create_connection(host: str, port: int) -> socket.socket:
    """Return a connected socket, after several short attempts if the host does not answer."""
    for _ in range(ATTEMPTS - 1):
        with contextlib.suppress(socket.timeout):
            return socket.create_connection((host, port), ATTEMPT_SECONDS)
    return socket.create_connection((host, port), ATTEMPT_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
