"""What a test puts on the wire by itself, without the programs."""

import contextlib
import socket
import struct


def frames(*texts):
    """Return the bytes of these messages on the wire."""
    payloads = [text.encode() for text in texts]
    return b"".join(len(payload).to_bytes(4, "big") + payload for payload in payloads)


def reset(sock):
    """Close a socket so that the peer gets a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


@contextlib.contextmanager
def no_answer():
    """Give a port at which a request to connect is not answered."""
    with socket.socket() as full, contextlib.ExitStack() as taken:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        with contextlib.suppress(socket.timeout):  # Linux takes one or two, and then no more.
            while True:
                taken.enter_context(socket.create_connection(full.getsockname(), 0.2))
        yield str(full.getsockname()[1])
