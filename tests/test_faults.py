"""Every fault of the contract, made to happen to the real programs."""

import contextlib
import ctypes
import errno
import os
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
import unittest
from unittest.mock import Mock, patch

import protocol
from protocol import ESCAPES, Connection
from server import hear_first, let_in
from tests.terminal import PROMPT, ROOT, SECONDS, Terminal, TerminalTest, changed

LOST_CLIENT = "the connection to the client was lost"
QUIT_FRAME = b"\0\0\0\2/q"
BREACHES = (
    (bytes.fromhex("ffffffff"), "it announced 4294967295 bytes, the limit is 4096"),
    (bytes.fromhex("00001001") + b"x" * 4097, "it announced 4097 bytes, the limit is 4096"),
    (b"\0\0\0\1\xff", "it sent bytes that are not UTF-8"),
    (
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "it announced 1195725856 bytes, the limit is 4096",
    ),
    (bytes.fromhex("16030100f4010000f00303"), "it announced 369295616 bytes, the limit is 4096"),
)
CUT = ((b"\0\0", "it ended inside a frame"), (b"\0\0\0\5/q", "it ended inside a frame"))


def reset(sock):
    """Close a socket so that the other end gets a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def read_all(sock):
    """Return all bytes up to the end of the stream."""
    got = b""
    while more := sock.recv(65536):
        got += more
    return got


class FaultTest(TerminalTest):
    """A test with a real program at one end and a socket of the test's at the other."""

    def connect(self, port):
        sock = socket.create_connection(("127.0.0.1", int(port)), timeout=SECONDS)
        self.prepare(sock)
        return sock

    def prepare(self, sock):
        self.addCleanup(sock.close)
        sock.settimeout(SECONDS)
        # What a test sends must be there when it goes on, not wait for an acknowledgement.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def server_and_peer(self, *heard):
        """Return a server that has heard and answered these messages of its peer, and that."""
        server, port = self.start_server()
        peer = self.connect(port)
        for text in heard:
            Connection(peer).send(text)
            server.type("ok")
            self.assertEqual(Connection(peer).receive(), "ok")
        return server, peer

    def client_and_peer(self, change=""):
        """Return a client at its first prompt, and its peer."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = str(listener.getsockname()[1])
            client = (
                self.start(*changed(change, "client", "--port", port))
                if change
                else self.start_client(port)
            )
            listener.settimeout(SECONDS)
            peer, _ = listener.accept()
        self.prepare(peer)
        client.until(PROMPT)
        return client, peer


class BeforeTheChatTest(FaultTest):
    def test_no_server_there(self):
        with socket.socket() as bound:  # Bound and not listening, it refuses.
            bound.bind(("127.0.0.1", 0))
            port = bound.getsockname()[1]
            client = self.start_client(str(port))
            self.assert_ends(
                client,
                1,
                f"client.py: error: cannot connect to localhost:{port}: Connection refused; "
                "is server.py running there, or busy with another client?",
            )

    def test_unknown_host(self):
        for host in ("nobody.invalid", "a..b"):
            client = self.start("client.py", "--host", host, COLUMNS="80")
            client.rest()
            self.assertRegex(
                client.shown,
                rf"^client\.py: error: cannot connect to {host}:3720: .*; is server\.py "
                r"running there, or busy with another client\?\n$",
            )
            self.assertEqual(client.status(), 1)

    def test_port_taken(self):
        _, port = self.start_server()
        self.assert_ends(
            self.start("server.py", "--port", port),
            1,
            f"server.py: error: cannot listen on localhost:{port}: Address already in use; "
            "choose another --port or --host",
        )

    def test_port_forbidden(self):
        def forbid():
            if os.geteuid() == 0:  # PR_CAPBSET_DROP of CAP_NET_BIND_SERVICE; see capabilities(7).
                ctypes.CDLL(None).prctl(24, 10, 0, 0, 0)

        probe = "import socket; socket.create_server(('127.0.0.1', 1))"
        run = {"capture_output": True, "text": True, "preexec_fn": forbid, "cwd": ROOT}
        if subprocess.run([sys.executable, "-c", probe], **run).returncode == 0:
            self.skipTest("this system lets everybody have port 1")
        done = subprocess.run([sys.executable, "server.py", "--port", "1"], **run)
        error = (
            "server.py: error: cannot listen on localhost:1: Permission denied; "
            "choose another --port or --host\n"
        )
        self.assertEqual((done.returncode, done.stdout, done.stderr), (1, "", error))

    def test_strangers_are_reported_in_a_line_each_and_the_client_gets_in(self):
        server, port = self.start_server()
        for sent, why in ((b"", None), *BREACHES, *CUT):
            stranger = self.connect(port)
            stranger.sendall(sent)
            if (sent, why) not in BREACHES:
                stranger.shutdown(socket.SHUT_WR)
            address = f"127.0.0.1:{stranger.getsockname()[1]}"
            server.until(f"Connected by {address}\n")
            server.until("Waiting for the client...\n")
            self.assertEqual(
                server.until("; still waiting for a client\n"),
                f"server.py: error: {address}: "
                + (f"the client broke the rules: {why}" if why else LOST_CLIENT),
            )
            self.assertIn(QUIT_FRAME, read_all(stranger))
        stranger = self.connect(port)
        reset(stranger)
        server.until("the connection to the client was lost; still waiting for a client\n")
        client = self.start_client(port)
        client.type("x")
        server.until("Client: x\n")

    def test_thousands_of_strangers_do_not_keep_the_client_out(self):
        server, port = self.start_server()
        for count in range(2000):
            with self.connect(port) as stranger:
                stranger.sendall(
                    (b"", b"\0", b"\xff" * 4, b"\0\0\0\1\xff", b"GET / HTTP")[count % 5]
                )
                if count % 3:
                    reset(stranger)
            if count % 50 == 49:  # The terminal must be read, or it fills up.
                server.until(f":{self.port_of_a_visit(port, server)}\n")
        client = self.start_client(port)
        client.type("x")
        server.until("Client: x\n")

    def port_of_a_visit(self, port, server):
        with self.connect(port) as visitor:
            return visitor.getsockname()[1]

    def test_silent_and_endless_strangers_do_not_keep_the_client_out(self):
        server, port = self.start_server()
        strangers = [self.connect(port) for _ in range(120)]
        for stranger in strangers[60:]:
            stranger.sendall(b"\0\0\1\0half a message")
        client = self.start_client(port)
        client.type("x")
        server.until("Client: x\n")
        # Those dropped since a 101st came, and those for whom the seat is taken.
        for stranger in strangers:
            with contextlib.suppress(ConnectionResetError):
                self.assertEqual(read_all(stranger), b"")
        server.type("y")
        client.until("Server: y\n")

    def test_a_server_out_of_descriptors_lets_the_client_in_all_the_same(self):
        command = f"ulimit -n 8; exec {sys.executable} server.py --port 0"
        server = self.ends(Terminal("sh", "-c", command))
        server.until("Listening on 127.0.0.1:")
        port = server.until("\n")
        strangers = [self.connect(port) for _ in range(6)]
        server.until("Waiting for the client...\n")
        client = self.start_client(port)
        client.type("x")
        server.until("Client: x\n")
        self.assertEqual(read_all(strangers[0]), b"")

    def test_strangers_are_not_the_end_where_standard_error_is_closed(self):
        server = self.start_between_pipes("server.py", "--port", "0")
        port = server.until(b"\n").decode().rpartition(":")[2]
        server.process.stderr.close()
        self.connect(port).close()
        server.until(b"Waiting for the client...\n")
        Connection(self.connect(port)).send("x")
        server.until(b"Client: x\n")
        server.process.terminate()
        self.assertEqual(server.process.wait(SECONDS), 143)

    def test_an_error_that_nobody_can_read_is_not_written_later(self):
        reading, writing = os.pipe()
        with os.fdopen(writing, "w") as stderr, patch("sys.stderr", stderr):
            os.close(reading)
            protocol.report("x")
            reading, again = os.pipe()
            os.dup2(again, writing)
            os.close(again)
        with os.fdopen(reading) as written:
            self.assertEqual(written.read(), "")

    def test_who_left_before_being_let_in_changes_nothing(self):
        chats = {"who is in": "a chat"}
        for error in (errno.EAGAIN, errno.ECONNABORTED):  # The one on Linux, the other elsewhere.
            let_in(Mock(**{"accept.side_effect": OSError(error, "left")}), chats)
        self.assertEqual(chats, {"who is in": "a chat"})

    def test_who_left_before_being_let_in_is_not_waited_for(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            with patch("select.select", side_effect=EOFError), self.assertRaises(EOFError):
                hear_first(listener, {})
            self.assertEqual(listener.gettimeout(), 0)

    def test_a_third_program_is_refused_while_two_chat(self):
        server, port = self.start_server()
        client = self.start_client(port)
        early = self.start_client(port)
        early.until(PROMPT)
        client.type("x")
        server.until("Client: x\n" + PROMPT)
        early.write(b"x\n")
        self.assertIn("Your last line was not sent.\n", early.rest())
        self.assertIn(
            "client.py: error: the connection to the server was lost; "
            "the server may be busy with another client\n",
            early.shown,
        )
        self.assertEqual(early.status(), 1)
        late = self.start_client(port)
        late.until("is server.py running there, or busy with another client?\n")
        self.assertEqual(late.status(), 1)
        server.write(b"y\n")
        client.until("Server: y\n")


class LossTest(FaultTest):
    """The other end dies, resets or half-closes, or quits."""

    LOST = "client.py: error: the connection to the server was lost"
    UNSURE = "; your last line may not have arrived"

    def test_the_other_end_is_killed_while_this_one_waits(self):
        for killed in ("client", "server"):
            server, client = self.start_both()
            client.type("x")
            server.type("y")
            client.until(PROMPT)
            if killed == "server":
                client.write(b"z\n")
                server.until(PROMPT)
                server.process.kill()
                self.assert_ends(client, 1, self.LOST + self.UNSURE)
            else:
                client.process.kill()
                lost = "server.py: error: the connection to the client was lost"
                self.assert_ends(server, 1, lost + self.UNSURE)

    def test_the_other_end_is_killed_while_this_one_types(self):
        server, client = self.start_both()
        client.type("x")
        server.until(PROMPT)
        client.process.kill()
        client.process.wait()
        server.write(b"too late\n")
        server.until("too late\nYour last line was not sent.\n")
        self.assert_ends(server, 1, "server.py: error: the connection to the client was lost")

    def test_the_other_end_quits_while_this_one_types(self):
        server, client = self.start_both()
        client.type("x")
        server.until(PROMPT)
        client.process.terminate()
        self.assert_ends(client, 143)
        server.write(b"too late\n")
        server.until("too late\nThe client quit.\nYour last line was not sent.\n")
        self.assert_ends(server, 0)

    def test_a_reset_or_half_closed_connection_while_this_one_waits(self):
        for lose in (reset, lambda peer: peer.shutdown(socket.SHUT_WR)):
            client, peer = self.client_and_peer()
            client.write(b"x\n")
            Connection(peer).receive()
            Connection(peer).send("y")
            client.type("z")
            client.until("Waiting for the server...\n")
            Connection(peer).receive()
            lose(peer)
            self.assert_ends(client, 1, self.LOST + self.UNSURE)

    def test_a_reset_or_half_closed_connection_while_this_one_types(self):
        for lose in (reset, lambda peer: peer.shutdown(socket.SHUT_WR)):
            client, peer = self.client_and_peer()
            client.write(b"x\n")
            Connection(peer).receive()
            Connection(peer).send("y")
            client.until(PROMPT)
            lose(peer)
            client.write(b"z\n")
            client.until("Your last line was not sent.\n")
            self.assert_ends(client, 1, self.LOST)


class BreachTest(FaultTest):
    def assert_breach(self, program, peer, sent, why, end=False):
        name, other = (
            ("server.py", "client") if "Listening" in program.shown else ("client.py", "server")
        )
        peer.sendall(sent)
        if end:
            peer.shutdown(socket.SHUT_WR)
        self.assert_ends(program, 1, f"{name}: error: the {other} broke the rules: {why}")
        self.assertEqual(read_all(peer), QUIT_FRAME)

    def test_the_client_breaks_the_frame(self):
        for sent, why in (*BREACHES[:3], *CUT):
            server, peer = self.server_and_peer("x")
            self.assert_breach(server, peer, sent, why, end=(sent, why) in CUT)

    def test_the_server_breaks_the_frame(self):
        for sent, why in (*BREACHES[:3], *CUT[:1]):
            client, peer = self.client_and_peer()
            client.write(b"x\n")
            Connection(peer).receive()
            self.assert_breach(client, peer, sent, why, end=(sent, why) in CUT)

    def test_speaking_out_of_turn(self):
        server, peer = self.server_and_peer("x")
        Connection(peer).send("y")
        server.until(PROMPT)
        Connection(peer).send("z")
        server.write(b"too late\n")
        server.until("Your last line was not sent.\n")
        self.assert_breach(server, peer, b"", "it spoke out of turn")
        client, peer = self.client_and_peer()
        Connection(peer).send("I am first")
        client.write(b"x\n")
        client.until("Your last line was not sent.\n")
        self.assert_breach(client, peer, b"", "it spoke out of turn")

    def test_illegal_moves_from_the_wire(self):
        only = "only a move, 1 to 9, or resign counts in a game"
        for move, why in (("5", "5 is not free"), ("hello", only)):
            client, peer = self.client_and_peer()
            client.write(b"play\n")
            Connection(peer).receive()
            Connection(peer).send("5")
            client.type("1")
            self.assertEqual(Connection(peer).receive(), "1")
            self.assert_breach(client, peer, len(move).to_bytes(4, "big") + move.encode(), why)

    def test_frames_in_pieces_and_several_in_a_packet_are_read_as_sent(self):
        server, port = self.start_server()
        peer = self.connect(port)
        for byte in b"\0\0\0\7Gr\xc3\xbc\xc3\x9fe":
            peer.sendall(bytes([byte]))
        server.until("Client: Grüße\n")
        server.type("y")
        self.assertEqual(Connection(peer).receive(), "y")
        peer.sendall(b"\0\0\0\1z" + QUIT_FRAME)
        server.until("Client: z\n")
        server.type("too late")
        server.until("The client quit.\nYour last line was not sent.\n")
        self.assert_ends(server, 0)


class SignalTest(FaultTest):
    def test_a_signal_before_anyone_connects(self):
        for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            server, _ = self.start_server()
            server.process.send_signal(number)
            self.assert_ends(server, status)

    def test_a_signal_while_the_first_message_is_awaited(self):
        server, client = self.start_both()
        client.until(PROMPT)
        server.until("Waiting for the client...\n")
        server.process.send_signal(signal.SIGINT)
        self.assert_ends(server, 130)
        client.write(b"x\n")
        client.until("The server quit.\nYour last line was not sent.\n")
        self.assert_ends(client, 0)

    def test_a_signal_while_many_are_silent_does_not_wait_for_each(self):
        server, port = self.start_server()
        strangers = [self.connect(port) for _ in range(20)]
        for _ in strangers:
            server.until("Waiting for the client...\n")
        begin = time.monotonic()
        server.process.send_signal(signal.SIGINT)
        self.assert_ends(server, 130)
        self.assertLess(time.monotonic() - begin, 10 * protocol.FAREWELL_SECONDS)
        for stranger in strangers:
            self.assertEqual(read_all(stranger), QUIT_FRAME)

    def test_a_signal_while_waiting(self):
        server, client = self.start_both()
        client.type("x")
        client.until("Waiting for the server...\n")
        server.until(PROMPT)
        client.process.send_signal(signal.SIGTERM)
        self.assert_ends(client, 143)
        server.write(b"\n")
        server.until("The client quit.\n")
        self.assertNotIn("not sent", server.shown)
        self.assert_ends(server, 0)

    def test_a_signal_at_the_prompt(self):
        for number, status in ((signal.SIGTERM, 143), (signal.SIGHUP, 129)):
            server, client = self.start_both()
            client.until(PROMPT)
            client.write(b"half a li")
            client.until("half a li")
            client.process.send_signal(number)
            self.assert_ends(client, status)
            server.until("The client quit.\n")
            self.assert_ends(server, 0)

    @unittest.skipIf(sys.implementation.name == "pypy", "its readline needs a cleverer terminal")
    def test_a_signal_at_the_prompt_tells_of_the_line_there_and_of_none_that_was_sent(self):
        server, client = self.start_both()
        client.type("sent")
        server.type("y")
        client.until(PROMPT)
        client.write(b"half a li")
        client.until("half a li")
        client.process.terminate()
        self.assertEqual(client.rest(), "\nYour last line was not sent.\n")
        server, client = self.start_both()
        client.type("sent")
        server.type("y")
        client.until(PROMPT)
        client.write(b"  ")
        client.until("  ")
        client.process.terminate()
        self.assertEqual(client.rest(), "\n")

    def test_a_signal_in_a_game(self):
        for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            server, client = self.start_both()
            client.type("play")
            server.until(PROMPT)
            server.process.send_signal(number)
            self.assert_ends(server, status)
            client.until("The server quit.\n")
            self.assert_ends(client, 0)

    def test_ctrl_c_at_the_prompt_and_while_waiting(self):
        server, client = self.start_both()
        client.type("x")
        client.until("Waiting for the server...\n")
        server.until(PROMPT)
        server.write(b"\x03")
        client.until("The server quit.\n")
        self.assert_ends(server, 130)
        self.assertTrue(server.shown.endswith("\n"))
        server, client = self.start_both()
        client.type("x")
        client.until("Waiting for the server...\n")
        server.until(PROMPT)
        client.write(b"\x03")
        self.assert_ends(client, 130)
        server.write(b"x\n")
        server.until("The client quit.\n")

    def test_until_the_end_ctrl_c_flushes_no_key_and_nothing_typed_early_is_echoed(self):
        def flags():
            local = termios.tcgetattr(client.master)[3]
            return bool(local & termios.NOFLSH), bool(local & termios.ECHO)

        server, client = self.start_both()
        client.until(PROMPT)
        self.assertTrue(flags()[0])
        client.write(b"x\n")
        client.until("Waiting for the server...\n")
        self.assertEqual(flags(), (True, False))
        client.write(b"\x03")
        self.assert_ends(client, 130)
        self.assertEqual(flags(), (False, True))

    def test_a_second_signal_does_not_cut_the_first_one_short(self):
        # With all the time that the test may need between the signals.
        client, peer = self.client_and_peer("import protocol; protocol.FAREWELL_SECONDS = 20")
        client.write(b"x\n")
        client.until("Waiting for the server...\n")
        client.process.send_signal(signal.SIGTERM)
        connection = Connection(peer)
        self.assertEqual([connection.receive(), connection.receive()], ["x", "/q"])
        client.process.send_signal(signal.SIGINT)
        connection.send("crossed")
        client.until("Server: crossed\n")
        self.assert_ends(client, 143)

    def test_a_closed_terminal_while_waiting_and_at_the_prompt(self):
        server, client = self.start_both()
        client.until(PROMPT)
        client.hang_up()
        self.assertEqual(client.process.wait(SECONDS), 129)
        server.until("The client quit.\n")
        server, client = self.start_both()
        client.type("x")
        client.until("Waiting for the server...\n")
        server.until(PROMPT)
        client.hang_up()
        self.assertEqual(client.process.wait(SECONDS), 129)
        server.write(b"x\n")
        server.until("The client quit.\n")

    @contextlib.contextmanager
    def stopped(self, program):
        """Stop a program, so that what happens meanwhile happens to it all at once."""
        program.process.send_signal(signal.SIGSTOP)
        os.waitpid(program.process.pid, os.WUNTRACED)
        yield
        program.process.send_signal(signal.SIGCONT)

    def test_two_signals_at_once_end_a_program_as_one_does(self):
        client, peer = self.client_and_peer()
        with self.stopped(client):
            client.process.send_signal(signal.SIGINT)
            client.process.send_signal(signal.SIGTERM)
        self.assertEqual(Connection(peer).receive(), "/q")
        self.assertIn(client.process.wait(SECONDS), (130, 143))
        self.assert_ends(client, client.process.returncode)

    def test_an_answer_that_comes_together_with_a_signal_is_shown(self):
        client, peer = self.client_and_peer()
        client.write(b"x\n")
        client.until("Waiting for the server...\n")
        self.assertEqual(Connection(peer).receive(), "x")
        with self.stopped(client):
            client.process.terminate()
            Connection(peer).send("an answer on its way")
        client.until("Server: an answer on its way\n")
        self.assert_ends(client, 143)

    def test_a_first_message_that_comes_together_with_a_signal_is_shown(self):
        server, client = self.start_both()
        server.until("Waiting for the client...\n")
        with self.stopped(server):
            client.type("x")
            client.until("Waiting for the server...\n")
            server.process.terminate()
        server.until("Client: x\n")
        self.assert_ends(server, 143)
        client.until("The server quit.\n")

    def test_a_signal_ends_a_program_whose_terminal_is_stalled(self):
        client, peer = self.client_and_peer()
        client.write(b"x\n")
        client.until("Waiting for the server...\n")
        self.assertEqual(Connection(peer).receive(), "x")
        with self.stopped(client):
            client.stall()
            client.process.terminate()
            Connection(peer).send("what can't be shown")
        self.assertEqual(Connection(peer).receive(), "/q")
        self.assertEqual(client.process.wait(SECONDS), 143)

    def test_a_signal_ends_a_program_whose_errors_nobody_reads(self):
        full = "import os; read, write = os.pipe(); os.set_blocking(write, False); "
        full += "os.write(write, bytes(1 << 20)); os.set_blocking(write, True); os.dup2(write, 2)"
        server = self.ends(Terminal(sys.executable, *changed(full, "server", "--port", "0")))
        server.until("Listening on ")
        stranger = self.connect(server.until("\n").rpartition(":")[2])
        stranger.sendall(b"\xff" * 4)
        self.assertEqual(stranger.recv(100), QUIT_FRAME)  # What is reported next.
        server.process.terminate()
        self.assert_ends(server, 143)

    def test_a_signal_after_the_end_changes_nothing(self):
        after = "import signal; signal.raise_signal(signal.SIGINT); print('over')"
        run = "import sys, client; sys.argv[1:] = ['--host', 'nobody.invalid']; client.main(); "
        client = self.start("-c", run + after)
        client.until("error: ")
        client.until("\nover\n")
        self.assertEqual(client.status(), 0)

    def test_a_program_in_the_background_works_until_it_needs_the_terminal(self):
        background = f"{sys.executable} server.py --port 0 > >(cat) & echo $!"
        shell = self.ends(Terminal("bash", "-c", f"set -m; {background}; cat; wait $!"))
        process = int(shell.until("\n"))
        shell.until("Listening on ")
        os.kill(process, signal.SIGTERM)
        shell.write(b"\x04")
        self.assertEqual(shell.status(), 143)

    def test_early_lines_are_told_on_a_terminal_that_knows_no_background(self):
        leave = "import fcntl, signal, termios; signal.signal(signal.SIGHUP, signal.SIG_IGN); "
        client, peer = self.client_and_peer(leave + "fcntl.ioctl(0, termios.TIOCNOTTY)")
        client.write(b"x\n")
        client.until("Waiting for the server...\n")
        client.type_early(b"early\n")
        Connection(peer).send("y")
        client.until("Not sent, as typed before the prompt: early\n")


class TextTest(FaultTest):
    def test_nothing_heard_can_change_the_terminal(self):
        server, peer = self.server_and_peer()
        attack = "".join(map(chr, ESCAPES)) + "\x1b]0;t\x07\x1b[2J\rEnter Input > "
        Connection(peer).send(attack)
        server.until("Client: ")
        self.assertEqual(server.until("\n" + PROMPT), attack.translate(ESCAPES))
        self.assertFalse(set(server.shown) & set(map(chr, ESCAPES)) - {"\n"})

    def test_a_terminal_that_cannot_show_a_character_shows_it_escaped(self):
        server, port = self.start_server()
        client = self.start_client(
            port, PYTHONUTF8="0", PYTHONCOERCECLOCALE="0", LC_ALL="C", PYTHONIOENCODING="ascii"
        )
        client.type("x")
        server.type("Grüße 😀")
        client.until("Server: Gr\\xfc\\xdfe \\U0001f600\n")
        client.type("y")
        server.until("Client: y\n")

    @unittest.skipIf(sys.implementation.name == "pypy", "its readline takes ASCII alone there")
    def test_every_script_can_be_typed_where_the_locale_knows_ascii_alone(self):
        server, port = self.start_server()
        client = self.start_client(port, LC_ALL="C", TERM="xterm", INPUTRC="/dev/null")
        client.type("日本語 é ß")
        server.until("Client: 日本語 é ß\n")
        self.assertIn("日本語 é ß", client.until("Waiting for the server...\n"))

    def test_typed_bytes_that_are_not_text_are_refused_and_asked_again(self):
        server, client = self.start_both()
        client.until(PROMPT)
        client.write(b"caf\xff\n")
        client.until("Not sent: it holds bytes that are not text.\n")
        client.type("café")
        server.until("Client: café\n")

    def test_piped_bytes_that_are_not_text_are_refused_and_asked_again(self):
        server, port = self.start_server()
        client = self.start_between_pipes("client.py", "--port", port, PYTHONUTF8="1")
        client.write(b"caf\xe9\ncaf\xc3\xa9\n")
        server.until("Client: café\n")


class ClosedOutputTest(FaultTest):
    def test_output_into_a_closed_pipe_ends_quietly_and_the_other_end_is_told(self):
        for moment in ("at the prompt", "when heard"):
            server, port = self.start_server()
            client = self.start_between_pipes("client.py", "--port", port)
            client.until(PROMPT.encode())
            if moment == "when heard":
                client.write(b"x\n")
                client.until(b"Waiting for the server...\n")
                client.process.stdout.close()
                server.type("y")
            else:
                client.process.stdout.close()
                client.write(b"x\n")
            self.assertEqual(client.process.wait(SECONDS), 0)
            if moment == "at the prompt":
                server.type("")
            server.until("The client quit.\n")
            self.assert_ends(server, 0)
            self.assertEqual(client.process.stderr.read(), b"")


if __name__ == "__main__":
    unittest.main()
