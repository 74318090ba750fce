"""What a test puts on the wire by itself, without the programs."""

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
