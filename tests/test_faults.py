"""Every fault of the contract, made to happen to the real programs."""

import io
import os
import re
import shutil
import signal
import socket
import sys
import unittest
from pathlib import Path
from unittest import mock

import client as client_module
import protocol
import server as server_module
from protocol import CLIENT_ADVICE, NOT_SENT
from tests import programs
from tests.programs import PROMPT, SECONDS, UNSURE, ProgramTest, Terminal, TerminalTest
from tests.wire import frames, no_answer, reset

LOST_CLIENT = "server.py: error: the connection to the client was lost"
LOST_SERVER = "client.py: error: the connection to the server was lost"
WAITING = "Waiting for a client... (Ctrl-C quits)\n"
BREACHES = (
    (b"\xff" * 4, "it announced 4294967295 bytes, the limit is 4096"),
    (b"\0\0\x10\x01" + b"x" * 4097, "it announced 4097 bytes, the limit is 4096"),
    (b"\0\0\0\1\xff", "it sent bytes that are not UTF-8"),
    (b"GET / HTTP/1.1\r\n\r\n", "it announced 1195725856 bytes, the limit is 4096"),
    (bytes.fromhex("16030100f4010000f0"), "it announced 369295616 bytes, the limit is 4096"),
    (b"\0\0", "it ended inside a frame"),
    (b"\0\0\0\5/q", "it ended inside a frame"),
)


