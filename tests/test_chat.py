"""A client and a server over a pair of sockets: what each asks, shows, sends and raises."""

import re
import socket
import unicodedata
import unittest
from unittest import mock

import protocol
from protocol import CLIENT, HELP_TEXT, NOT_SENT, PROMPT, SERVER, Chat, Connection
from tests.programs import UNSURE
from tests.states import NO_MOVE
from tests.wire import frames, reset

HELP = "See /help; /q quits."
HELP_IN_A_GAME = f'Words may follow a move: "5 take that". {HELP}'
LOSSES = (reset, socket.socket.close, lambda sock: sock.shutdown(socket.SHUT_WR))


class Peer(Chat):
    """One whose person types what was put into ``lines``."""

    def __init__(self, sock, me):
        self.lines, self.shown, self.sock = [], [], sock
        super().__init__(Connection(sock), me, self.answer, self.shown.append)

    def answer(self, prompt):
        self.shown.append(prompt)
        return self.lines.pop(0)

    def type(self, *lines):
        """Type lines in this one's turn; return whether the chat goes on."""
        self.lines += lines
        return self.speak()

    def news(self):
        """Return what was shown since the last call."""
        news, self.shown[:] = self.shown[:], []
        return news


class ChatTest(unittest.TestCase):
    def meet(self, *lines):
        """Let the two meet and take turns, the client first; keep what the last one showed."""
        near, far = socket.socketpair()
        for sock in (near, far):
            sock.settimeout(10)
            self.addCleanup(sock.close)
        self.client, self.server = Peer(near, CLIENT), Peer(far, SERVER)
        speaker, hearer = self.client, self.server
        for line in lines:
            self.client.news(), self.server.news()
            self.assertTrue(speaker.type(line))
            self.assertTrue(hearer.hear())
            speaker, hearer = hearer, speaker
        return self.client, self.server

    def assert_fails(self, sentence, act, *arguments):
        self.assertRaisesRegex(protocol.ChatError, f"^{sentence}$", act, *arguments)

    def test_blanks_and_help_ask_again_and_send_nothing(self):
        client, server = self.meet()
        self.assertTrue(client.type("", "  \t", " /HELP ", "x"))
        self.assertEqual(client.news(), [PROMPT] * 3 + [HELP_TEXT, PROMPT])
        self.assertEqual(server.sock.recv(100), frames("x"))

    def test_what_cannot_be_a_message_is_refused_and_asked_again(self):
        client, server = self.meet()
        client.type("x" * 4097, "é" * 2049, "\udcff", "x" * 4096)
        whys = [f"the message takes {size} bytes, more than 4096" for size in (4097, 4098)]
        whys.append("the message holds bytes that are not text")
        self.assertEqual(client.news()[1::2], [f"Not sent: {why}.\n{HELP}" for why in whys])
        self.assertEqual(server.sock.recv(5000), frames("x" * 4096))

    def test_a_line_with_a_slash_in_front_that_is_no_command_is_refused_as_that(self):
        why = "Not sent: there is no such command"
        lines = ("/quit", "/play", "/", "/5", "/q bye", "/usr/bin is a path", "/Resign", "/helpme")
        client, server = self.meet("play", "1", "4", "2", "5", "3")  # The game is over.
        client.news(), client.type(*lines, " /usr/bin is a path")
        told = f"{why}; a blank in front sends it as text.\n{HELP}"
        self.assertEqual(client.news()[1:-1:2], [told] * len(lines))
        self.assertEqual(server.sock.recv(100), frames(" /usr/bin is a path"))
        client, server = self.meet("play")
        server.news(), server.type(*lines, "5")
        self.assertEqual(server.news()[1:-2:2], [f"{why}.\n{HELP_IN_A_GAME}"] * len(lines))

    def test_in_a_game_what_is_no_legal_move_is_refused_and_asked_again(self):
        client, server = self.meet("play", "5")
        client.news()
        client.type("5", "hello", "play", " /play", "1")
        whys = ("5 is not free", NO_MOVE, NO_MOVE, NO_MOVE)
        told = [f"Not sent: {why}.\n{HELP_IN_A_GAME}" for why in whys]
        self.assertEqual(client.news()[1:8:2], told)
        server.hear()
        self.assertEqual(server.news()[-2].splitlines()[0], " O | 2 | 3")

    def test_quit_from_either_end_ends_both_and_is_told_at_the_other_alone(self):
        for turns, name in (((), "client"), (("x",), "server")):
            quitter, other = self.meet(*turns)[:: -1 if turns else 1]
            other.news(), quitter.news()
            self.assertFalse(quitter.type("/Q"))
            self.assertFalse(other.hear())
            self.assertEqual(other.news()[1:], [f"The {name} quit."])
            self.assertEqual(quitter.news(), [PROMPT])

    def test_an_invitation_and_a_move_are_shown_to_both(self):
        board = " 1 | 2 | 3\n---+---+---\n 4 | {} | 6\n---+---+---\n 7 | 8 | 9"
        client, server = self.meet("play")
        self.assertEqual(client.news()[1:], [board.format(5), "You are O: the server's move."])
        told = ["The client invites you to tic-tac-toe.", board.format(5)]
        self.assertEqual(server.news()[1:3], told)
        server.type("5 take that")
        self.assertTrue(client.hear())
        self.assertEqual(client.news()[1:3], ["Server: 5 take that", board.format("X")])

    def test_leaving_says_quit_and_closes(self):
        client, server = self.meet("x")
        client.close()
        self.assertFalse(server.type("typed too late"))
        self.assertEqual(server.news()[-3:], [PROMPT, NOT_SENT, "The client quit."])
        server.close()
        self.assertEqual((client.sock.fileno(), server.sock.fileno()), (-1, -1))

    def test_a_blank_quit_or_help_typed_too_late_is_no_line_that_was_not_sent(self):
        for typed in ("", " /Q", "/HELP "):
            client, server = self.meet("x")
            client.sock.sendall(frames("/q"))
            self.assertFalse(server.type(typed))
            self.assertEqual(server.news()[-2:], [PROMPT, "The client quit."])

    def test_a_loss_while_one_types_is_told_on_enter_and_that_the_line_was_not_sent(self):
        for lose in LOSSES:
            client, server = self.meet("x", "y", "z")
            lose(client.sock)
            self.assert_fails("the connection to the client was lost", server.type, "y")
            self.assertEqual(server.news()[-2:], [PROMPT, NOT_SENT])
            server.close()

    def test_a_loss_while_one_waits_tells_that_the_last_line_may_not_have_arrived(self):
        for lose in LOSSES:
            for turns, told in ((("x", "y"), UNSURE), ((), "")):
                client, server = self.meet(*turns)
                lose(client.sock)
                self.assert_fails("the connection to the client was lost" + told, server.hear)

    def test_a_client_that_has_heard_nothing_is_asked_whether_the_server_runs_or_is_busy(self):
        lost = "the connection to the server was lost"
        asked = f"; {re.escape(protocol.SERVER_QUESTION)}"
        client, server = self.meet()
        client.type("x")
        server.sock.close()
        self.assert_fails(lost + UNSURE + asked, client.hear)
        for turns, told in (((), lost + asked), (("x", "y"), lost), (("x", "play"), lost)):
            client, server = self.meet(*turns)
            server.sock.close()
            self.assert_fails(told, client.type, "z")

    def test_a_wait_is_a_series_of_short_ones(self):
        """So that Ctrl-C is seen in time where it can't interrupt a wait."""
        client, server = self.meet()
        client.type("x")
        waits = [False, False, True]
        with mock.patch("protocol.Connection.poll", side_effect=waits) as poll:
            self.assertTrue(server.hear())
        self.assertEqual(poll.mock_calls, [mock.call(1)] * 3)

    def test_a_socket_that_fails_is_a_lost_connection_whatever_the_system_calls_it(self):
        client, server = self.meet("x")
        for error in (ConnectionResetError, TimeoutError, OSError(113, "No route to host")):
            failing = mock.Mock(side_effect=error)
            for methods in ({"send": failing}, {"poll": mock.DEFAULT, "receive": failing}):
                with mock.patch.multiple("protocol.Connection", **methods):
                    self.assert_fails("the connection to the client was lost", server.type, "y")
                self.assertEqual(server.news()[-2:], [PROMPT, NOT_SENT])

    def test_a_breach_is_told_and_answered_with_quit_on_the_way_out(self):
        no_frame = "the frame announces 1195725856 bytes, more than 4096"
        for turns, sent, why in (
            ((), b"GET / HTTP/1.1\r\n\r\n", no_frame),
            (("x", "play", "5", "1"), frames("5"), "5 is not free"),
            (("x", "play", "5", "1"), frames("hi"), NO_MOVE),
        ):
            client, server = self.meet(*turns)
            client.sock.sendall(sent)
            self.assert_fails(f"the client broke the rules: {why}", server.hear)
            server.close()
            self.assertEqual(client.sock.recv(100), frames("/q"))

    def test_speaking_out_of_turn_is_a_breach(self):
        client, server = self.meet()
        client.sock.sendall(frames("x", "y"))
        server.hear()
        told = "the client broke the rules: the message came out of turn"
        self.assert_fails(told, server.type, "z")
        self.assertEqual(server.news()[-2:], [PROMPT, NOT_SENT])

    def test_controls_line_breaks_and_bidi_controls_are_escaped_and_nothing_else(self):
        bidi = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
        marks = {"LEFT-TO-RIGHT MARK", "RIGHT-TO-LEFT MARK", "ARABIC LETTER MARK"}
        harmful = {
            code
            for code, character in enumerate(map(chr, range(0x110000)))
            if unicodedata.category(character) in ("Cc", "Zl", "Zp")
            or unicodedata.bidirectional(character) in bidi
            or unicodedata.name(character, "") in marks
        }
        self.assertEqual(set(protocol.ESCAPES), harmful)
        text = "".join(f"a{chr(code)}b" for code in sorted(harmful))
        client, server = self.meet(text)
        self.assertEqual(server.news()[1:], ["Client: " + text.encode("unicode_escape").decode()])

    def test_every_other_script_is_shown_as_it_is(self):
        text = "  é e\u0301 שלום عربي 🏳️‍🌈 👨‍👩‍👧 🏴󠁧󠁢󠁳󠁣󠁴󠁿 1️⃣ می\u200cخواهم ไทย\u200b 日本語\u3000 \\x1b"
        self.assertEqual(self.meet(text)[1].news()[1:], [f"Client: {text}"])
