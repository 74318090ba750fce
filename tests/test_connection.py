"""The frame, on pairs of connected sockets."""

import multiprocessing.connection
import os
import socket
import time
import unittest
from unittest import mock

from protocol import LOSS_DETECTION, MAX_MESSAGE_BYTES, Connection, Refused


class ConnectionTest(unittest.TestCase):
    def setUp(self):
        self.near, self.far = self.pair(socket.SOCK_STREAM)
        self.connection = Connection(self.near)

    def pair(self, kind):
        near, far = socket.socketpair(type=kind)
        for sock in (near, far):
            sock.settimeout(10)
            self.addCleanup(sock.close)
        return near, far

    def assert_refused(self, sent, why):
        """Check that what is sent, without the end of the stream, is refused at once."""
        self.far.sendall(sent)
        with self.assertRaises(Refused) as caught:
            self.connection.receive()
        self.assertEqual(str(caught.exception), why)

    def test_a_frame_is_the_length_in_four_bytes_and_the_utf_8(self):
        self.connection.send("Grüße")
        self.assertEqual(self.far.recv(100), bytes.fromhex("00000007 4772c3bcc39f65"))

    def test_a_frame_is_one_send(self):
        near, far = self.pair(socket.SOCK_DGRAM)  # Of these, each send arrives by itself.
        Connection(near).send("x" * MAX_MESSAGE_BYTES)
        self.assertEqual(len(far.recv(10000)), 4 + MAX_MESSAGE_BYTES)

    def test_messages_of_0_and_of_4096_bytes_arrive(self):
        for text in ("", "x" * 4096, "é" * 2048, "😀" * 1024):
            Connection(self.far).send(text)
            self.assertEqual(self.connection.receive(), text)

    def test_a_message_over_4096_bytes_is_not_sent(self):
        for text, size in (("x" * 4097, 4097), ("é" * 2049, 4098)):
            with self.assertRaises(Refused) as caught:
                self.connection.send(text)
            self.assertEqual(str(caught.exception), f"it takes {size} bytes and the limit is 4096")
        self.assertFalse(Connection(self.far).has_input())

    def test_bytes_that_are_not_text_are_not_sent(self):
        with self.assertRaises(Refused) as caught:
            self.connection.send(b"caf\xe9".decode(errors="surrogateescape"))
        self.assertEqual(str(caught.exception), "it holds bytes that are not text")
        self.assertFalse(Connection(self.far).has_input())

    def test_a_stream_is_read_as_sent_wherever_it_is_split(self):
        texts = ["", "Grüße", "x", "5 take that", "/q"]
        for text in texts:
            Connection(self.far).send(text)
        stream = self.near.recv(1000)
        for split in range(len(stream) + 1):
            near, far = self.pair(socket.SOCK_STREAM)
            near.setblocking(False)
            connection, heard = Connection(near), []
            for part in (stream[:split], stream[split:]):
                far.sendall(part)
                with self.assertRaises(BlockingIOError):
                    while True:
                        heard.append(connection.receive())
            with self.subTest(split=split):
                self.assertEqual(heard, texts)
            near.close()
            far.close()

    def test_a_limited_wait_lasts_until_its_deadline_and_no_longer(self):
        self.near.setblocking(False)
        for left in (100, -100):
            wait = mock.Mock(return_value=([], [], []))
            with mock.patch("select.select", wait), self.assertRaises(BlockingIOError):
                self.connection.receive_until(time.monotonic() + left)
            self.assertAlmostEqual(wait.call_args[0][3], max(left, 0), delta=10)

    def test_long_frames_back_to_back_are_read_as_sent(self):
        texts = ["a" * 4096, "b" * 4095, "c", "d" * 4096]
        for text in texts:
            Connection(self.far).send(text)
        self.assertEqual([self.connection.receive() for _ in texts], texts)

    def test_a_length_over_4096_is_refused_before_anything_is_read_for_it(self):
        self.assert_refused(
            bytes.fromhex("ffffffff"), "it announced 4294967295 bytes, the limit is 4096"
        )

    def test_a_length_one_over_is_refused_even_if_all_of_it_is_there(self):
        self.assert_refused(
            bytes.fromhex("00001001") + b"x" * 4097, "it announced 4097 bytes, the limit is 4096"
        )

    def test_a_length_one_over_is_refused_also_if_it_comes_in_pieces(self):
        self.near.setblocking(False)
        self.far.sendall(b"\0")
        with self.assertRaises(BlockingIOError):
            self.connection.receive()
        self.assert_refused(
            b"\0\x10\x01" + b"x" * 4097, "it announced 4097 bytes, the limit is 4096"
        )

    def test_bytes_that_are_not_utf_8_are_refused(self):
        for payload in (b"\xff\xfe", b"\xc0\xaf", b"\xed\xa0\x80", b"\xe2\x82"):
            self.assert_refused(
                len(payload).to_bytes(4, "big") + payload, "it sent bytes that are not UTF-8"
            )

    def test_an_end_inside_a_frame_is_refused(self):
        for part in (b"\0", b"\0\0\0", b"\0\0\0\2", b"\0\0\0\2/"):
            near, far = self.pair(socket.SOCK_STREAM)
            far.sendall(part)
            far.close()
            with self.subTest(part), self.assertRaises(Refused) as caught:
                Connection(near).receive()
            self.assertEqual(str(caught.exception), "it ended inside a frame")

    def test_an_end_between_frames_is_the_end_of_the_stream(self):
        Connection(self.far).send("last")
        self.far.close()
        self.assertEqual(self.connection.receive(), "last")
        with self.assertRaises(EOFError):
            self.connection.receive()

    def test_has_input_tells_of_a_part_a_second_frame_and_the_end(self):
        self.assertFalse(self.connection.has_input())
        self.far.sendall(b"\0\0\0\1x\0\0")
        self.assertTrue(self.connection.has_input())
        self.assertEqual(self.connection.receive(), "x")
        self.assertTrue(self.connection.has_input())
        self.far.sendall(b"\0\0")
        self.assertEqual(self.connection.receive(), "")
        self.assertFalse(self.connection.has_input())
        self.far.close()
        self.assertTrue(self.connection.has_input())

    def test_leaving_the_context_closes_the_socket(self):
        with Connection(self.near) as connection:
            connection.send("x")
        self.assertEqual(
            (self.near.fileno(), self.far.recv(9), self.far.recv(9)), (-1, b"\0\0\0\1x", b"")
        )

    def test_the_system_is_asked_to_notice_a_vanished_host_within_a_minute(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            sock = socket.create_connection(listener.getsockname())
        with Connection(sock):
            self.assertTrue(sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
            for name, value in LOSS_DETECTION.items():
                if hasattr(socket, name):
                    option = getattr(socket, name)
                    self.assertEqual(sock.getsockopt(socket.IPPROTO_TCP, option), value)
        probing = LOSS_DETECTION["TCP_KEEPINTVL"] * LOSS_DETECTION["TCP_KEEPCNT"]
        self.assertLess(LOSS_DETECTION["TCP_KEEPIDLE"] + probing, 60)
        self.assertLess(LOSS_DETECTION["TCP_USER_TIMEOUT"] / 1000, 60)

    def test_macos_is_asked_for_the_same_in_its_own_way(self):
        def asked_on(platform):
            sock = mock.Mock()
            with mock.patch("sys.platform", platform):
                Connection(sock)
            return {call.args[1]: call.args[2] for call in sock.setsockopt.mock_calls}

        for other in ("aix", "linux"):
            self.assertNotIn(0x80, asked_on(other))
        asked = asked_on("darwin")
        self.assertEqual(asked[0x10], LOSS_DETECTION["TCP_KEEPIDLE"])
        self.assertEqual(asked[0x80] * 1000, LOSS_DETECTION["TCP_USER_TIMEOUT"])
        self.assertIsInstance(asked[0x80], int)  # As the real one requires.

    def test_multiprocessing_connection_can_take_the_other_end(self):
        other = multiprocessing.connection.Connection(os.dup(self.far.fileno()))
        self.addCleanup(other.close)
        for text in ("", "Grüße", "x" * 4096):
            self.connection.send(text)
            self.assertEqual(other.recv_bytes(), text.encode())
            other.send_bytes(text.encode())
            self.assertEqual(self.connection.receive(), text)


if __name__ == "__main__":
    unittest.main()
