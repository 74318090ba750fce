"""The client: connects to the server and speaks first; then they take turns until one quits."""

from __future__ import annotations

import socket
import sys

import protocol
from protocol import CLIENT

CONNECT_SECONDS = 20  # for each address of a host; a slow link can take some seconds


def main() -> int:
    """Run the program; return its exit status."""
    return protocol.run(chat_with_server, "Chat with whoever runs server.py.", lowest_port=1)


def chat_with_server(host: str, port: int) -> None:
    """Connect, and chat until the end."""
    protocol.show("Connecting to the server... (Ctrl-C quits)")
    with protocol.open_chat(connect(host, port), CLIENT) as chat:
        while chat.speak() and chat.hear():
            pass


def connect(host: str, port: int) -> socket.socket:
    """Return a socket connected to the server, or raise ChatError."""
    try:
        sock = socket.create_connection((host, port), CONNECT_SECONDS)
    except (OSError, UnicodeError) as error:
        what = f"cannot connect to {host} port {port}"
        raise protocol.startup_error(what, host, error, protocol.SERVER_QUESTION) from error
    sock.settimeout(None)  # The limit was for connecting.
    return sock


if __name__ == "__main__":
    sys.exit(main())
