"""Every fault of the contract, made to happen to the real programs."""

import contextlib
import io
import os
import re
import signal
import socket
import sys
import unittest
from pathlib import Path
from unittest import mock

import client as client_module
import protocol
import server as server_module
from protocol import HINT, NOT_SENT, Connection
from tests.programs import LIBEDIT, PROMPT, SECONDS, ProgramTest, Terminal, TerminalTest, posix_only
from tests.test_chat import BUSY, UNSURE, reset
from tests.test_connection import frames

LOST_CLIENT = "server.py: error: the connection to the client was lost"
LOST_SERVER = "client.py: error: the connection to the server was lost"
NO_SERVER = "is server.py running there, or busy with another client?"
BREACHES = (
    (b"\xff" * 4, "it announced 4294967295 bytes, the limit is 4096"),
    (b"\0\0\x10\x01" + b"x" * 4097, "it announced 4097 bytes, the limit is 4096"),
    (b"\0\0\0\1\xff", "it sent bytes that are not UTF-8"),
    (b"GET / HTTP/1.1\r\n\r\n", "it announced 1195725856 bytes, the limit is 4096"),
    (bytes.fromhex("16030100f4010000f0"), "it announced 369295616 bytes, the limit is 4096"),
    (b"\0\0", "it ended inside a frame"),
    (b"\0\0\0\5/q", "it ended inside a frame"),
)


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


def until_it_connects(port):
    """Wait until a program has asked to connect to a port."""
    while f":{int(port):04X} 02 " not in Path("/proc/net/tcp").read_text():  # SYN_SENT
        pass


class FaultTest(ProgramTest):
    """A test with a real program at one end and a socket of the test's at the other."""

    def connect(self, port):
        sock = socket.create_connection(("127.0.0.1", int(port)), SECONDS)
        self.addCleanup(sock.close)
        return sock

    def server_and_peer(self):
        """Return a server that has heard a message, and its peer."""
        server, port = self.start_server()
        peer = self.connect(port)
        peer.sendall(frames("x"))
        return server, peer

    def client_and_peer(self):
        """Return a client that waits for the server's first message, and its peer."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            client = self.start("client.py", "--port", str(listener.getsockname()[1]))
            listener.settimeout(SECONDS)
            peer, _ = listener.accept()
        self.addCleanup(peer.close)
        client.type("x")
        self.assertEqual(Connection(peer).receive(), "x")
        client.until("Waiting for the server...\n")
        return client, peer


class ConnectingTest(FaultTest):
    def assert_told(self, sentence, act, *arguments):
        self.assertRaisesRegex(protocol.ChatError, f"^{re.escape(sentence)}$", act, *arguments)

    def test_an_unknown_host(self):
        for program in ("server.py", "client.py"):
            for host in ("nobody.invalid", "a..b"):
                error = f"{program}: error: cannot find the host {host}; check --host"
                self.assert_ends(self.start(program, "--host", host), 1, error)

    @mock.patch("socket.create_connection", side_effect=socket.timeout("timed out"))
    def test_a_host_that_does_not_answer_is_tried_in_short_attempts(self, connect):
        """So that a signal is seen in time where it can't interrupt one."""
        told = f"cannot connect to host port 1: timed out; {NO_SERVER}"
        self.assert_told(told, client_module.connect, "host", 1)
        self.assertEqual(connect.mock_calls, [mock.call(("host", 1), 1.25)] * 16)
        sock = mock.Mock(**{"getpeername.return_value": ("127.0.0.1", 1)})
        connect.side_effect = [socket.timeout, sock]
        self.assertEqual(client_module.connect("host", 1), (sock, "127.0.0.1:1"))
        sock.settimeout.assert_called_once_with(None)

    @posix_only
    @unittest.skipUnless(os.path.exists("/proc/net/tcp"), "no /proc/net/tcp tells who connects")
    def test_a_signal_ends_a_client_that_connects(self):
        with no_answer() as port:
            client = self.start("client.py", "--port", port)
            until_it_connects(port)
            self.assert_signal_ends(client, signal.SIGINT)

    @mock.patch("socket.create_server", side_effect=PermissionError(13, "No (x) (while y)"))
    def test_a_port_that_is_forbidden(self, _):
        told = "cannot listen on 127.0.0.1 port 1: No (x); choose another --port or --host"
        self.assert_told(told, server_module.listen, "127.0.0.1", 1)

    def test_of_a_name_with_both_families_the_server_takes_the_first_ipv4_address(self):
        addresses = ("::1", 0, 0, 0), ("127.0.0.1", 0), ("127.0.0.2", 0)
        families = socket.AF_INET6, socket.AF_INET, socket.AF_INET
        found = [(family, 0, 0, "", address) for family, address in zip(families, addresses)]
        names = mock.patch("socket.getaddrinfo", return_value=found)
        with names, server_module.listen("name", 0) as listener:
            self.assertEqual(listener.getsockname()[0], "127.0.0.1")

    def test_strangers_are_reported_in_a_line_each_and_the_client_gets_in(self):
        server, port = self.start_server()
        again = "Waiting for a client... (Ctrl-C quits)\n"
        server.until(again)
        for sent, why in (*BREACHES, (b"", None)):
            stranger = self.connect(port)
            stranger.sendall(sent)
            stranger.shutdown(socket.SHUT_WR)
            error = f"server.py: error: the client broke the rules: {why}" if why else LOST_CLIENT
            address = f"127.0.0.1:{stranger.getsockname()[1]}"
            shown = f"Connected by {address}\nWaiting for the client...\n{error}\n"
            self.assertEqual(server.until(again), shown)
            self.assertEqual((stranger.recv(100), stranger.recv(100)), (frames("/q"), b""))
        reset(self.connect(port))  # Some systems don't let that in.
        self.start("client.py", "--port", port).type("x")
        server.until("Client: x\n")
        server.type("/q")
        self.assert_ends(server, 0)

    def test_who_left_before_being_let_in_changes_nothing(self):
        shown = io.StringIO()
        accepted = [ConnectionAbortedError, (mock.Mock(), None), (mock.Mock(), ("127.0.0.1", 5))]
        listener = mock.Mock(**{"accept.side_effect": accepted})
        with mock.patch("protocol.wait_until_readable"), contextlib.redirect_stdout(shown):
            server_module.accept(listener)
        told = "Waiting for a client... (Ctrl-C quits)\nConnected by 127.0.0.1:5\n"
        self.assertEqual(shown.getvalue(), told)

    def test_a_third_program_is_refused_while_two_chat(self):
        server, port = self.start_server()
        client = self.start("client.py", "--port", port)
        server.until("Connected by ")
        early = self.start("client.py", "--port", port)
        early.until(PROMPT)
        client.type("x")
        server.until(f"Client: x\n{HINT}\n{PROMPT}")
        early.write("x\n")
        early.until(NOT_SENT + "\n")
        self.assert_ends(early, 1, LOST_SERVER + BUSY)
        late = self.start("client.py", "--port", port)
        late.until(NO_SERVER + "\n")
        self.assert_ends(late, 1)


