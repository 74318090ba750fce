"""The server: waits for a client and hears it; then they take turns until one quits."""

from __future__ import annotations

import contextlib
import socket
import sys

import protocol
from protocol import SERVER, Chat, ChatError, Connection


def main() -> int:
    """Run the program; return its exit status."""
    return protocol.run(serve, "Wait for client.py and chat with it.", lowest_port=0)


def serve(host: str, port: int) -> None:
    """Listen, and chat with the first client that says something."""
    with listen(host, port) as listener:
        address = protocol.address_text(listener.getsockname())
        protocol.show(f"Listening on {address}")
        if not address.startswith(("127.", "[::1]")):
            protocol.show("Whoever reaches this port first takes the seat; nothing is encrypted.")
        while True:
            with contextlib.closing(accept(listener)) as chat:
                try:
                    chat.hear()
                except ChatError as error:
                    protocol.report(error)
                    continue
                listener.close()  # Others are refused from now on.
                while chat.speak() and chat.hear():
                    pass
                return


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises ChatError if there can be none."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        # IPv4 where a name has both: who knows only one of the two knows that one.
        family, _, _, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
        # create_server() sets SO_REUSEADDR, for a restart on the same port; but not on Windows,
        # where a second server could take the port with it.
        both = family == socket.AF_INET6 and socket.has_dualstack_ipv6()
        return socket.create_server(address, family=family, dualstack_ipv6=both)
    except (OSError, UnicodeError) as error:
        advice = "choose another --port or --host"
        raise protocol.no_connection("listen on", host, port, error, advice) from error


def accept(listener: socket.socket) -> Chat:
    """Wait for the next client; return the chat with it."""
    protocol.show("Waiting for a client... (Ctrl-C quits)")
    while True:
        protocol.wait_for_input(listener)
        with contextlib.suppress(OSError):  # On some systems: it has left already.
            sock, address = listener.accept()
            protocol.show(f"Connected by {protocol.address_text(address)}")
            return Chat(Connection(sock), SERVER, protocol.ask, protocol.show)


if __name__ == "__main__":
    sys.exit(main())
