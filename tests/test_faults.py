"""Every fault of the contract, made to happen to the real programs."""

import contextlib
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
import unittest
from unittest import mock

import client as client_module
import protocol
import server as server_module
from protocol import HINT, NOT_SENT, SERVER, SERVER_QUESTION
from tests import programs
from tests.programs import PROMPT, PYTHON, SECONDS, UNSURE, ProgramTest, Terminal, TerminalTest
from tests.wire import frames, reset

LOST_CLIENT = "server.py: error: the connection to the client was lost"
LOST_SERVER = "client.py: error: the connection to the server was lost"
WAITING = "Waiting for a client... (Ctrl-C quits)\n"
BREACHES = (
    (b"\xff" * 4, "the frame announces 4294967295 bytes, more than 4096"),
    (b"\0\0\0\1\xff", "the frame holds bytes that are not UTF-8"),
    (b"GET / HTTP/1.1\r\n\r\n", "the frame announces 1195725856 bytes, more than 4096"),
    (bytes.fromhex("16030100f4010000f0"), "the frame announces 369295616 bytes, more than 4096"),
    (b"\0\0\0\5/q", "the stream ended inside a frame"),
)


class ConnectingTest(ProgramTest):
    def connect(self, port):
        sock = socket.create_connection(("127.0.0.1", int(port)), SECONDS)
        self.addCleanup(sock.close)
        return sock

    def assert_told(self, sentence, act, *arguments):
        self.assertRaisesRegex(protocol.ChatError, f"^{re.escape(sentence)}$", act, *arguments)

    def test_an_unknown_host_is_told_by_a_program_that_is_started_from_anywhere(self):
        with tempfile.TemporaryDirectory() as elsewhere:
            for program in ("server.py", "client.py"):
                done = programs.run(str(programs.ROOT / program), "--host", "a..b", cwd=elsewhere)
                told = f"{program}: error: cannot find the host a..b; check --host\n"
                self.assertEqual((done.returncode, done.stderr), (1, told))

    @mock.patch("socket.create_connection", side_effect=socket.timeout("timed out"))
    def test_a_host_that_does_not_answer_is_given_20_seconds(self, connect):
        told = f"cannot connect to host port 1: timed out; {SERVER_QUESTION}"
        self.assert_told(told, client_module.connect, "host", 1)
        connect.assert_called_once_with(("host", 1), 20)

    def test_the_limit_is_only_for_connecting(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            sock = client_module.connect(*listener.getsockname())
        with sock:
            self.assertIsNone(sock.gettimeout())

    @mock.patch("socket.create_connection", side_effect=KeyboardInterrupt)
    @mock.patch("sys.argv", ["client.py"])
    def test_ctrl_c_ends_a_client_that_connects(self, _):
        with mock.patch("protocol.show") as show:
            self.assertEqual(client_module.main(), 130)
        told = [mock.call("Connecting to the server... (Ctrl-C quits)"), mock.call("")]
        self.assertEqual(show.mock_calls, told)

    @mock.patch("socket.create_server", side_effect=PermissionError(13, "Permission denied"))
    def test_a_port_that_is_forbidden(self, _):
        told = "cannot listen: Permission denied; choose another --port or --host"
        self.assert_told(told, server_module.listen, "127.0.0.1", 1)

    def test_the_server_looks_a_name_up_for_ipv4_and_what_is_not_found_is_told(self):
        families = {"name": socket.AF_INET, "::1": socket.AF_INET6, "127.0.0.1": socket.AF_INET}
        for host, family in families.items():
            with mock.patch("socket.getaddrinfo", side_effect=socket.gaierror) as look_up:
                told = f"cannot find the host {host}; check --host"
                self.assert_told(told, server_module.listen, host, 1)
                look_up.assert_called_once_with(host, 1, family, socket.SOCK_STREAM)
                self.assert_told(told, client_module.connect, host, 1)
        # The number of the network card is in the address that was looked up.
        address = ("fe80::1", 1, 0, 7)
        found = mock.patch("socket.getaddrinfo", return_value=[(0, 0, 0, "", address)])
        with found, mock.patch("socket.create_server") as create_server:
            server_module.listen("fe80::1%card", 1)
        self.assertEqual(create_server.call_args[0], (address,))

    def test_strangers_are_reported_in_a_line_each_and_the_client_gets_in(self):
        server, port = self.start_server()
        server.until(WAITING)
        for sent, why in (*BREACHES, (b"", None)):
            stranger = self.connect(port)
            stranger.sendall(sent)
            stranger.shutdown(socket.SHUT_WR)
            error = f"server.py: error: the client broke the rules: {why}" if why else LOST_CLIENT
            address = f"127.0.0.1:{stranger.getsockname()[1]}"
            shown = f"Connected by {address}\n{HINT}\nWaiting for the client...\n{error}\n"
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
        listener = mock.MagicMock(**{"accept.side_effect": OSError(103, "Aborted")})
        select = mock.patch("select.select", side_effect=[[[]], [[listener]]])
        shown = mock.patch.multiple("protocol", show=mock.DEFAULT, report=mock.DEFAULT)
        with select as wait, shown as told:
            self.assertFalse(server_module.chat_with_client(listener))
        told["report"].assert_called_once_with("cannot accept a client: Aborted")
        listener.__exit__.assert_called_once()
        self.assertEqual(wait.mock_calls, [mock.call([listener], [], [], 1)] * 2)

    def test_a_client_that_has_left_before_it_could_be_greeted(self):
        sock, stranger = socket.socketpair()
        stranger.close()
        gone = mock.patch("protocol.address_text", side_effect=OSError(107, "Not connected"))
        with gone, mock.patch("protocol.show") as show, protocol.open_chat(sock, SERVER) as chat:
            self.assert_told("the connection to the client was lost", chat.hear)
        self.assertEqual(sock.fileno(), -1)
        show.assert_any_call("Connected by a peer that has already left")

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
            third.until(f"; {SERVER_QUESTION}\n")
            self.assert_ends(third, 1)
            self.assertNotIn("Connected", third.shown)

    def test_a_tunnel_without_a_server_behind_it(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            client = self.start("client.py", "--port", str(listener.getsockname()[1]))
            listener.accept()[0].close()
        client.type("x")
        client.until(NOT_SENT + "\n")
        self.assert_ends(client, 1, f"{LOST_SERVER}; {SERVER_QUESTION}")

    def test_the_server_listens_again_on_the_address_that_was_given(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            listen = mock.Mock(return_value=listener)
            chat = mock.Mock(side_effect=[False, True])
            known = mock.patch.multiple("server", listen=listen, chat_with_client=chat)
            with known, mock.patch("protocol.show"):
                server_module.serve("the host", 0)
        self.assertEqual(listen.mock_calls, [mock.call("the host", 0), mock.call("the host", port)])


@programs.posix_only
class PortTest(ProgramTest):
    """The port is the server's as long as it runs; on Windows only while it listens."""

    def can_be_taken(self, host, port):
        """Return whether someone else, another user if possible, can listen at that address."""
        taker = os.fork()
        if taker:
            return os.waitpid(taker, 0)[1] == 0
        with contextlib.suppress(OSError):
            os.setuid(65534)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with contextlib.suppress(OSError), socket.socket(family) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host, int(port)))
            sock.listen()
            os._exit(0)
        os._exit(1)

    def test_nobody_else_can_take_the_port_while_the_server_has_a_client(self):
        for host in ["127.0.0.1", "0.0.0.0"] + ["::1"] * socket.has_dualstack_ipv6():
            server, port = self.start_server("server.py", "--port", "0", "--host", host)
            server.until(WAITING)
            for _ in ("a stranger", "another one"):
                self.assertFalse(self.can_be_taken(host, port))
                with socket.create_connection((host, int(port)), SECONDS):
                    server.until("Waiting for the client...\n")
                    self.assertFalse(self.can_be_taken(host, port))
                    if host == "0.0.0.0":  # On Linux, all of 127.0.0.0/8 is this machine.
                        self.assertFalse(self.can_be_taken("127.0.0.9", port))
                server.until(WAITING)
            server.end()
            self.assertTrue(self.can_be_taken(host, port))

    def test_a_second_server_is_refused_and_a_killed_one_is_restarted_at_once(self):
        server, port = self.start_server()
        client = self.start("client.py", "--port", port)
        client.type("x")
        server.until(PROMPT)
        second = self.start("server.py", "--port", port)
        second.until("server.py: error: cannot listen: ")
        second.until("; choose another --port or --host\n")
        self.assert_ends(second, 1)
        server.process.kill()
        server.process.wait()
        again, _ = self.start_server("server.py", "--port", port)
        self.start("client.py", "--port", port).type("y")
        again.until("Client: y\n")

    def test_a_port_that_is_lost_is_an_error(self):
        with socket.create_server(("127.0.0.1", 0)) as thief:
            sock, peer = socket.socketpair()
            told = "cannot keep the port: Address already in use"
            accepted = mock.patch("server.accept_client", return_value=sock)
            lost = self.assertRaisesRegex(protocol.ChatError, f"^{told}$")
            with peer, accepted, lost, mock.patch("protocol.show"):
                server_module.chat_with_client(thief)
            self.assertEqual(sock.fileno(), -1)


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
            self.assert_ends(client, 1, f"{LOST_SERVER}{UNSURE}; {SERVER_QUESTION}")
            self.assertEqual(server.process.wait(SECONDS), -number)

    @unittest.skipIf(programs.PYPY, "PyPy takes Ctrl-C even if it was ignored")
    def test_ctrl_c_that_was_ignored_at_the_start_stays_ignored(self):
        server, port = self.start_server()
        command = f"trap '' INT; exec {PYTHON} client.py --port {port}"
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
            shell.write(f"{PYTHON} client.py --port {port}\n")
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

    def test_ctrl_c_where_output_is_gone_or_closed_or_as_it_is_pressed_again(self):
        """As in ``client.py | tee``: there, the line under ^C can be read by nobody."""

        def quit_(*_):
            raise KeyboardInterrupt

        def close_and_quit(*_):
            sys.stdout.close()
            raise KeyboardInterrupt

        for program in (quit_, close_and_quit):
            reader, writer = os.pipe()
            os.close(reader)
            with open(os.devnull) as stdin, open(writer, "w") as stdout:
                streams = {"stdin": stdin, "stdout": stdout, "argv": ["client.py"]}
                with mock.patch.multiple("sys", **streams):
                    self.assertEqual(protocol.run(program, "", 1), 130)
                self.assertTrue(stdout.closed)
        pressed = mock.patch("protocol.show", side_effect=KeyboardInterrupt)
        with mock.patch("sys.argv", ["client.py"]), pressed as show:
            self.assertEqual(protocol.run(quit_, "", 1), 130)
        show.assert_called_once_with("")

    def test_an_error_cannot_change_the_terminal(self):
        error = "client.py: error: cannot find the host \\x1b[2J..; check --host"
        self.assert_ends(self.start("client.py", "--host", "\x1b[2J.."), 1, error)
