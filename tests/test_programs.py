"""The promises of the contract that take real programs: on terminals, between pipes."""

import contextlib
import io
import re
import signal
import socket
import subprocess
import sys
import unittest
from unittest import mock

import protocol
from protocol import HELP_TEXT, HINT
from server import listen, serve
from tests.terminal import PROMPT, ROOT, Terminal, TerminalTest, changed

HELP_LINE = HINT + "\n"


def has_ipv6():
    with contextlib.suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return True
    return False


class TurnsTest(TerminalTest):
    def test_each_end_says_whom_it_met_and_what_can_be_typed(self):
        server, port = self.start_server()
        client = self.start_client(port)
        self.assertEqual(client.until(PROMPT), f"Connected to 127.0.0.1:{port}\n{HELP_LINE}")
        shown = server.until("Waiting for the client...\n")
        self.assertRegex(shown, rf"^Connected by 127\.0\.0\.1:\d+\n{re.escape(HELP_LINE)}$")

    def test_turns_alternate_and_the_prompt_is_there_in_ones_own_turn_only(self):
        server, client = self.start_both()
        for turn in range(3):
            client.type(f"question {turn}")
            self.assertEqual(client.until("Waiting for the server...\n"), f"question {turn}\n")
            heard = server.until(PROMPT)
            self.assertTrue(heard.endswith(f"Client: question {turn}\n"), heard)
            server.write(f"answer {turn}\n".encode())
            self.assertEqual(server.until("Waiting for the client...\n"), f"answer {turn}\n")
            self.assertEqual(client.until(f"Server: answer {turn}\n"), "")
        client.type("/q")
        self.assert_ends(client, 0)
        self.assert_ends(server, 0)
        self.assertEqual((client.shown.count(PROMPT), server.shown.count(PROMPT)), (4, 3))

    def test_text_in_any_script_goes_both_ways(self):
        server, client = self.start_both()
        for text in ("Grüße", "שלום", "日本語", "👩‍👩‍👧 e\u0301"):
            client.type(text)
            server.until(f"Client: {text}\n")
            server.type(text)
            client.until(f"Server: {text}\n")

    def test_4096_bytes_are_delivered_and_4097_refused_and_asked_again(self):
        server, client = self.start_both(TERM="xterm")
        client.type("é" * 2048 + "x")
        client.until("Not sent: it takes 4097 bytes and the limit is 4096.\n")
        client.type("é" * 2048)
        server.until("Client: " + "é" * 2048 + "\n")

    def test_blanks_and_help_ask_again(self):
        server, client = self.start_both()
        client.type("")
        client.type("   ")
        client.type("/help")
        self.assertEqual(client.until(PROMPT), "/help\n" + HELP_TEXT + "\n")
        client.write(b"x\n")
        self.assertTrue(server.until("Client: x\n").endswith("Waiting for the client...\n"))

    def test_quit_from_the_server_ends_both(self):
        server, client = self.start_both()
        client.type("x")
        server.type("/q")
        client.until("The server quit.\n")
        self.assert_ends(server, 0)
        self.assert_ends(client, 0)

    def test_end_of_input_ends_both(self):
        server, client = self.start_both()
        client.until(PROMPT)
        client.write(b"\x04")
        server.until("The client quit.\n")
        self.assert_ends(client, 0)
        self.assert_ends(server, 0)

    def test_what_was_typed_at_the_prompt_can_be_edited_and_called_back(self):
        server, client = self.start_both(TERM="xterm", INPUTRC="/dev/null")
        client.until(PROMPT)
        client.write(b"worl\x1bOD\x1bODxx\x7f\x7f\x01hello \x05d\n")
        server.until("Client: hello world\n")
        server.type("y")
        client.until(PROMPT)
        client.write(b"\x0c")  # Ctrl-L clears the screen; the prompt comes again.
        client.until(PROMPT)
        client.write(b"\x1bOA\n")
        server.until("Client: hello world\n")

    def test_a_line_finished_before_the_prompt_is_told_and_not_sent(self):
        server, client = self.start_both(TERM="xterm", INPUTRC="/dev/null")
        client.type("x")
        client.until("Waiting for the server...\n")
        client.type_early(b"\nvor\x1bschn\x0cell\xff\nzw\0ei\rdrei\nund ")
        server.type("y")
        self.assertEqual(
            client.until("drei\n"),
            "Server: y\n"
            "Not sent, as typed before the prompt: vor\\x1bschn\\x0cell\\udcff\n"
            "Not sent, as typed before the prompt: zw\\x00ei\n"
            "Not sent, as typed before the prompt: ",
        )
        client.until(PROMPT)
        client.write(b"noch etwas\n")
        server.until("Client: und noch etwas\n")
        server.type("z")
        client.until(PROMPT)
        client.write(b"\x1bOA\x1bOA\n")
        server.until("Client: drei\n")

    def test_what_was_typed_early_is_told_at_the_end_and_kept_from_the_shell(self):
        server, port = self.start_server()
        command = f"stty -a; {sys.executable} client.py --port {port}; stty -a; cat"
        client = self.ends(Terminal("sh", "-c", command))
        settings = client.until("Connected to ")
        client.type("x")
        client.until("Waiting for the server...\n")
        client.type_early(b"echo early\nhalf a li")
        server.type("/q")
        client.until("The server quit.\nNot sent, as typed before the prompt: echo early\n")
        self.assertEqual(client.until("flusho"), settings.partition("flusho")[0])
        client.write(b"end\n")
        self.assertNotIn("early", client.until("end\nend\n"))

    def test_nothing_is_echoed_while_nobody_has_connected(self):
        server, port = self.start_server()
        server.type_early(b"early\n")
        self.start_client(port)
        self.assertEqual(server.until("Connected by "), "")

    def test_the_terminal_is_seen_to_also_if_output_goes_through_a_pipe(self):
        server, port = self.start_server()
        command = f"{sys.executable} client.py --port {port} | cat"
        client = self.ends(Terminal("sh", "-c", command))
        client.type("x")
        client.until("Waiting for the server...\n")
        client.type_early(b"early\n")
        server.type("y")
        self.assertEqual(
            client.until(PROMPT), "Server: y\nNot sent, as typed before the prompt: early\n"
        )
        client.write(b"z\n")
        server.until("Client: z\n")
        server.type("/q")
        client.until("The server quit.\n")
        self.assert_ends(client, 0)

    def test_end_of_input_while_waiting_quits_when_the_turn_comes(self):
        server, client = self.start_both()
        client.type("x")
        client.until("Waiting for the server...\n")
        client.write(b"\x04")
        server.type("y")
        server.until("The client quit.\n")
        self.assert_ends(client, 0)
        self.assertTrue(client.shown.endswith("Server: y\n"), client.shown)

    def test_a_whole_game_a_rematch_and_the_score(self):
        server, client = self.start_both()
        client.type("play")
        for line in ("1", "4 not that", "2", "5", "3"):
            mover, other = (server, client) if line in "123" else (client, server)
            mover.type(line)
            other.until(f": {line}\n")
        server.until("You win: squares 1, 2, 3.\nYou 1, client 0, drawn 0\n")
        client.until("You lose: squares 1, 2, 3.\nYou 0, server 1, drawn 0\n")
        client.type("again?")
        server.type("play")
        client.until("You are X: your move (resign declines).\n")
        client.type("resign")
        server.until("The client declined the game.\n")
        server.type("play")
        for mover, line in zip((client, server) * 5, "513746829"):
            mover.type(line)
        for end, other in ((server, "client"), (client, "server")):
            mine = 1 if end is server else 0
            end.until(f"Draw.\nYou {mine}, {other} {1 - mine}, drawn 1\n")
        server.type("play")
        client.type("5")
        server.type("resign")
        client.until("You win: the server resigned.\nYou 1, server 1, drawn 1\n")
        client.type("/q")
        self.assert_ends(server, 0)