class ConnectingTest(ProgramTest):
    def connect(self, port):
        sock = socket.create_connection(("127.0.0.1", int(port)), SECONDS)
        self.addCleanup(sock.close)
        return sock

    def assert_told(self, sentence, act, *arguments):
        self.assertRaisesRegex(protocol.ChatError, f"^{re.escape(sentence)}$", act, *arguments)

    def test_an_unknown_host(self):
        for program in ("server.py", "client.py"):
            for host in ("nobody.invalid", "a..b"):
                error = f"{program}: error: cannot find the host {host}; check --host"
                self.assert_ends(self.start(program, "--host", host), 1, error)

    @mock.patch("socket.create_connection", side_effect=socket.timeout("timed out"))
    def test_a_host_that_does_not_answer_is_given_20_seconds(self, connect):
        told = f"cannot connect to host port 1: timed out; {CLIENT_ADVICE}"
        self.assert_told(told, client_module.connect, "host", 1)
        connect.assert_called_once_with(("host", 1), 20)

    def test_the_limit_is_only_for_connecting(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            sock, address = client_module.connect("127.0.0.1", port)
        with sock:
            self.assertEqual((sock.gettimeout(), address), (None, f"127.0.0.1:{port}"))

    @programs.posix_only
    @unittest.skipUnless(os.path.exists("/proc/net/tcp"), "no /proc/net/tcp tells who connects")
    def test_ctrl_c_ends_a_client_that_connects(self):
        with no_answer() as port:
            client = self.start("client.py", "--port", port)
            asked = f":{int(port):04X} 02 "  # 02: a request to connect has been sent.
            programs.wait_until(lambda: asked in Path("/proc/net/tcp").read_text())
            client.process.send_signal(signal.SIGINT)
            self.assert_ends(client, 130)
        self.assertEqual(client.shown, "Connecting to the server... (Ctrl-C quits)\n\n")

    @mock.patch("socket.create_server", side_effect=PermissionError(13, "Permission denied"))
    def test_a_port_that_is_forbidden(self, _):
        told = "cannot listen: Permission denied; choose another --port or --host"
        self.assert_told(told, server_module.listen, "127.0.0.1", 1)

    def test_a_name_is_looked_up_by_the_server_for_ipv4_and_an_address_with_a_colon_for_ipv6(self):
        families = {"name": socket.AF_INET, "::1": socket.AF_INET6, "127.0.0.1": socket.AF_INET}
        for host, family in families.items():
            with mock.patch("socket.getaddrinfo", side_effect=socket.gaierror) as look_up:
                told = f"cannot find the host {host}; check --host"
                self.assert_told(told, server_module.listen, host, 1)
            look_up.assert_called_once_with(host, 1, family, socket.SOCK_STREAM)

    def test_strangers_are_reported_in_a_line_each_and_the_client_gets_in(self):
        server, port = self.start_server()
        server.until(WAITING)
        for sent, why in (*BREACHES, (b"", None)):
            stranger = self.connect(port)
            stranger.sendall(sent)
            stranger.shutdown(socket.SHUT_WR)
            error = f"server.py: error: the client broke the rules: {why}" if why else LOST_CLIENT
            address = f"127.0.0.1:{stranger.getsockname()[1]}"
            shown = f"Connected by {address}\nWaiting for the client...\n{error}\n"
            self.assertEqual(server.until(WAITING), shown)
            self.assertEqual((stranger.recv(100), stranger.recv(100)), (frames("/q"), b""))
        reset(self.connect(port))
        server.until("server.py: error: ")
        server.until(WAITING)
        self.start("client.py", "--port", port).type("x")
        server.until("Client: x\n")
        server.type("/q")
        self.assert_ends(server, 0)

    def test_an_accept_that_fails_is_told_in_a_line_and_the_server_listens_again(self):
        gone = mock.Mock(**{"getpeername.side_effect": OSError(107, "Not connected")})
        told = mock.Mock()
        for fails, why in ((OSError(103, "Aborted"), "Aborted"), ([(gone, None)], "Not connected")):
            listener = mock.MagicMock(**{"accept.side_effect": fails})
            select = mock.patch("select.select", side_effect=[[[]], [[listener]]])
            with select as wait, mock.patch.multiple("protocol", show=mock.DEFAULT, report=told):
                self.assertFalse(server_module.chat_with_client(listener))
            told.assert_called_with(f"cannot accept a client: {why}")
            listener.__exit__.assert_called_once()
            self.assertEqual(wait.mock_calls, [mock.call([listener], [], [], 1)] * 2)

    @unittest.skipUnless(sys.platform == "linux", "no descriptors can be taken away here")
    def test_without_a_free_descriptor_it_listens_again_or_ends(self):
        import resource

        server, port = self.start_server()
        server.until(WAITING)
        used = len(os.listdir(f"/proc/{server.process.pid}/fd"))
        told = "server.py: error: cannot accept a client: Too many open files"
        for limit in (used, used - 1):
            resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (limit, limit))
            with socket.socket() as sock:
                sock.connect_ex(("127.0.0.1", int(port)))
                self.assertEqual(server.until("\n"), told)
                if limit == used:
                    server.until(WAITING)
        why = "cannot listen: Too many open files; choose another --port or --host"
        self.assert_ends(server, 1, f"server.py: error: {why}")

    def test_a_third_program_is_refused_once_a_client_has_connected(self):
        server, port = self.start_server()
        client = self.start("client.py", "--port", port)
        for words in ((), ("x",)):
            client.type(*words)
            server.until("Client: x\n" if words else "Connected by ")
            third = self.start("client.py", "--port", port)
            third.until(f"; {CLIENT_ADVICE}\n")
            self.assert_ends(third, 1)
            self.assertNotIn("Connected", third.shown)

    def test_a_tunnel_without_a_server_behind_it(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            client = self.start("client.py", "--port", str(listener.getsockname()[1]))
            listener.accept()[0].close()
        client.type("x")
        client.until(NOT_SENT + "\n")
        self.assert_ends(client, 1, f"{LOST_SERVER}; {CLIENT_ADVICE}")


class SignalTest(TerminalTest):
    def test_ctrl_c_while_nobody_has_connected_while_waiting_and_at_the_prompt_in_a_game(self):
        server, _ = self.start_server()
        server.until(WAITING)
        server.write("\x03")
        self.assert_ends(server, 130)
        server, client = self.start_chat()
        client.write("\x03")
        self.assert_ends(client, 130)
        self.assertTrue(client.shown.endswith(f"{PROMPT}x\nWaiting for the server...\n^C\n"))
        server.write("\n")
        server.until("The client quit.\n")
        self.assert_ends(server, 0)
        self.assertNotIn("not sent", server.shown)
        server, client = self.start_both()
        client.type("play")
        server.type_keys("half a li")
        server.until("half a li")
        server.until_it_waits()
        server.write("\x03")
        client.until("The server quit.\n")
        self.assert_ends(client, 0)
        self.assert_ends(server, 130)
        self.assertRegex(server.shown, r"half a li(\^C)?\n$")

    def test_another_signal_ends_a_program_at_once_and_the_other_is_told(self):
        for number in (signal.SIGTERM, signal.SIGHUP):
            server, client = self.start_chat()
            server.process.send_signal(number)
            self.assert_ends(client, 1, f"{LOST_SERVER}{UNSURE}; {CLIENT_ADVICE}")
            self.assertEqual(server.process.wait(SECONDS), -number)

    @unittest.skipIf(programs.PYPY, "PyPy takes Ctrl-C even if it was ignored")
    def test_ctrl_c_that_was_ignored_at_the_start_stays_ignored(self):
        server, port = self.start_server()
        command = f"trap '' INT; exec {sys.executable} client.py --port {port}"
        client = self.ends(Terminal("sh", "-c", command))
        client.type("x")
        client.until("Waiting for the server...\n")
        client.process.send_signal(signal.SIGINT)
        server.type("y")
        client.type("/q")
        self.assert_ends(client, 0)

    @unittest.skipUnless(shutil.which("bash"), "there is no bash")
    def test_a_closed_window_ends_its_program_whatever_keys_were_half_typed(self):
        lost_or_quit = rf"({LOST_CLIENT}({UNSURE})?|The client quit\.)\n"
        for keys in (None, "", "half a li", "\x1b5", "\x12", "\x18", "\x1b"):
            server, port = self.start_server()
            shell = self.ends(Terminal("bash", "--norc", "-i", TERM="xterm"))
            shell.write(f"{sys.executable} client.py --port {port}\n")
            shell.type("x")
            server.until(PROMPT)
            if keys is not None:
                server.write("y\n")
                shell.type_keys(keys)
            shell.close()
            self.assertEqual(shell.process.wait(SECONDS), -signal.SIGHUP)
            server.write("z\n" if keys is None else "")
            self.assertRegex(server.rest(), lost_or_quit)


class OutputTest(ProgramTest):
    @unittest.skipUnless(os.path.exists("/dev/full"), "there is no full disk here")
    def test_a_full_disk_is_told_in_a_line(self):
        server, port = self.start_server()
        for program, *arguments in (("server.py", "--port", "0"), ("client.py", "--port", port)):
            with open("/dev/full", "w") as full:
                done = programs.run(program, *arguments, stdout=full)
            told = f"{program}: error: input or output failed: No space left on device\n"
            self.assertEqual((done.returncode, done.stderr), (1, told))

    def test_a_closed_pipe_is_told_in_a_line(self):
        reader, writer = os.pipe()
        os.close(reader)
        with open(writer, "w") as closed:
            done = programs.run("server.py", "--port", "0", stdout=closed)
        self.assertRegex(done.stderr, r"^server\.py: error: input or output failed: [^\n]*\n$")
        self.assertEqual(done.returncode, 1)

    def test_where_no_error_can_be_told_either_the_status_is_1_and_the_other_is_told(self):
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
            self.assertEqual(client.process.wait(SECONDS), 1)  # Python itself would say 120.
            server.until("The client quit.\n")
            self.assert_ends(server, 0)

    def test_a_server_without_standard_error_goes_on_after_strangers(self):
        reader, writer = os.pipe()
        os.close(reader)
        with mock.patch("sys.stderr", open(writer, "w")):
            protocol.report("a stranger left"), protocol.report("another one left")
            self.assertTrue(sys.stderr.closed)

    def test_ctrl_c_ends_both_sides_of_a_pipe(self):
        """As in ``client.py | tee``: there, the line under ^C can be read by nobody."""
        with mock.patch("sys.argv", ["client.py"]), mock.patch("sys.stdin", io.StringIO()):
            quitting = mock.Mock(side_effect=KeyboardInterrupt)
            output = mock.Mock(**{"write.side_effect": BrokenPipeError})
            with mock.patch("sys.stdout", output):
                self.assertEqual(protocol.run(quitting, "", 1), 130)
        output.close.assert_called_once_with()

    def test_an_error_cannot_change_the_terminal(self):
        error = "client.py: error: cannot find the host \\x1b[2J..; check --host"
        self.assert_ends(self.start("client.py", "--host", "\x1b[2J.."), 1, error)
