"""The server: waits for a client and hears it; then they take turns until one quits."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import sys
from collections.abc import Iterator

import protocol
from protocol import SERVER, WAIT_SECONDS, ChatError


def main() -> int:
    """Run the program; return its exit status."""
    return protocol.run(serve, "Wait for client.py, and chat. Port 0: any free one.", lowest_port=0)


def serve(host: str, port: int) -> None:
    """Listen, and chat with a client."""
    listener = listen(host, port)
    text = protocol.address_text(listener.getsockname())
    protocol.show(f"Listening on {text}")
    if not text.startswith(("127.", "[::1]")):  # Other machines may reach it.
        protocol.show("Whoever reaches this port first takes the seat; nothing is encrypted.")
    port = listener.getsockname()[1]  # If it was 0, the system has chosen one.
    while not chat_with_client(listener):
        listener = listen(host, port)


def chat_with_client(listener: socket.socket) -> bool:
    """Chat with whoever connects first; return False if no valid message came."""
    protocol.show("Waiting for a client... (Ctrl-C quits)")
    address = listener.getsockname()
    try:
        sock = accept_client(listener)
    except OSError as error:
        protocol.report(f"cannot accept a client: {error.strerror}")
        return False
    with sock, hold_port(listener.family, address), protocol.open_chat(sock, SERVER) as chat:
        try:
            goes_on = chat.hear()
        except ChatError as error:  # It left, or did not begin as a client does.
            protocol.report(error)
            return False
        while goes_on:
            goes_on = chat.speak() and chat.hear()
    return True


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket, or raise ChatError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        # A host is looked up first, as (host, port) has no place for the scope in fe80::1%eth0.
        _, _, _, _, address = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)[0]
        dual_stack = family == socket.AF_INET6 and socket.has_dualstack_ipv6()  # IPv4 on "::", too
        return socket.create_server(address, family=family, dualstack_ipv6=dual_stack)
    except (OSError, UnicodeError) as error:
        advice = "choose another --port or --host"
        raise protocol.startup_error("cannot listen", host, error, advice) from error


def accept_client(listener: socket.socket) -> socket.socket:
    """Return the socket of a client; close the listener, so that the system refuses others."""
    with listener:
        while not select.select([listener], [], [], WAIT_SECONDS)[0]:
            pass
        return listener.accept()[0]


@contextlib.contextmanager
def hold_port(family: int, address: tuple[str, int] | tuple[str, int, int, int]) -> Iterator[None]:
    """Keep the port while nobody listens there, or another program could pose as the server.

    Raises ChatError if the port is lost. On Windows, nothing keeps it.
    """
    with socket.socket(family) as holder:
        if os.name != "nt":
            try:
                # bind() wants SO_REUSEADDR on each socket of the port. The accepted one inherits it
                # from the listener. Once this one has it no more, other programs' bind() fails.
                holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                holder.bind(address)
                holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
            except OSError as error:
                raise ChatError(f"cannot keep the port: {error.strerror}") from error
        yield


if __name__ == "__main__":
    sys.exit(main())
