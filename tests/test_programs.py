"""The promises of the programs that take real ones: on terminals, between pipes."""

import io
import os
import re
import socket
import sys
import unittest
from unittest import mock

import protocol
import server
from protocol import CLIENT, HELP_TEXT, HINT, SERVER
from tests import programs
from tests.programs import PROMPT, PYTHON, Pipes, ProgramTest, Terminal, TerminalTest

try:
    import readline
    import termios
except ImportError:  # Windows
    readline = termios = None

GNU_READLINE = readline and "using GNU readline" in readline.__doc__
READLINE = {"TERM": "xterm"}
WARNING = "Whoever reaches this port first takes the seat; nothing is encrypted."


class ScreenTest(ProgramTest):
    """What is shown between pipes, where a line that is taken is shown behind its prompt."""

    def test_lines_that_wait_are_taken_turn_by_turn_and_the_end_of_input_quits(self):
        server, client = self.start_both()
        client.write("one\n\n/help\ntwo\n")
        server.write("eins\nzwei\n")
        client.process.stdin.close()
        self.assert_ends(client, 0)
        self.assert_ends(server, 0)
        answers = re.findall(r"^(?:Client|Server|The).*", server.shown, re.M)
        self.assertEqual(answers, ["Client: one", "Client: two", "The client quit."])
        self.assertIn(f"{PROMPT}/help\n{HELP_TEXT}\n{PROMPT}two\n", client.shown)
        self.assertTrue(client.shown.endswith(f"Server: zwei\n{PROMPT}\n"))

    def test_lines_that_end_in_cr_lf_are_taken_as_lines(self):
        server, client = self.start_both()
        client.write("hello\r\nplay\r\n5 mine\r\n")
        server.until("Client: hello\n")
        server.type("x", "1")
        server.until("Client: 5 mine\n")

    def test_bytes_that_are_not_text_are_refused_and_asked_again(self):
        server, client = self.start_both(PYTHONIOENCODING="utf-8:strict")
        client.write(b"caf\xe9\ncaf\xc3\xa9\n")
        client.until("caf\\udce9\nNot sent: the message holds bytes that are not text.")
        server.until("Client: café\n")

    def test_what_could_change_the_terminal_or_cannot_be_shown_is_shown_escaped(self):
        for self.kind in (Pipes, Terminal) if termios else (Pipes,):
            server, port = self.start_server(PYTHONIOENCODING="ascii", PYTHONUTF8="0")
            client = self.ends(Pipes(sys.executable, "client.py", "--port", port))
            client.type("Grüße 😀\x1b]0;t\x07\u202e")
            client.until("Grüße 😀\\x1b]0;t\\x07\\u202e\n")
            server.until("Client: Gr\\xfc\\xdfe \\U0001f600\\x1b]0;t\\x07\\u202e\n")

    def test_a_chat_and_a_game_without_a_warning_or_assertions(self):
        for flags in (("-bb", "-X", "dev", "-W", "error"), ("-OO",)):
            server, port = self.start_server(*flags, "server.py", "--port", "0")
            client = self.start(*flags, "client.py", "--port", port)
            client.write("x\n5 take that\n1\nresign\n")
            server.type("play", "5", "2", "/q")
            self.assert_ends(client, 0)
            self.assert_ends(server, 0)
            self.assertNotIn("Warning", client.shown + server.shown)


