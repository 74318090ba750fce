"""The server: waits for a client and hears it; then they take turns until one quits."""

from __future__ import annotations

import errno
import select
import socket
import sys

import protocol
from protocol import CLIENT, SERVER, Chat, ChatError, Connection

# How many may be connected and silent; one more, and the longest silent has to leave.
MAX_SILENT = 100


def main() -> int:
    """Run the program; return its exit status."""
    return protocol.run(serve, "Wait for client.py and chat with it.", lowest_port=0)


def serve(host: str, port: int) -> None:
    """Listen, hear the first client that says something, and chat with it until the end."""
    chats: dict[Connection, tuple[Chat, str]] = {}
    try:
        with listen(host, port) as listener:
            address, port, *_ = listener.getsockname()
            protocol.show(f"Listening on {protocol.address_text(address, port)}")
            if not (address.startswith("127.") or address == "::1"):
                protocol.show(
                    "Whoever reaches this port first takes the seat, and nothing is encrypted."
                )
            protocol.set_alarm()
            chat = hear_first(listener, chats)
        while chat.speak() and chat.hear():
            pass
    finally:
        deadline = protocol.farewell_deadline()
        for chat, _ in chats.values():
            chat.close(deadline)


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises ChatError if there can be none."""
    try:
        # As bytes: for text Python would load the codec of international names, a twentieth of the
        # time to the first line. This machine's own addresses need none.
        found = socket.getaddrinfo(host.encode(), port, type=socket.SOCK_STREAM)
        # IPv4 where a name has both: who knows only one of the two knows that one.
        family, _, _, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
        return socket.create_server(address, family=family)
    except (OSError, UnicodeError) as error:
        advice = "choose another --port or --host"
        raise protocol.no_connection("listen on", host, port, error, advice) from error


def hear_first(listener: socket.socket, chats: dict[Connection, tuple[Chat, str]]) -> Chat:
    """Return the chat with the first client that says something, which is shown.

    Until then all who connect are let in, and none can hold up the others: not by leaving,
    by breaking the rules, by a message that doesn't end, nor by silence. Those who may still
    speak, and in the end that client alone, are kept in ``chats``, with their addresses.
    """
    listener.setblocking(False)
    while True:
        awaited: list[Connection | socket.socket] = [*chats, listener]
        with protocol.interruptible():
            ready, _, _ = select.select(awaited, [], [])
        for connection in ready:
            if not isinstance(connection, Connection):
                let_in(listener, chats)
                continue
            chat, address = chats[connection]
            try:
                chat.hear_by(0)
            except BlockingIOError:
                continue
            except ChatError as error:
                protocol.report(f"{address}: {error}; still waiting for a client")
                chat.close()
                del chats[connection]
            else:
                for other in chats.keys() - {connection}:
                    refuse(other, chats)
                return chat


def let_in(listener: socket.socket, chats: dict[Connection, tuple[Chat, str]]) -> None:
    """Add the next one who connects, if need be in the place of the longest silent."""
    try:
        sock, peer = listener.accept()
    except OSError as error:
        if error.errno == errno.EMFILE and chats:
            refuse(next(iter(chats)), chats)
        return  # Else it has left already.
    if len(chats) == MAX_SILENT:
        refuse(next(iter(chats)), chats)
    connection, address = Connection(sock), protocol.address_text(*peer)
    chats[connection] = Chat(connection, SERVER, protocol.ask, protocol.show), address
    protocol.show(f"Connected by {address}")
    protocol.show(protocol.HINT)
    protocol.show(protocol.WAITING.format(CLIENT))


def refuse(connection: Connection, chats: dict[Connection, tuple[Chat, str]]) -> None:
    """Close the connection of one who said nothing; without /q, as nobody has quit."""
    connection.close()
    del chats[connection]


if __name__ == "__main__":
    sys.exit(main())
