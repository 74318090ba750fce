"""Both ends of the chat over a pair of sockets: what each asks, shows, sends and raises."""

import socket
import struct
import unicodedata
import unittest
from unittest import mock

from protocol import (
    CLIENT,
    ESCAPES,
    HELP_TEXT,
    HINT,
    NOT_SENT,
    PROMPT,
    SERVER,
    Chat,
    ChatError,
    Connection,
)
from tests.test_connection import frames

BOARD = " 1 | 2 | 3\n---+---+---\n 4 | 5 | 6\n---+---+---\n 7 | 8 | 9"
LOST = "the connection to the {} was lost"


def reset(sock):
    """Close a socket so that the other end gets a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class End(Chat):
    """An end whose person types what was put into ``lines``."""

    def __init__(self, sock, me):
        self.lines, self.shown, self.sock = [], [], sock
        super().__init__(Connection(sock), me, self.answer, self.shown.append)

    def answer(self, prompt):
        self.shown.append(prompt)
        return self.lines.pop(0)

    def type(self, *lines):
        """Type lines in this end's turn; return whether the chat goes on."""
        self.lines += lines
        return self.speak()

    def news(self):
        """Return what was shown since the last call."""
        news = self.shown[:]
        self.shown.clear()
        return news


class ChatTest(unittest.TestCase):
    def setUp(self):
        near, far = socket.socketpair()
        for sock in (near, far):
            sock.settimeout(10)
            self.addCleanup(sock.close)
        self.client, self.server = End(near, CLIENT), End(far, SERVER)

    def turns(self, *lines):
        """Let the ends take turns, the client first; keep what only the last one showed."""
        speaker, hearer = self.client, self.server
        for line in lines:
            self.client.news()
            self.server.news()
            self.assertTrue(speaker.type(line))
            self.assertTrue(hearer.hear())
            speaker, hearer = hearer, speaker

    def assert_fails(self, sentence, act, *arguments):
        with self.assertRaises(ChatError) as caught:
            act(*arguments)
        self.assertEqual(str(caught.exception), sentence)

    def test_a_turn_is_asked_for_sent_and_shown(self):
        self.turns("Grüße", "שלום 👩‍👩‍👧 é", "x")
        self.assertEqual(self.client.news(), [PROMPT])
        self.assertEqual(self.server.news(), ["Waiting for the client...", "Client: x"])

    def test_one_line_says_what_can_be_typed_before_the_first_prompt_and_only_then(self):
        self.client.type("x")
        self.assertEqual(self.client.news(), [HINT, PROMPT])
        self.server.hear()
        self.server.type("", "y")
        self.assertEqual(self.server.news()[2:], [HINT, PROMPT, PROMPT])
        for word in ("/q", "play", "/help"):
            self.assertIn(word, HINT)

    def test_it_is_not_said_to_a_server_whose_client_quits_at_once(self):
        self.client.type("/q")
        self.assertFalse(self.server.hear())
        self.assertFalse(self.server.speak())
        self.assertEqual(self.server.news(), ["Waiting for the client...", "The client quit."])

    def test_blanks_ask_again_and_send_nothing(self):
        self.assertTrue(self.client.type("", "  \t", "x"))
        self.assertEqual(self.client.news(), [HINT, PROMPT, PROMPT, PROMPT])
        self.assertEqual(self.server.sock.recv(100), frames("x"))

    def test_help_prints_the_list_and_sends_nothing(self):
        self.client.type(" /HELP ", "x")
        self.assertEqual(self.client.news(), [HINT, PROMPT, HELP_TEXT, PROMPT])
        for word in ("/q", "/help", "play", "1 to 9", "resign", "Ctrl-C"):
            self.assertIn(f"\n{word} ", f"\n{HELP_TEXT}")
        self.assertEqual(self.server.sock.recv(100), frames("x"))

    def test_what_cannot_be_a_message_is_refused_and_asked_again(self):
        self.client.type("x" * 4097, "é" * 2049, "\udcff", "/quit", "x" * 4096)
        whys = (
            "it takes 4097 bytes, the limit is 4096",
            "it takes 4098 bytes, the limit is 4096",
            "it holds bytes that are not text",
            "there is no such command",
        )
        told = [f"Not sent: {why}. See /help; /q quits." for why in whys]
        self.assertEqual(self.client.news()[2::2], told)
        self.assertEqual(self.server.sock.recv(5000), frames("x" * 4096))

    def test_in_a_game_what_is_no_legal_move_is_refused_and_asked_again(self):
        self.turns("play", "5")
        self.client.news()
        self.client.type("5", "hello", "play", "/play", "1")
        only = "in a game only 1 to 9 or resign counts"
        whys = ("5 is not free", only, only, "there is no such command")
        told = [f"Not sent: {why}. See /help; /q quits." for why in whys]
        self.assertEqual(self.client.news()[1:8:2], told)
        self.server.hear()
        self.assertEqual(self.server.news()[-2].splitlines()[0], " O | 2 | 3")

    def test_quit_from_either_end_ends_both_and_is_told_at_the_other_alone(self):
        for texts in ((), ("x",)):
            self.setUp()
            self.turns(*texts)
            quitter, other = (self.server, self.client) if texts else (self.client, self.server)
            self.client.news(), self.server.news()
            self.assertFalse(quitter.type("/Q"))
            self.assertFalse(other.hear())
            waiting, told = other.news()
            self.assertEqual(told, f"The {'server' if texts else 'client'} quit.")
            self.assertEqual(quitter.news(), [HINT, PROMPT])
            quitter.close()
            self.assertEqual(other.sock.recv(100), b"")

    def test_an_invitation_a_move_and_the_end_are_shown_to_both(self):
        move = "your move (1 to 9, or resign)."
        self.turns("play")
        self.assertEqual(self.client.news(), [HINT, PROMPT, BOARD, "You are O: the server moves."])
        told = ["The client invites you to tic-tac-toe.", BOARD, f"You are X: {move}"]
        self.assertEqual(self.server.news()[1:], told)
        self.server.type("5 take that")
        self.assertTrue(self.client.hear())
        told = ["Server: 5 take that", BOARD.replace("5", "X"), f"You are O: {move}"]
        self.assertEqual(self.client.news()[1:], told)
        self.client.type("resign")
        self.assertTrue(self.server.hear())
        told = ["Client: resign", "You win: the client resigned.", "You 1, client 0, drawn 0"]
        self.assertEqual(self.server.news()[-3:], told)

    def test_leaving_says_quit_and_closes(self):
        self.turns("x")
        self.client.close()
        self.assertFalse(self.server.type("typed too late"))
        self.assertEqual(self.server.news()[-3:], [PROMPT, NOT_SENT, "The client quit."])
        self.server.close()
        self.assertEqual(self.client.sock.fileno(), -1)

    def test_a_lost_connection_can_be_left(self):
        self.server.sock.close()
        self.client.close()
        self.assertEqual(self.client.sock.fileno(), -1)

    def test_a_blank_or_quit_typed_too_late_is_no_line_that_was_not_sent(self):
        for typed in ("", " /Q"):
            self.setUp()
            self.turns("x")
            self.client.sock.sendall(frames("/q"))
            self.assertFalse(self.server.type(typed))
            self.assertEqual(self.server.news()[-2:], [PROMPT, "The client quit."])

    def test_a_loss_while_one_types_is_told_on_enter_and_that_the_line_was_not_sent(self):
        for lose in (reset, socket.socket.close, lambda sock: sock.shutdown(socket.SHUT_WR)):
            self.setUp()
            self.turns("x")
            lose(self.client.sock)
            self.assert_fails(LOST.format("client"), self.server.type, "y")
            self.assertEqual(self.server.news()[-2:], [PROMPT, NOT_SENT])

    def test_a_loss_while_one_waits_tells_that_the_last_line_may_not_have_arrived(self):
        for lose in (reset, socket.socket.close, lambda sock: sock.shutdown(socket.SHUT_WR)):
            self.setUp()
            self.turns("x", "y")
            lose(self.client.sock)
            unsure = "; your last line may not have arrived"
            self.assert_fails(LOST.format("client") + unsure, self.server.hear)

    def test_a_loss_before_the_first_message_leaves_nothing_unsure(self):
        self.client.sock.close()
        self.assert_fails(LOST.format("client"), self.server.hear)

    def test_a_client_that_has_heard_nothing_is_told_that_the_server_may_be_busy(self):
        busy = "; the server may be busy with another client"
        self.client.type("x")
        self.server.sock.close()
        unsure = "; your last line may not have arrived"
        self.assert_fails(LOST.format("server") + unsure + busy, self.client.hear)
        self.setUp()
        self.server.sock.close()
        self.assert_fails(LOST.format("server") + busy, self.client.type, "x")
        self.setUp()
        self.turns("x", "y")
        self.server.sock.close()
        self.assert_fails(LOST.format("server"), self.client.type, "z")

    def test_a_send_that_fails_is_told(self):
        self.turns("x")
        with mock.patch("protocol.Connection.send", side_effect=ConnectionResetError):
            self.assert_fails(LOST.format("client"), self.server.type, "y")
        self.assertEqual(self.server.news()[-2:], [PROMPT, NOT_SENT])

    def assert_breach(self, why, act, *arguments):
        """Check that a breach is told, and answered with /q on the way out."""
        self.assert_fails(f"the client broke the rules: {why}", act, *arguments)
        self.server.close()
        self.assertEqual(self.client.sock.recv(100), frames("/q"))

    def test_speaking_out_of_turn_is_a_breach(self):
        self.client.sock.sendall(frames("x", "y"))
        self.server.hear()
        self.assert_breach("it spoke out of turn", self.server.type, "z")
        self.assertEqual(self.server.news()[-2:], [PROMPT, NOT_SENT])

    def test_an_illegal_move_is_a_breach(self):
        for move, why in (
            ("5", "5 is not free"),
            ("hi", "in a game only 1 to 9 or resign counts"),
        ):
            self.setUp()
            self.turns("x", "play", "5", "1")
            self.client.sock.sendall(frames(move))
            self.assert_breach(why, self.server.hear)

    def test_what_is_no_frame_is_a_breach(self):
        self.client.sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        why = "it announced 1195725856 bytes, the limit is 4096"
        self.assert_breach(why, self.server.hear)

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
        self.assertEqual(set(ESCAPES), harmful)
        text = "".join(f"a{chr(code)}b" for code in sorted(harmful))
        self.client.sock.sendall(frames(text))
        self.server.hear()
        escaped = text.encode("unicode_escape").decode()
        self.assertEqual(self.server.news()[1:], [f"Client: {escaped}"])

    def test_every_other_script_is_shown_as_it_is(self):
        text = "é e\u0301 שלום عربي 🏳️‍🌈 👨‍👩‍👧 🏴󠁧󠁢󠁳󠁣󠁴󠁿 1️⃣ می\u200cخواهم ไทย\u200b 日本語\u3000 \\x1b"
        self.turns(text)
        self.assertEqual(self.server.news()[1:], [f"Client: {text}"])


if __name__ == "__main__":
    unittest.main()