class TypingTest(TerminalTest):
    """What is typed on terminals."""

    def test_a_line_is_shown_once_where_input_alone_or_output_alone_is_a_terminal(self):
        for command in ("{} | cat", "printf 'x\n' | {}"):
            server, port = self.start_server()
            program = f"{PYTHON} client.py --port {port}"
            client = self.ends(Terminal("sh", "-c", command.format(program)))
            client.until(PROMPT)
            if command.endswith("cat"):
                client.write("x\n")
            server.until(PROMPT)
            client.until("Waiting for the server...\n")
            self.assertEqual(client.shown.count("x\n"), 1)

    @mock.patch("builtins.input", return_value="a line")
    def test_the_prompt_is_given_to_input_so_that_readline_knows_where_the_line_begins(self, asked):
        with mock.patch("sys.stdin.isatty", return_value=True):
            self.assertEqual(protocol.read_line(PROMPT), "a line")
        asked.assert_called_once_with(PROMPT)

    def test_a_line_can_be_edited_and_called_back(self):
        server, client = self.start_both(**READLINE)
        client.until(PROMPT)
        client.write("worl\x1bOD\x1bODxx\x7f\x7f\x01hello \x05d\n")
        server.until("Client: hello world\n")
        server.type("y")
        client.until(PROMPT)
        client.write("\x1bOA\n")
        server.until("Client: hello world\n")

    def test_early_lines_and_pastes_are_taken_turn_by_turn_with_readline_and_without(self):
        without = programs.changed("sys.modules['readline'] = None", "client")
        for command, terminal in ((["client.py"], READLINE), (["client.py"], {}), (without, {})):
            server, port = self.start_server()
            client = self.start(*command, "--port", port, **terminal)
            client.until(PROMPT)
            client.write("pasted one\npasted two\n")
            server.type("a")
            server.until("Client: pasted two\n")
            client.until("Server: a\n")
            client.until("Waiting for the server...\n")
            client.type_early("early three\nearly four\n/q\n")
            for line in ("Client: early three\n", "Client: early four\n", "The client quit.\n"):
                server.write("b\n")
                server.until(line)
            self.assert_ends(client, 0)

    def test_ctrl_d_quits(self):
        server, client = self.start_both()
        client.type_keys("\x04")
        server.until("The client quit.\n")
        self.assert_ends(client, 0)
        self.assertRegex(client.shown, rf"{PROMPT}(\^D[\x08]*)?\n$")

    @unittest.skipUnless(GNU_READLINE, "libedit and PyPy's editor take no such letters there")
    def test_letters_beyond_ascii_are_typed_and_sent_as_they_are_in_the_c_locale(self):
        text = "Vous êtes là, Übermaß, Привет, 日本語"
        for locale in ("C", "POSIX"):
            server, client = self.start_both(LC_ALL=locale, PYTHONUTF8="", **READLINE)
            client.until(PROMPT)
            for letter in text:  # At once, readline would take them without a look at each.
                client.write(letter)
                client.until(letter)
            client.write("\n")
            server.until(f"Client: {text}\n")

    def test_what_was_typed_and_not_taken_does_not_reach_the_shell(self):
        for tee, end in (("", "quit.\n"), ("| cat", "busy with another client?\n")):
            server, port = self.start_server()
            command = f"stty -a; {PYTHON} client.py --port {port} {tee}; stty -a; cat"
            client = self.ends(Terminal("sh", "-c", command))
            settings = client.until("Connected to ").partition("flusho")[0]
            client.type("x")
            client.until("Waiting for the server...\n")
            client.type_early("echo early\nhalf a li")
            server.until(PROMPT)
            server.write("/q\n") if not tee else server.end()
            client.until(end)
            self.assertEqual(client.until("flusho"), settings)
            client.until("\n")
            client.write("end\n")
            self.assertEqual(client.until("end\nend\n").partition("\n")[2], "")

    def test_a_terminal_that_cannot_discard_is_no_error_and_in_the_background_it_is_not_asked(self):
        for group, asked in ((os.getpgrp(), [mock.call(0, termios.TCIFLUSH)]), (1, [])):
            groups = mock.patch("os.tcgetpgrp", return_value=group)
            flush = mock.patch("termios.tcflush", side_effect=termios.error)
            with groups as tcgetpgrp, flush as tcflush:
                protocol.discard_typed()
            self.assertEqual(tcflush.mock_calls, asked)
            tcgetpgrp.assert_called_once_with(0)


