"""The client: connects to the server and speaks first; then they take turns until one quits."""

from __future__ import annotations

import contextlib
import socket
import sys

import protocol
from protocol import CLIENT, Chat, Connection

CONNECT_SECONDS = 20


def main() -> int:
    """Run the program; return its exit status."""
    return protocol.run(converse, "Chat with whoever runs server.py.", lowest_port=1)


def converse(host: str, port: int) -> None:
    """Connect and chat until the end."""
    sock, address = connect(host, port)
    protocol.set_alarm()  # Not earlier: PyPy's connect() would fail for it.
    chat = Chat(Connection(sock), CLIENT, protocol.ask, protocol.show)
    with contextlib.closing(chat):
        protocol.show(f"Connected to {address}")
        protocol.show(protocol.HINT)
        while chat.speak() and chat.hear():
            pass


def connect(host: str, port: int) -> tuple[socket.socket, str]:
    """Return a socket connected to the server, and the server's address as text.

    Raises ChatError if there can be no connection.
    """
    try:
        with protocol.interruptible():
            sock = socket.create_connection((host, port), timeout=CONNECT_SECONDS)
        address = protocol.address_text(*sock.getpeername())
    except (OSError, UnicodeError) as error:
        advice = "is server.py running there, or busy with another client?"
        raise protocol.no_connection("connect to", host, port, error, advice) from error
    return sock, address


if __name__ == "__main__":
    sys.exit(main())
