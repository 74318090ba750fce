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
        if not address.startswith(("127.", "[::1]")):  # These are reached from this machine alone.
            protocol.show("Whoever reaches this port first takes the seat; nothing is encrypted.")
        while True:
            with contextlib.closing(accept(listener)) as chat:
                try:
                    goes_on = chat.hear()
                except ChatError as error:
                    protocol.report(error)  # The client left, or it was not client.py.
                    continue
                listener.close()  # From now on the system refuses others.
                while goes_on:
                    goes_on = chat.speak() and chat.hear()
                return


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises ChatError if there can be none."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        # A name can have addresses of both families. IPv4 is the one that nearly every client has.
        ipv4 = [entry for entry in found if entry[0] == socket.AF_INET]
        family, _, _, _, address = (ipv4 or found)[0]
        dual_stack = family == socket.AF_INET6 and socket.has_dualstack_ipv6()
        # create_server() sets SO_REUSEADDR, so that a restart on the same port works. On Windows,
        # where it works anyway, that option would let a second server take a port that is in use,
        # so create_server() does not set it there.
        return socket.create_server(address, family=family, dualstack_ipv6=dual_stack)
    except (OSError, UnicodeError) as error:  # UnicodeError: no host can have such a name.
        advice = "choose another --port or --host"
        raise protocol.no_connection("listen on", host, port, error, advice) from error


def accept(listener: socket.socket) -> Chat:
    """Wait for the next client; return the chat with it."""
    protocol.show("Waiting for a client... (Ctrl-C quits)")
    while True:
        protocol.wait_until_readable(listener)
        # If the client has left already, some systems raise an error or give no address.
        with contextlib.suppress(OSError):
            sock, address = listener.accept()
            if address:
                break
    protocol.show(f"Connected by {protocol.address_text(address)}")
    return Chat(Connection(sock), SERVER, protocol.ask, protocol.show)


if __name__ == "__main__":
    sys.exit(main())
