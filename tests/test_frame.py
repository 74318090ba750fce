"""The frame, on pairs of connected sockets."""

import multiprocessing.connection
import os
import socket
import unittest
from unittest import mock

from protocol import Connection, ProtocolError, set_keep_alive
from tests.wire import frames

TEXTS = ["", "Grüße", "x", "5 take that", "/q"]


class ConnectionTest(unittest.TestCase):
    def setUp(self):
        self.near, self.far = socket.socketpair()
        for sock in (self.near, self.far):
            sock.settimeout(10)
            self.addCleanup(sock.close)
        self.connection, self.peer = Connection(self.near), Connection(self.far)

    def meet(self):
        """Return both ends of a TCP connection."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            near, far = socket.create_connection(listener.getsockname(), 10), listener.accept()[0]
        self.addCleanup(near.close), self.addCleanup(far.close)
        return near, far

    def assert_breach(self, why, act, *arguments):
        self.assertRaisesRegex(ProtocolError, f"^{why}$", act, *arguments)

    def test_a_frame_is_the_length_in_four_bytes_and_the_utf_8_in_one_send(self):
        sock = mock.Mock()
        Connection(sock).send("Grüße")
        sock.sendall.assert_called_once_with(bytes.fromhex("00000007 4772c3bcc39f65"))

    def test_messages_of_0_and_of_4096_bytes_arrive(self):
        for text in ("", "x" * 4096, "é" * 2048, "😀" * 1024):
            self.peer.send(text)
            self.assertEqual(self.connection.receive(), text)

    def test_what_is_too_long_or_no_text_is_not_sent(self):
        for text, size in (("x" * 4097, 4097), ("é" * 2049, 4098)):
            why = f"the message takes {size} bytes, more than 4096"
            self.assert_breach(why, self.connection.send, text)
        why = "the message holds bytes that are not text"
        self.assert_breach(why, self.connection.send, "caf\udce9")
        self.assertFalse(self.peer.poll())
        self.assertTrue(issubclass(ProtocolError, ValueError))

    def test_a_stream_is_read_as_sent_wherever_it_is_split(self):
        stream = frames(*TEXTS)
        splits = [(stream[:at], stream[at:]) for at in range(1, len(stream))]
        for parts in (*splits, (stream,), [bytes([byte]) for byte in stream]):
            connection = Connection(mock.Mock(**{"recv.side_effect": [*parts, b""]}))
            with self.subTest(parts):
                self.assertEqual([connection.receive() for _ in TEXTS], TEXTS)
                self.assertRaises(EOFError, connection.receive)

    def test_a_length_over_4096_is_refused_at_once_and_nothing_is_allocated_for_it(self):
        for sent, size in ((b"\xff" * 4, 4294967295), (b"\0\0\x10\x01" + b"x" * 4097, 4097)):
            for pieces in ([sent], [sent[:1], sent[1:]]):
                sock = mock.Mock(**{"recv.side_effect": pieces})
                why = f"the frame announces {size} bytes, more than 4096"
                self.assert_breach(why, Connection(sock).receive)
                self.assertEqual(sock.recv.mock_calls, [mock.call(4100)] * len(pieces))

    def test_bytes_that_are_not_utf_8_are_refused(self):
        for payload in (b"\xff\xfe", b"\xc0\xaf", b"\xed\xa0\x80", b"\xe2\x82"):
            self.far.sendall(len(payload).to_bytes(4, "big") + payload)
            self.assert_breach("the frame holds bytes that are not UTF-8", self.connection.receive)

    def test_an_end_inside_a_frame_is_refused(self):
        for part in (b"\0", b"\0\0\0", b"\0\0\0\2", b"\0\0\0\2/"):
            sock = mock.Mock(**{"recv.side_effect": [part, b""]})
            self.assert_breach("the stream ended inside a frame", Connection(sock).receive)

    def test_poll_tells_of_a_part_a_second_frame_and_the_end(self):
        self.assertFalse(self.connection.poll())
        self.far.sendall(b"\0\0\0\1x\0\0")
        self.assertTrue(self.connection.poll(10))
        self.assertEqual(self.connection.receive(), "x")
        with mock.patch("select.select", side_effect=OSError("not needed")):
            self.assertTrue(self.connection.poll())
        self.far.sendall(b"\0\0")
        self.assertEqual(self.connection.receive(), "")
        self.assertFalse(self.connection.poll())
        self.far.close()
        self.assertTrue(self.connection.poll(10))

    def test_a_connection_can_be_closed_twice(self):
        self.connection.close(), self.connection.close()
        self.assertEqual((self.near.fileno(), self.far.recv(1)), (-1, b""))

    def test_the_system_is_asked_to_notice_a_vanished_host_within_a_minute(self):
        sock, _ = self.meet()
        set_keep_alive(sock)
        self.assertTrue(sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
        times = dict(TCP_KEEPIDLE=20, TCP_KEEPINTVL=5, TCP_KEEPCNT=5, TCP_USER_TIMEOUT=45000)
        for name in times.keys() & vars(socket):
            try:
                value = sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
            except OSError:
                self.skipTest("Wine has no keep-alive times")
            self.assertEqual(value, times[name], name)

    @mock.patch("socket.TCP_KEEPALIVE", 0x10, create=True)
    def test_macos_is_asked_by_its_own_name_and_may_refuse(self):
        sock = mock.Mock(**{"setsockopt.side_effect": [None] * 3 + [OSError]})
        set_keep_alive(sock)
        self.assertIn(mock.call(socket.IPPROTO_TCP, 0x10, 20), sock.setsockopt.mock_calls)

    @unittest.skipIf(os.name == "nt", "Windows' multiprocessing.connection has pipes, no sockets")
    def test_multiprocessing_connection_can_take_the_other_end(self):
        peer = multiprocessing.connection.Connection(os.dup(self.far.fileno()))
        self.addCleanup(peer.close)
        for text in ("", "Grüße", "x" * 4096):
            self.connection.send(text)
            self.assertEqual(peer.recv_bytes(), text.encode())
            peer.send_bytes(text.encode())
            self.assertEqual(self.connection.receive(), text)
