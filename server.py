"""The server: waits for a client and hears it; then they take turns until one quits."""

from __future__ import annotations

import select
import socket
import sys

import protocol
from protocol import SERVER, WAIT_SECONDS, ChatError


def main() -> int:
    """Run the program; return its exit status."""
    return protocol.run(serve, "Wait for client.py, and chat. Port 0: any free one.", lowest_port=0)


def serve(host: str, port: int) -> None:
    """Listen, and chat with a client."""
    listener = listen(host, port)
    address = protocol.address_text(listener.getsockname())
    protocol.show(f"Listening on {address}")
    if not address.startswith(("127.", "[::1]")):  # Other machines may reach it.
        protocol.show("Whoever reaches this port first takes the seat; nothing is encrypted.")
    port = listener.getsockname()[1]  # If it was 0, the system has chosen one.
    while not chat_with_client(listener):
        listener = listen(host, port)  # accept() has closed the last one.


def chat_with_client(listener: socket.socket) -> bool:
    """Chat until the end; return whether a client was accepted and sent a valid message."""
    protocol.show("Waiting for a client... (Ctrl-C quits)")
    try:
        sock, address = accept(listener)
    except OSError as error:
        protocol.report(f"cannot accept a client: {error.strerror}")
        return False
    with protocol.open_chat(sock, SERVER) as chat:
        protocol.show(f"Connected by {address}")
        try:
            while chat.hear() and chat.speak():
                pass
        except ChatError as error:
            if chat.has_heard:
                raise
            protocol.report(error)
        return chat.has_heard


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket, or raise ChatError."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # create_server() alone would lose the scope of an address like fe80::1%eth0.
        *_, address = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)[0]
        dual_stack = family == socket.AF_INET6 and socket.has_dualstack_ipv6()  # IPv4 on "::", too
        return socket.create_server(address, family=family, dualstack_ipv6=dual_stack)
    except (OSError, UnicodeError) as error:  # UnicodeError: no host can have such a name.
        advice = "choose another --port or --host"
        raise protocol.startup_error("cannot listen", host, error, advice) from error


def accept(listener: socket.socket) -> tuple[socket.socket, str]:
    """Accept one client, and close the listener; return the client's socket and address."""
    with listener:  # Once it is closed, the system refuses other clients.
        while not select.select([listener], [], [], WAIT_SECONDS)[0]:
            pass
        sock, _ = listener.accept()
    # If the client has left, accept() on macOS gives no address; getpeername() raises OSError.
    return sock, protocol.address_text(sock.getpeername())


if __name__ == "__main__":
    sys.exit(main())