class OtherEndTest(FaultTest):
    def test_it_dies_while_this_one_waits(self):
        server, client = self.start_chat()
        server.process.kill()
        self.assert_ends(client, 1, LOST_SERVER + UNSURE + BUSY)


class SignalTest(TerminalTest):
    def test_a_signal_while_nobody_has_connected_while_waiting_and_at_the_prompt_in_a_game(self):
        # With libedit, SIGHUP is left to the system.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)[: 2 if LIBEDIT else 3]:
            server, _ = self.start_server()
            server.until("Waiting for a client... (Ctrl-C quits)\n")
            self.assert_signal_ends(server, number)
            server, client = self.start_chat()
            self.assert_signal_ends(client, number)
            self.assertTrue(client.shown.endswith("Waiting for the server...\n\n"))
            server.write("\n")
            server.until("The client quit.\n")
            self.assert_ends(server, 0)
            self.assertNotIn("not sent", server.shown)
            server, client = self.start_both()
            client.type("play")
            server.until(PROMPT)
            server.write("half a li")
            server.until("half a li")
            self.assert_signal_ends(server, number)
            self.assertTrue(server.shown.endswith("half a li\n"))
            client.until("The server quit.\n")
            self.assert_ends(client, 0)

    def test_ctrl_c_at_the_prompt_and_while_waiting(self):
        server, client = self.start_chat()
        server.until_it_sleeps()
        server.write("\x03")
        client.until("The server quit.\n")
        self.assert_ends(server, 130)
        server, client = self.start_chat()
        client.write("\x03")
        self.assert_ends(client, 130)
        self.assertTrue(client.shown.endswith("^C\n"))
        server.write("x\n")
        server.until("The client quit.\n")

    @unittest.skipIf(LIBEDIT, "libedit does not return when its terminal is closed")
    def test_a_closed_terminal(self):
        server, client = self.start_both()
        client.until(PROMPT)
        client.until_it_sleeps()
        client.close()
        self.assertEqual(client.process.wait(SECONDS), 129)
        server.until("The client quit.\n")
        server, client = self.start_chat()
        client.close()
        self.assertEqual(client.process.wait(SECONDS), 129)

    @unittest.skipIf(sys.implementation.name == "pypy", "PyPy does not tell what is ignored")
    def test_a_signal_that_was_ignored_at_the_start_stays_ignored(self):
        server, port = self.start_server()
        command = f"trap '' HUP; exec {sys.executable} client.py --port {port}"
        client = self.ends(Terminal("sh", "-c", command))
        client.type("x")
        client.until("Waiting for the server...\n")
        client.signal(signal.SIGHUP)
        server.type("y")
        client.type("/q")
        self.assert_ends(client, 0)

    @mock.patch("signal.SIGBREAK", 21, create=True)
    @mock.patch.dict("sys.modules", readline=mock.Mock(__doc__="made of libedit"))
    def test_ctrl_break_on_windows_is_a_signal_too_and_sighup_none_with_libedit(self):
        with mock.patch("signal.signal") as handle:
            protocol.handle_signals()
        handled = {call.args[0] for call in handle.mock_calls}
        self.assertEqual(handled, {signal.SIGINT, signal.SIGTERM, 21})


class OutputTest(FaultTest):
    @posix_only
    def test_a_second_signal_ends_a_program_whose_terminal_is_stalled(self):
        self.kind = Terminal
        client, peer = self.client_and_peer()
        client.write("\x13")  # Ctrl-S
        client.signal(signal.SIGTERM)
        self.assertEqual(Connection(peer).receive(), "/q")
        client.signal(signal.SIGTERM)
        self.assertEqual(client.process.wait(SECONDS), -signal.SIGTERM)

    def test_output_into_a_closed_pipe_ends_quietly_and_the_other_end_is_told(self):
        for heard in (False, True):
            server, port = self.start_server()
            client = self.start("client.py", "--port", port)
            client.until(PROMPT)
            if heard:
                client.write("x\n")
                client.until("Waiting for the server...\n")
                server.until(PROMPT)
            client.process.stdout.close()
            (server if heard else client).write("y\n")
            self.assertEqual(client.process.wait(SECONDS), 0)  # Python itself would say 120.
            server.until("The client quit.\n")
            self.assert_ends(server, 0)