class AddressTest(ProgramTest):
    def test_one_line_says_what_can_be_typed_right_after_who_connected(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            near, far = socket.create_connection(listener.getsockname()), listener.accept()[0]
        for sock, me, connected in ((near, CLIENT, "to"), (far, SERVER, "by")):
            told = f"Connected {connected} 127.0.0.1:{sock.getpeername()[1]}"
            shown, discarded = mock.patch("protocol.show"), mock.patch("protocol.discard_typed")
            with shown as show, discarded as discard, protocol.open_chat(sock, me):
                self.assertEqual(show.mock_calls, [mock.call(told), mock.call(HINT)])
                self.assertTrue(sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
            discard.assert_called_once_with()
        for word in ("/q", "play", "/help"):
            self.assertIn(word, HINT)

    def assert_meet(self, server_host, client_host, listening, warned=False):
        server, port = self.start_server("server.py", "--port", "0", "--host", server_host)
        self.assertEqual(server.shown.splitlines()[0], f"Listening on {listening}:{port}")
        client = self.start("client.py", "--host", client_host, "--port", port)
        client.type("x")
        server.until("Client: x\n")
        self.assertEqual(server.shown.splitlines()[1] == WARNING, warned)

    def test_names_and_addresses_work(self):
        self.assert_meet("localhost", "127.0.0.1", "127.0.0.1")
        self.assert_meet("0.0.0.0", "localhost", "0.0.0.0", warned=True)

    def test_a_server_that_other_machines_may_reach_warns(self):
        mine = ("127.0.0.1", 1), ("127.8.0.9", 1), ("::1", 1, 0, 0)
        others = ("192.168.1.5", 1), ("10.0.0.1", 1), ("0.0.0.0", 1), ("::", 1, 0, 0)
        for address in (*mine, *others, ("1.127.0.1", 1), ("12.7.0.1", 1), ("::1234", 1, 0, 0)):
            listener = mock.Mock(**{"getsockname.return_value": address})
            listen = mock.patch("server.listen", return_value=listener)
            with listen, mock.patch("server.chat_with_client"), mock.patch("protocol.show") as show:
                server.serve("host", 1)
            self.assertEqual(mock.call(WARNING) in show.mock_calls, address not in mine, address)

    def test_addresses_are_told_in_numbers(self):
        for host, text in (("192.0.2.1", "192.0.2.1:80"), ("fe80::1%eth0", "[fe80::1%eth0]:80")):
            with mock.patch("socket.getnameinfo", return_value=(host, "80")) as name:
                self.assertEqual(protocol.address_text((host, 80)), text)
            numbers = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
            name.assert_called_once_with((host, 80), numbers)

    @unittest.skipUnless(socket.has_dualstack_ipv6(), "this system has no IPv6")
    def test_ipv6_works_with_brackets_and_without_and_on_all_addresses_for_ipv4_too(self):
        self.assert_meet("::1", "[::1]", "[::1]")
        self.assert_meet("[::1]", "::1", "[::1]")
        self.assert_meet("::", "127.0.0.1", "[::]", warned=True)

    def test_the_same_port_works_again_straight_after_a_chat(self):
        server, client = self.start_both()
        server.write("/q\n")
        client.type("x")
        self.assert_ends(server, 0)
        port = re.search(r":(\d+)\n", client.shown)[1]
        self.assertEqual(self.start_server("server.py", "--port", port)[1], port)


class ArgumentsTest(unittest.TestCase):
    def test_input_and_output_may_be_other_than_files_as_in_idle(self):
        with mock.patch("sys.stdin", io.StringIO()), mock.patch("sys.stdout", io.StringIO()):
            self.assertIsNone(protocol.prepare_streams())

    def test_help_tells_the_defaults(self):
        for program, lowest in (("server.py", 0), ("client.py", 1)):
            done = programs.run(program, "--help")
            text = " ".join(done.stdout.split())
            self.assertIn("--host HOST name, IPv4 or IPv6 address (default: 127.0.0.1)", text)
            self.assertIn(f"--port PORT {lowest} to 65535 (default: 3720)", text)
            self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_wrong_arguments_are_told_with_status_2(self):
        for command in (("server.py", "--port", "http"), ("client.py", "extra")):
            done = programs.run(*command)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertRegex(done.stderr, rf"(?s)^usage: .*\n{command[0]}: error: .*\n$")

    def test_the_ports_end_where_the_range_ends(self):
        for text, lowest in (("0", 0), ("1", 1), ("65535", 1), ("3720", 1)):
            given = ["--port", text] if text != "3720" else []  # the default
            with mock.patch("sys.argv", ["", *given]), mock.patch("sys.stdin"):
                self.assertEqual(protocol.parse_arguments("", lowest), ("127.0.0.1", int(text)))
        for text, lowest in (("-1", 0), ("0", 1), ("65536", 0)):
            given = mock.patch("sys.argv", ["program", "--port", text])
            with given, mock.patch("argparse.ArgumentParser.error", side_effect=SystemExit) as told:
                self.assertRaises(SystemExit, protocol.parse_arguments, "", lowest)
            told.assert_called_once_with(f"argument --port: {text} is not in {lowest} to 65535")

    @unittest.skipIf(os.name == "nt", "Windows starts no program without these streams")
    def test_without_standard_input_output_or_error_a_program_does_not_begin(self):
        told = "server.py: error: standard input, output and error must be open\n"
        for fd in (0, 1, 2):
            done = programs.run("server.py", "--port", "0", preexec_fn=lambda fd=fd: os.close(fd))
            self.assertNotIn("Listening", done.stdout)
            if fd != 2:
                self.assertEqual((done.returncode, done.stderr.endswith(told)), (2, True))
