"""What messages mean, and what a turn has done to the game: no socket, no terminal."""

import itertools
import unittest

from protocol import CLIENT, DRAWN, OTHER, SERVER, ProtocolError, State, game_news
from tests.states import NO_MOVE, after, attempt, course, steps
from tictactoe import Game, IllegalMove

WON = ("play", "1", "4", "2", "5", "3")  # by the server, which is X
LOST = ("play", "1", "4", "2", "5", "9", "6")
DRAW = ("play", "5", "1", "3", "7", "4", "6", "8", "2", "9")


class StateTest(unittest.TestCase):
    def assert_illegal(self, state, speaker, text, why, error=ProtocolError):
        self.assertRaisesRegex(error, f"^{why}$", state.after, speaker, text)

    def test_the_client_speaks_first_and_turns_alternate(self):
        turns = [state.turn for state in course("x", "", "x")]
        self.assertEqual(turns, [CLIENT, SERVER] * 2)

    def test_quit_is_heard_from_either_end_in_any_turn_and_is_the_last(self):
        for texts, speaker in itertools.product(((), ("x",), ("play",)), (CLIENT, SERVER)):
            quit_ = after(*texts).after(speaker, "/q")
            self.assertIsNone(quit_.turn)
            self.assert_illegal(quit_, CLIENT, "x", "the message came out of turn")
            self.assert_illegal(quit_, SERVER, "x", "the message came out of turn")

    def test_without_a_game_everything_else_is_a_message(self):
        for text in ("", " ", "5", "resign", "Play", "play ", "/Q", "/q ", "/help", "/x", "\x1b"):
            self.assertEqual(after(text), State(SERVER))

    def test_whoever_receives_play_is_x_and_moves_next(self):
        for texts, receiver in ((("play",), SERVER), (("x", "play"), CLIENT)):
            self.assertEqual(after(*texts), State(receiver, Game()))
            self.assertTrue(after(*texts).game_is_on)

    def test_a_move_may_carry_a_remark(self):
        for text in ("5", "5 ", "5 take that", "5  6"):
            self.assertEqual(after("play", text).game, Game().play(5))

    def test_in_a_game_nothing_else_is_legal(self):
        texts = ("", " ", "0", "10", "55", " 5", "5x", "5\t6", "٥", "５", "play", "Resign")
        for text in (*texts, "resign now", "/help", "hi"):
            self.assert_illegal(after("play", "5"), CLIENT, text, NO_MOVE)
        self.assert_illegal(after("play"), SERVER, "hi", NO_MOVE)

    def test_a_taken_square_is_refused(self):
        self.assert_illegal(after("play", "5"), CLIENT, "5", "5 is not free", IllegalMove)

    def test_a_win_a_loss_and_a_draw_are_scored(self):
        for texts, result in ((WON, SERVER), (LOST, CLIENT), (DRAW, DRAWN)):
            state = after(*texts)
            self.assertEqual(state.results, (result,))
            self.assertEqual((state.game_is_on, state.game.is_over), (False, True))
        self.assertEqual(after(), (CLIENT, None, ()))

    def test_resigning_loses_but_before_the_first_move_it_declines_and_nobody_scores(self):
        self.assertEqual(after("play", "resign"), State())
        for moves, winner in ((["1"], SERVER), (["1", "2"], CLIENT)):
            ended = after("play", *moves, "resign")
            self.assertEqual((ended.game, ended.results), (None, (winner,)))

    def test_the_chat_goes_on_after_a_game_and_a_rematch_adds_to_the_score(self):
        state = after(*WON, "well played", "play", "resign", *WON, *DRAW, *WON)
        self.assertEqual(state.results, (SERVER, CLIENT, DRAWN, CLIENT))

    def test_a_state_is_a_value_that_nothing_changes(self):
        state, same = after(*WON), after(*WON)
        self.assertEqual((hash(state), state), (hash(same), same))
        for name in (*state._fields, "other"):
            self.assertRaises(AttributeError, setattr, state, name, None)
        state.after(CLIENT, "x"), state.after(CLIENT, "play")
        self.assertEqual(state, same)
        # What it holds are words and a game, and a game holds no more than that.
        kinds = {type(value) for value in (*state, *state.results, *state.game)}
        self.assertEqual(kinds, {str, bool, tuple, Game})

    def test_at_the_prompt_case_and_blanks_do_not_matter_in_commands(self):
        chat, game = after(), after("play")
        for typed, text in ((" /Q ", "/q"), ("/q", "/q"), (" PLAY\t", "play")):
            self.assertEqual(chat.interpret(typed), text)
        for typed, text in (("\t/Q", "/q"), (" Resign ", "resign"), (" 5 ", "5")):
            self.assertEqual(game.interpret(typed), text)
        self.assertEqual(game.interpret("5 \t Take  That "), "5 Take  That ")
        self.assertEqual(after("play", "5").interpret("RESIGN"), "resign")
        self.assertEqual(after(*WON).interpret("PLAY"), "play")

    def test_at_the_prompt_other_text_is_sent_as_typed(self):
        texts = ("  Hello,  World ", "Resign", "5", " /Help me", "play it", "x/q", " /usr is it")
        for typed in texts:
            self.assertEqual(after().interpret(typed), typed)