class AddressTest(TerminalTest):
    def assert_meet(self, server_host, client_host, listening):
        server, port = self.start_server("--port", "0", "--host", server_host)
        self.assertRegex(server.shown, rf"^Listening on {listening}:[1-9]\d*\n")
        client = self.start_client(port, "--host", client_host)
        client.type("x")
        server.until("Client: x\n")
        return server

    def test_a_name_works(self):
        self.assert_meet("localhost", "localhost", r"127\.0\.0\.1")

    def test_an_ipv4_address_works(self):
        server = self.assert_meet("127.0.0.2", "127.0.0.2", r"127\.0\.0\.2")
        self.assertNotIn("encrypted", server.shown)

    @unittest.skipUnless(has_ipv6(), "this system has no IPv6 loopback address")
    def test_an_ipv6_address_works(self):
        server = self.assert_meet("::1", "::1", r"\[::1\]")
        self.assertNotIn("encrypted", server.shown)

    def test_a_name_with_both_addresses_is_listened_for_on_ipv4(self):
        ipv6 = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 0, 0, 0))
        ipv4 = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))
        with mock.patch("socket.getaddrinfo", return_value=[ipv6, ipv4]):
            listener = listen("both", 0)
        with listener:
            self.assertEqual(listener.getsockname()[0], "127.0.0.1")

    def test_a_server_that_others_can_reach_warns_of_it(self):
        server = self.assert_meet("0.0.0.0", "127.0.0.1", r"0\.0\.0\.0")
        self.assertEqual(
            server.shown.splitlines()[1],
            "Whoever reaches this port first takes the seat, and nothing is encrypted.",
        )

    @mock.patch.multiple("protocol", show=mock.DEFAULT, set_alarm=mock.DEFAULT)
    @mock.patch.multiple("server", listen=mock.DEFAULT, hear_first=mock.DEFAULT)
    def test_all_addresses_but_loopback_ones_are_warned_of(self, show, listen, hear_first, **_):
        hear_first.side_effect = EOFError
        loopback = ("127.0.0.1", "127.9.9.9", "::1")
        for address in (*loopback, "128.0.0.1", "0.0.0.0", "::", "2001:db8::1", "fe80::1"):
            show.reset_mock()
            listen().__enter__().getsockname.return_value = (address, 1)
            with self.subTest(address), self.assertRaises(EOFError):
                serve(address, 1)
            self.assertEqual(show.call_count, 1 if address in loopback else 2)

    def test_the_same_port_works_again_straight_after_a_chat(self):
        server, port = self.start_server()
        for quitter in ("server", "client"):
            client = self.start_client(port)
            client.type("x")
            if quitter == "server":
                server.type("/q")
            else:
                server.type("y")
                client.type("/q")
            self.assert_ends(server, 0)
            self.assert_ends(client, 0)
            server, again = self.start_server("--port", port)
            self.assertEqual(again, port)


