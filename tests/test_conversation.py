"""The rules of the conversation: no socket, no terminal."""

import itertools
import unittest

from protocol import CLIENT, DRAWN, SERVER, Conversation, Refused
from tictactoe import Game, IllegalMove


def after(*texts):
    """Return the conversation after these turns, the client's first."""
    conversation = Conversation()
    for speaker, text in zip(itertools.cycle((CLIENT, SERVER)), texts):
        conversation = conversation.say(speaker, text)
    return conversation


WON = ("play", "1", "4", "2", "5", "3")  # by the server, which is X
LOST = ("play", "1", "4", "2", "5", "9", "6")
DRAW = ("play", "5", "1", "3", "7", "4", "6", "8", "2", "9")


class ConversationTest(unittest.TestCase):
    def assert_refused(self, conversation, speaker, text, why, error=Refused):
        before = dict(vars(conversation))
        with self.assertRaises(error) as caught:
            conversation.say(speaker, text)
        self.assertEqual((str(caught.exception), vars(conversation)), (why, before))

    def test_the_client_speaks_first_and_turns_alternate(self):
        self.assertEqual([after(*["x"] * n).turn for n in range(4)], [CLIENT, SERVER] * 2)

    def test_speaking_out_of_turn_is_refused(self):
        self.assert_refused(after(), SERVER, "x", "it spoke out of turn")
        self.assert_refused(after("x"), CLIENT, "play", "it spoke out of turn")

    def test_quit_is_heard_from_either_end_in_any_turn_and_is_the_last(self):
        for texts, speaker in itertools.product(((), ("x",), ("play",)), (CLIENT, SERVER)):
            quit_ = after(*texts).say(speaker, "/q")
            self.assertIsNone(quit_.turn)
            self.assert_refused(quit_, CLIENT, "x", "it spoke out of turn")
            self.assert_refused(quit_, SERVER, "x", "it spoke out of turn")

    def test_without_a_game_everything_else_is_a_message(self):
        for text in ("", " ", "5", "resign", "Play", "play ", "/Q", "/q ", "/help", "/x", "\x1b"):
            with self.subTest(text):
                self.assertEqual(vars(after(text)), vars(Conversation(SERVER)))

    def test_whoever_receives_play_is_x_and_moves_next(self):
        for texts, receiver in ((("play",), SERVER), (("x", "play"), CLIENT)):
            conversation = after(*texts)
            self.assertEqual(
                (conversation.turn, conversation.game, conversation.game.to_move),
                (receiver, Game(), "X"),
            )
            self.assertTrue(conversation.game_is_on)

    def test_a_move_may_carry_a_remark(self):
        for text in ("5", "5 ", "5 take that", "5  6"):
            self.assertEqual(after("play", text).game, Game().play(5))

    def test_in_a_game_nothing_else_is_legal(self):
        why = "only a move, 1 to 9, or resign counts in a game"
        for text in (
            "",
            " ",
            "0",
            "10",
            "55",
            " 5",
            "5x",
            "5\t6",
            "٥",
            "５",
            "play",
            "Resign",
            "resign now",
            "/help",
            "hi",
        ):
            with self.subTest(text):
                self.assert_refused(after("play"), SERVER, text, why)

    def test_a_taken_square_is_refused(self):
        self.assert_refused(after("play", "5"), CLIENT, "5", "5 is not free", IllegalMove)

    def test_a_win_a_loss_and_a_draw_are_scored(self):
        for texts, scored in ((WON, SERVER), (LOST, CLIENT), (DRAW, DRAWN)):
            score = {CLIENT: 0, SERVER: 0, DRAWN: 0, scored: 1}
            conversation = after(*texts)
            self.assertEqual((conversation.score, conversation.game_is_on), (score, False))
            self.assertTrue(conversation.game.is_over)

    def test_resigning_before_the_first_move_declines_and_nobody_scores(self):
        conversation = after("play", "resign")
        self.assertEqual(vars(conversation), vars(Conversation()))

    def test_resigning_later_loses(self):
        for texts, winner in (
            (("play", "1", "resign"), SERVER),
            (("play", "1", "2", "resign"), CLIENT),
        ):
            conversation = after(*texts)
            self.assertEqual((conversation.score[winner], sum(conversation.score.values())), (1, 1))
            self.assertIsNone(conversation.game)

    def test_the_chat_goes_on_after_a_game_and_a_rematch_adds_to_the_score(self):
        conversation = after(*WON, "well played", "play", "resign", *WON, *DRAW, *WON)
        self.assertEqual(conversation.score, {CLIENT: 2, SERVER: 1, DRAWN: 1})

    def test_at_the_prompt_case_and_blanks_do_not_matter_in_commands(self):
        chat, game = after(), after("play")
        for conversation, typed, text in (
            (chat, " /Q ", "/q"),
            (game, "\t/Q", "/q"),
            (chat, " PLAY\t", "play"),
            (game, " Resign ", "resign"),
            (game, " 5 ", "5"),
            (game, "5 \t Take  That ", "5 Take  That "),
        ):
            self.assertEqual(conversation.interpret(typed), text)

    def test_at_the_prompt_other_text_is_sent_as_typed(self):
        for typed in ("  Hello,  World ", "Resign", "5", "/Help me", "play it again", "/x"):
            self.assertEqual(after().interpret(typed), typed)


if __name__ == "__main__":
    unittest.main()