class GameNewsTest(unittest.TestCase):
    def assert_news(self, texts, *told):
        """Check what the last of these turns tells the client and the server."""
        before, last = course(*texts)[-2:]
        board = [str(last.game)] if last.game and last.turn else []
        for end, lines in zip((CLIENT, SERVER), told):
            self.assertEqual(game_news(before, last, end), [*board, *lines] if lines else [])

    def test_messages_and_a_quit_do_nothing_to_a_game(self):
        for texts in (("x",), ("x", "y"), ("/q",), ("play", "/q"), ("play", "5", "/q")):
            self.assert_news(texts, [], [])
        self.assert_news((*WON, "well played"), [], [])

    def test_the_start_and_a_move_show_the_board_whose_move_it_is_and_the_marks(self):
        x = "You are X: your move (1 to 9, or resign to decline)."
        o = "You are O: your move (1 to 9, or resign)."
        self.assert_news(["play"], ["You are O: the server's move."], [x])
        self.assert_news(["x", "play"], [x], ["You are O: the client's move."])
        self.assert_news(["play", "5 take that"], [o], ["You are X: the client's move."])

    def test_a_win_and_a_loss_are_told_with_the_squares_and_the_score(self):
        lost = ["You lose: the server has 1, 2, 3.", "You 0, server 1, drawn 0"]
        won = ["You win: you have 1, 2, 3.", "You 1, client 0, drawn 0"]
        self.assert_news(WON, lost, won)
        won = ["You win: you have 4, 5, 6.", "You 1, server 1, drawn 0"]
        lost = ["You lose: the client has 4, 5, 6.", "You 1, client 1, drawn 0"]
        self.assert_news((*WON, *LOST), won, lost)

    def test_a_draw_is_told_with_the_score(self):
        scores = "You 0, server 0, drawn 1", "You 0, client 0, drawn 1"
        self.assert_news(DRAW, *(["Draw.", score] for score in scores))

    def test_resigning_is_told_with_the_score_and_declining_without(self):
        declined = ["The server declined the game."], ["You declined the game."]
        self.assert_news(["play", "resign"], *declined)
        lost = ["You lose: you resigned.", "You 0, server 1, drawn 0"]
        won = ["You win: the client resigned.", "You 1, client 0, drawn 0"]
        self.assert_news(["play", "1", "resign"], lost, won)


class AgreementTest(unittest.TestCase):
    def test_no_joint_state_lets_the_two_disagree_or_wait_for_each_other(self):
        """Give each program a state of its own, and try everything in every state."""
        seen = set()
        for before, text, following, why in steps():
            # What one person may say, the peer accepts from the wire. What is refused here is
            # refused there, for the same reason.
            there = State(before.turn, before.game, before.results)
            self.assertEqual(attempt(there, before.turn, text), (following, why))
            if text in ("/q", "hello"):
                why_not = "ProtocolError('the message came out of turn')"
                out_of_turn = attempt(there, OTHER[before.turn], text)[1]
                self.assertEqual(out_of_turn, None if text == "/q" else why_not)
            if not why:
                self.assertEqual(following.turn, None if text == "/q" else OTHER[before.turn])
            seen.add((following.turn, following.game))
        # Each position, and the chat without a game, in either one's turn and with /q said.
        self.assertEqual(len(seen), 3 * (5478 + 1))