class ArgumentsTest(TerminalTest):
    def output(self, *command):
        return subprocess.run(
            [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=20
        )

    def test_help_tells_the_defaults(self):
        for program, lowest in (("server.py", 0), ("client.py", 1)):
            done = self.output(program, "--help")
            text = " ".join(done.stdout.split())
            self.assertIn("--host HOST name, IPv4 or IPv6 address (default: localhost)", text)
            self.assertIn(f"--port PORT {lowest} to 65535 (default: 3720)", text)
            self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_wrong_arguments_are_told_with_status_2(self):
        for command in (("server.py", "--port", "http"), ("client.py", "extra")):
            done = self.output(*command)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertRegex(done.stderr, rf"(?s)^usage: .*\n{command[0]}: error: .*\n$")

    def test_every_port_of_the_range_is_taken_and_no_other(self):
        for text, lowest in (("0", 0), ("1", 1), ("65535", 1)):
            with mock.patch("sys.argv", ["program", "--port", text]):
                self.assertEqual(protocol.parse_arguments("", lowest), ("localhost", int(text)))
        for text, lowest in (("-1", 0), ("0", 1), ("65536", 0)):
            given = mock.patch("sys.argv", ["program", "--port", text])
            refused, told = self.assertRaises(SystemExit), io.StringIO()
            with given, refused as caught, contextlib.redirect_stderr(told):
                protocol.parse_arguments("", lowest)
            self.assertEqual(caught.exception.code, 2)
            self.assertIn(f"--port: {text} is not in {lowest} to 65535\n", told.getvalue())

    def test_programs_without_standard_input_or_output_say_so(self):
        for closed in ("<&-", ">&-"):
            done = subprocess.run(
                ["sh", "-c", f"exec {sys.executable} server.py --port 0 {closed}"],
                cwd=ROOT,
                stderr=subprocess.PIPE,
                text=True,
                timeout=20,
            )
            self.assertEqual(done.returncode, 2)
            self.assertIn(
                "server.py: error: standard input, output and error must be open\n", done.stderr
            )


class OtherSystemsTest(TerminalTest):
    def test_they_work_without_what_windows_lacks(self):
        lacking = (
            "import signal; sys.modules['readline'] = None; "
            "del signal.SIGHUP, signal.setitimer, signal.pthread_sigmask"
        )
        server, port = self.start_server()
        client = self.start(*changed(lacking, "client", "--port", port))
        client.type("x")
        client.until("Waiting for the server...\n")
        client.type_early(b"early\n")
        server.type("y")
        client.until("Server: y\nNot sent, as typed before the prompt: early\n")
        client.type("z")
        server.until("Client: z\n")
        server.type("/q")
        client.until("The server quit.\n")
        self.assert_ends(client, 0)
        lacking += "; import os, protocol; sys.modules['termios'] = None; "
        lacking += "del os.tcgetpgrp; os.name = 'nt'"
        server = self.start(*changed(lacking, "server", "--port", "0"))
        server.until("Listening on ")
        server.until("\n")
        while server.process.poll() is None:
            server.process.send_signal(signal.SIGINT)  # Without the alarm it may take two.
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.process.wait(0.5)
        self.assert_ends(server, 130)

    def test_standard_streams_can_be_anything_that_reads_and_writes(self):
        server, port = self.start_server()
        given = "import io; sys.stdin = io.StringIO('x\\n')"
        client = self.start(*changed(given, "client", "--port", port))
        server.until("Client: x\n")
        server.type("y")
        client.until("Server: y\n")
        self.assert_ends(client, 0)


class PipesTest(TerminalTest):
    def test_every_line_and_the_prompt_come_through_pipes_at_once(self):
        server = self.start_between_pipes("server.py", "--port", "0")
        port = server.until(b"\n").decode().rpartition(":")[2].strip()
        client = self.start_between_pipes("client.py", "--port", port)
        client.until(PROMPT.encode())
        server.until(b"Waiting for the client...\n")
        client.write("Grüße\n".encode())
        self.assertEqual(client.until(b"\n"), b"Waiting for the server...\n")
        self.assertEqual(server.until(PROMPT.encode()), f"Client: Grüße\n{PROMPT}".encode())
        server.write(b"hello\n")
        self.assertEqual(client.until(PROMPT.encode()), f"Server: hello\n{PROMPT}".encode())
        self.assertEqual(client.finish(), (0, b"\n", b""))
        self.assertEqual(
            server.finish(), (0, b"Waiting for the client...\nThe client quit.\n", b"")
        )

    def test_lines_that_wait_in_a_pipe_are_taken_turn_by_turn(self):
        server = self.start_between_pipes("server.py", "--port", "0")
        port = server.until(b"\n").decode().rpartition(":")[2].strip()
        client = self.start_between_pipes("client.py", "--port", port)
        client.write(b"one\ntwo\n")
        server.write(b"eins\nzwei\n")
        status, shown, _ = client.finish()
        self.assertEqual((status, shown.count(b"Server: ")), (0, 2))
        status, shown, _ = server.finish()
        self.assertEqual((status, shown.count(b"Client: ")), (0, 2))


if __name__ == "__main__":
    unittest.main()
