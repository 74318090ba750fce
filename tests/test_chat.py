"""Both ends of the chat over a pair of sockets: what each asks, shows, sends and raises."""

import contextlib
import io
import signal
import socket
import time
import unicodedata
import unittest
from unittest import mock

import protocol
from protocol import CLIENT, SERVER, Chat, ChatError, Connection

BOARD = " 1 | 2 | 3\n---+---+---\n 4 | 5 | 6\n---+---+---\n 7 | 8 | 9"


class Signalled(Exception):
    """What the handler of a signal raises here."""


def raise_signalled(*_):
    """End what is done, as the programs' own handler does."""
    raise Signalled


class End(Chat):
    """An end whose person types what was put into ``lines``."""

    def __init__(self, sock, me):
        self.lines, self.shown = [], []
        super().__init__(Connection(sock), me, self.answer, self.shown.append)

    def answer(self, prompt):
        self.shown.append(prompt)
        if not self.lines:
            raise EOFError
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
        near.settimeout(10)
        far.settimeout(10)
        self.client, self.server = End(near, CLIENT), End(far, SERVER)
        self.near, self.far = near, far
        self.addCleanup(near.close)
        self.addCleanup(far.close)

    def turns(self, *lines):
        """Let the ends take turns, the client first; keep what only the last one showed."""
        speaker, hearer = self.client, self.server
        for line in lines:
            self.client.news()
            self.server.news()
            self.assertTrue(speaker.type(line))
            self.assertTrue(hearer.hear())
            speaker, hearer = hearer, speaker

    def assert_fails(self, act, sentence):
        with self.assertRaises(ChatError) as caught:
            act()
        self.assertEqual(str(caught.exception), sentence)

    def test_a_turn_is_asked_for_sent_and_shown(self):
        self.turns("Grüße", "שלום 👩‍👩‍👧 é")
        self.assertEqual(self.server.news(), ["Enter Input > ", "Waiting for the client..."])
        self.assertEqual(self.client.news(), ["Server: שלום 👩‍👩‍👧 é"])

    def test_blanks_ask_again_and_send_nothing(self):
        self.assertTrue(self.client.type("", "  \t", "x"))
        self.assertEqual(self.client.news(), ["Enter Input > "] * 3 + ["Waiting for the server..."])
        self.assertTrue(self.server.hear())
        self.assertEqual(self.server.news(), ["Client: x"])

    def test_help_prints_the_list_and_sends_nothing(self):
        self.client.type(" /HELP ", "x")
        self.assertEqual(self.client.news()[1], protocol.HELP_TEXT)
        for word in ("/q", "/help", "play", "1 to 9", "resign"):
            self.assertIn(f"\n{word} ", f"\n{protocol.HELP_TEXT}")
        self.server.hear()
        self.assertEqual(self.server.news(), ["Client: x"])

    def test_what_is_too_long_or_no_text_is_refused_and_asked_again(self):
        self.client.type("x" * 4097, "\udcff", "x" * 4096)
        self.assertEqual(
            self.client.news()[1:4:2],
            [
                "Not sent: it takes 4097 bytes and the limit is 4096.",
                "Not sent: it holds bytes that are not text.",
            ],
        )
        self.server.hear()
        self.assertEqual(self.server.news(), ["Client: " + "x" * 4096])

    def test_quit_ends_both(self):
        self.assertFalse(self.client.type("/Q"))
        self.assertFalse(self.server.hear())
        self.assertFalse(self.server.speak())
        self.assertEqual(
            (self.client.news(), self.server.news()), (["Enter Input > "], ["The client quit."])
        )

    def test_play_shows_both_the_board_whose_move_it_is_and_their_marks(self):
        self.turns("play")
        self.assertEqual(
            self.client.news()[1:],
            [BOARD, "You are O: the server moves.", "Waiting for the server..."],
        )
        self.assertEqual(
            self.server.news(),
            ["Client: play", BOARD, "You are X: your move (resign declines)."],
        )

    def test_a_move_with_a_remark_is_shown_to_both(self):
        self.turns("play", "5 take that")
        board = BOARD.replace("5", "X")
        self.assertEqual(
            self.server.news()[1:],
            [board, "You are X: the client moves.", "Waiting for the client..."],
        )
        self.assertEqual(
            self.client.news(), ["Server: 5 take that", board, "You are O: your move."]
        )

    def test_a_refused_move_is_answered_and_asked_again(self):
        self.turns("play", "5")
        self.client.news()
        self.client.type("5", "hello", "play", "1")
        self.assertEqual(
            self.client.news()[1:6:2],
            ["Not sent: 5 is not free."]
            + ["Not sent: only a move, 1 to 9, or resign counts in a game."] * 2,
        )
        self.server.hear()
        self.assertEqual(self.server.news()[-2].splitlines()[0], " O | 2 | 3")

    def test_a_win_and_a_loss_are_told_with_the_squares_and_the_score(self):
        self.turns("play", "1", "4", "2", "5", "3")
        self.assertEqual(
            self.server.news()[2:4], ["You win: squares 1, 2, 3.", "You 1, client 0, drawn 0"]
        )
        self.assertEqual(
            self.client.news()[2:], ["You lose: squares 1, 2, 3.", "You 0, server 1, drawn 0"]
        )

    def test_a_draw_is_told_with_the_score(self):
        self.turns("play", "5", "1", "3", "7", "4", "6", "8", "2", "9")
        self.assertEqual(self.server.news()[2:4], ["Draw.", "You 0, client 0, drawn 1"])
        self.assertEqual(self.client.news()[2:], ["Draw.", "You 0, server 0, drawn 1"])

    def test_declining_is_told_without_a_score(self):
        self.turns("play", "resign")
        self.assertEqual(
            self.server.news()[1:], ["You declined the game.", "Waiting for the client..."]
        )
        self.assertEqual(self.client.news(), ["Server: resign", "The server declined the game."])

    def test_resigning_is_told_with_the_score(self):
        self.turns("play", "1", "resign")
        self.assertEqual(
            self.client.news()[1:3], ["You lose: you resigned.", "You 0, server 1, drawn 0"]
        )
        self.assertEqual(
            self.server.news(),
            ["Client: resign", "You win: the client resigned.", "You 1, client 0, drawn 0"],
        )

    def test_the_board_is_not_drawn_again_after_the_game(self):
        self.turns("play", "1", "4", "2", "5", "3", "well played")
        self.assertEqual(self.server.news(), ["Client: well played"])

    @mock.patch("protocol.FAREWELL_SECONDS", 0.01)
    def test_leaving_says_quit(self):
        self.turns("x")
        self.client.close()
        self.assertFalse(self.server.type("typed too late"))
        self.assertEqual(
            self.server.news()[-2:], ["The client quit.", "Your last line was not sent."]
        )

    def test_leaving_after_quit_says_nothing_more(self):
        self.client.type("/q")
        self.client.close()
        self.assertEqual(self.far.recv(100), b"\0\0\0\2/q")

    def close_at_once(self, end):
        with mock.patch.object(Connection, "receive_until") as wait:
            end.close()
        wait.assert_not_called()

    def test_a_client_that_leaves_in_its_turn_waits_for_nothing(self):
        self.close_at_once(self.client)

    def test_a_server_that_leaves_in_its_turn_waits_for_nothing(self):
        self.turns("x")
        self.close_at_once(self.server)

    @mock.patch("protocol.FAREWELL_SECONDS", 0.01)
    def test_leaving_while_one_waits_leaves_time_for_a_message_to_cross(self):
        begin = time.monotonic()
        self.server.close()
        self.assertGreaterEqual(time.monotonic() - begin, protocol.FAREWELL_SECONDS)

    def test_what_crosses_a_quit_is_shown(self):
        self.turns("x", "y")
        self.client.type("answer")
        self.server.close()
        self.assertEqual(self.server.news()[-1], "Client: answer")
        self.assertFalse(self.client.hear())

    def arrive(self, *pieces, interval=0.01):
        """Let bytes arrive from the client, a piece each interval."""
        left = iter(pieces)

        def send(*_):
            with contextlib.suppress(OSError):  # The server may have left.
                self.near.sendall(next(left, b""))

        self.handle(signal.SIGALRM, send)
        self.addCleanup(signal.setitimer, signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_REAL, interval, interval)

    def test_a_first_message_that_arrives_after_the_quit_is_shown(self):
        self.arrive(b"\0\0\0\5", b"first")
        self.server.close(time.monotonic() + 10)
        self.assertEqual(self.server.news(), ["Client: first"])
        self.assertFalse(self.client.hear())

    def test_a_message_that_trickles_in_after_the_quit_is_not_waited_for(self):
        self.near.sendall(b"\0\0\0\5")
        self.arrive(*[b"x"] * 5, interval=0.06)
        self.server.close(time.monotonic() + 0.1)
        self.assertEqual(self.server.news(), [])

    def test_the_end_of_the_stream_is_a_lost_connection(self):
        self.turns("x", "y")
        self.near.close()
        self.assert_fails(
            self.server.hear,
            "the connection to the client was lost; your last line may not have arrived",
        )

    def test_a_loss_before_the_first_answer_tells_of_both(self):
        self.client.type("x")
        self.far.close()
        self.assert_fails(
            self.client.hear,
            "the connection to the server was lost; your last line may not have arrived"
            "; the server may be busy with another client",
        )

    def test_a_loss_before_the_server_said_anything_hints_that_it_may_be_busy(self):
        self.far.close()
        self.client.lines = ["hello"]
        self.assert_fails(
            self.client.speak,
            "the connection to the server was lost; the server may be busy with another client",
        )
        self.assertEqual(self.client.news()[-1], "Your last line was not sent.")

    def test_a_loss_while_typing_a_blank_line_is_told_all_the_same(self):
        self.turns("x")
        self.near.close()
        self.server.lines = [""]
        self.assert_fails(self.server.speak, "the connection to the client was lost")
        self.assertEqual(self.server.news()[-1], "Enter Input > ")

    def test_the_end_of_input_quits(self):
        self.assertFalse(self.client.type())
        self.assertFalse(self.server.hear())
        self.assertEqual(
            self.client.news() + self.server.news(), [protocol.PROMPT, "The client quit."]
        )

    def test_a_loss_is_told_at_the_end_of_input_too(self):
        self.turns("x")
        self.near.close()
        self.assert_fails(self.server.speak, "the connection to the client was lost")
        self.assertEqual(self.server.news()[-1], "Enter Input > ")

    def test_a_command_typed_too_late_is_no_line_that_was_not_sent(self):
        for command in ("/q", "/help"):
            self.setUp()
            self.turns("x")
            self.near.sendall(b"\0\0\0\2/q")
            self.assertFalse(self.server.type(command))
            self.assertEqual(self.server.news()[-2:], ["Enter Input > ", "The client quit."])

    def test_a_loss_before_the_first_message_leaves_nothing_unsure(self):
        self.near.close()
        self.assert_fails(self.server.hear, "the connection to the client was lost")

    def test_a_send_that_fails_is_told(self):
        self.turns("x")
        self.server._connection.has_input = lambda: False  # It is lost after that look.
        self.near.close()
        self.server.lines = ["y"]
        self.assert_fails(self.server.speak, "the connection to the client was lost")
        self.assertEqual(self.server.news()[-1], "Your last line was not sent.")

    def test_speaking_out_of_turn_is_a_breach(self):
        self.near.sendall(b"\0\0\0\1x\0\0\0\1y")
        self.server.hear()
        self.server.lines = ["z"]
        self.assert_fails(self.server.speak, "the client broke the rules: it spoke out of turn")
        self.assertEqual(self.server.news()[-1], "Your last line was not sent.")
        self.assertEqual(self.near.recv(100), b"\0\0\0\2/q")

    @mock.patch("protocol.FAREWELL_SECONDS", 0.01)
    def test_a_frame_that_begins_out_of_turn_and_never_ends_holds_nobody_up(self):
        self.turns("x")
        self.near.sendall(b"\0\0\0\5ab")
        self.server.lines = ["y"]
        begin = time.monotonic()
        self.assert_fails(self.server.speak, "the client broke the rules: it spoke out of turn")
        self.assertGreaterEqual(time.monotonic() - begin, protocol.FAREWELL_SECONDS)
        self.assertEqual(self.server.news()[-1], "Your last line was not sent.")

    @mock.patch("protocol.FAREWELL_SECONDS", 10)
    def test_a_quit_that_has_begun_to_arrive_is_a_quit(self):
        self.turns("x")
        self.near.sendall(b"\0\0\0\2")
        self.arrive(b"/", b"q")
        self.assertFalse(self.server.type("y"))
        self.assertEqual(
            self.server.news()[-2:], ["The client quit.", "Your last line was not sent."]
        )

    def test_an_illegal_move_is_a_breach(self):
        self.turns("play", "5")
        self.near.sendall(b"\0\0\0\0015")
        self.assert_fails(self.server.hear, "the client broke the rules: 5 is not free")

    def test_what_is_no_frame_is_a_breach(self):
        self.near.sendall(b"GET / HTTP/1.1\r\n\r\n")
        self.assert_fails(
            self.server.hear,
            "the client broke the rules: it announced 1195725856 bytes, the limit is 4096",
        )
        self.server.close()
        self.assertEqual((self.near.recv(100), self.near.recv(100)), (b"\0\0\0\2/q", b""))

    def handle(self, number, handler=raise_signalled):
        """Let a signal be handled so until the test ends."""
        self.addCleanup(signal.signal, number, signal.signal(number, handler))

    def test_a_signal_ends_the_wait_for_a_message_and_loses_nothing(self):
        message = b"\0\0\0\1x"
        self.addCleanup(signal.setitimer, signal.ITIMER_REAL, 0)
        for at, number in enumerate(sorted(protocol.SIGNALS)):
            self.handle(number)
            self.handle(signal.SIGALRM, lambda *_, number=number: signal.raise_signal(number))
            self.near.sendall(message[at : at + 1])
            signal.setitimer(signal.ITIMER_REAL, 0.01, 10)
            with self.assertRaises(Signalled):
                self.server.hear()
        self.near.sendall(message[len(protocol.SIGNALS) :])
        self.server.hear()
        self.assertEqual(self.server.news(), ["Client: x"])

    def hold_sigterm(self):
        """Let a SIGTERM come while signals are held back; until the test ends it raises."""
        self.handle(signal.SIGTERM)
        self.addCleanup(signal.pthread_sigmask, signal.SIG_SETMASK, set())
        protocol.hold_signals()
        signal.raise_signal(signal.SIGTERM)

    def test_signals_are_held_back_but_for_waits(self):
        self.hold_sigterm()
        with self.assertRaises(Signalled), protocol.interruptible():
            self.fail("it has come")
        protocol.hold_signals()
        with protocol.interruptible():
            pass
        signal.raise_signal(signal.SIGTERM)
        self.assertIn(signal.SIGTERM, signal.sigpending())
        with contextlib.suppress(Signalled), protocol.interruptible():
            pass

    def test_an_alarm_lets_signals_in_only_if_output_is_stalled(self):
        self.hold_sigterm()
        # Nothing but a terminal, a pipe or a socket can be stalled.
        with contextlib.redirect_stdout(io.StringIO()):
            protocol.let_signals_in_if_stalled(signal.SIGALRM, None)
        stalled = mock.patch("protocol.stalled_outputs", return_value={1})
        with stalled, self.assertRaises(Signalled):
            protocol.let_signals_in_if_stalled(signal.SIGALRM, None)
        with stalled:
            protocol.let_signals_in_if_stalled(signal.SIGALRM, None)

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
        Connection(self.near).send(text)
        self.server.hear()
        escaped = text.encode("unicode_escape").decode().replace("\\\\", "\\")
        self.assertEqual(self.server.news(), [f"Client: {escaped}"])

    def test_every_other_script_is_shown_as_it_is(self):
        texts = (
            "é e\u0301",
            "שלום عربي",
            "🏳️‍🌈 👨‍👩‍👧 🏴󠁧󠁢󠁳󠁣󠁴󠁿 1️⃣",
            "می\u200cخواهم",
            "ไทย\u200b",
            "日本語\u3000",
            "\\x1b",
        )
        for text in texts:
            Connection(self.near).send(text)
            self.server.hear()
            self.server._conversation = protocol.Conversation()
        self.assertEqual(self.server.news(), [f"Client: {text}" for text in texts])


if __name__ == "__main__":
    unittest.main()
