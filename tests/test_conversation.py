"""The rules of the conversation, and what a turn did to the game: no socket, no terminal."""

import itertools
import unittest

from protocol import CLIENT, DRAWN, SERVER, Conversation, Refused, game_news
from tictactoe import Game, IllegalMove

NONE = {CLIENT: 0, SERVER: 0, DRAWN: 0}
ONLY = "in a game only 1 to 9 or resign counts"
WON = ("play", "1", "4", "2", "5", "3")  # by the server, which is X
LOST = ("play", "1", "4", "2", "5", "9", "6")
DRAW = ("play", "5", "1", "3", "7", "4", "6", "8", "2", "9")


def course(*texts):
    """Return the conversations from the first on, through these turns, the client's first."""
    conversations = [Conversation()]
    for text in texts:
        last = conversations[-1]
        conversations.append(last.say(last.turn, text))
    return conversations


def after(*texts):
    """Return the conversation after these turns."""
    return course(*texts)[-1]


class ConversationTest(unittest.TestCase):
    def assert_refused(self, conversation, speaker, text, why, error=Refused):
        with self.assertRaises(error) as caught:
            conversation.say(speaker, text)
        self.assertEqual(str(caught.exception), why)

    def test_the_client_speaks_first_and_turns_alternate(self):
        turns = [conversation.turn for conversation in course("x", "", "x")]
        self.assertEqual(turns, [CLIENT, SERVER] * 2)

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
            self.assertEqual(after(text), Conversation(SERVER))

    def test_whoever_receives_play_is_x_and_moves_next(self):
        for texts, receiver in ((("play",), SERVER), (("x", "play"), CLIENT)):
            self.assertEqual(after(*texts), Conversation(receiver, Game(), NONE))
            self.assertTrue(after(*texts).game_is_on)

    def test_a_move_may_carry_a_remark(self):
        for text in ("5", "5 ", "5 take that", "5  6"):
            self.assertEqual(after("play", text).game, Game().play(5))

    def test_in_a_game_nothing_else_is_legal(self):
        texts = ("", " ", "0", "10", "55", " 5", "5x", "5\t6", "٥", "５", "play", "Resign")
        for text in (*texts, "resign now", "/help", "hi"):
            self.assert_refused(after("play"), SERVER, text, ONLY)

    def test_a_taken_square_is_refused(self):
        self.assert_refused(after("play", "5"), CLIENT, "5", "5 is not free", IllegalMove)

    def test_a_win_a_loss_and_a_draw_are_scored(self):
        for texts, scored in ((WON, SERVER), (LOST, CLIENT), (DRAW, DRAWN)):
            conversation = after(*texts)
            self.assertEqual(conversation.score, {**NONE, scored: 1})
            self.assertEqual((conversation.game_is_on, conversation.game.is_over), (False, True))
        self.assertEqual(after(), (CLIENT, None, NONE))

    def test_resigning_before_the_first_move_declines_and_nobody_scores(self):
        self.assertEqual(after("play", "resign"), Conversation())

    def test_resigning_later_loses(self):
        for moves, winner in ((["1"], SERVER), (["1", "2"], CLIENT)):
            ended = after("play", *moves, "resign")
            self.assertEqual((ended.game, ended.score), (None, {**NONE, winner: 1}))

    def test_the_chat_goes_on_after_a_game_and_a_rematch_adds_to_the_score(self):
        conversation = after(*WON, "well played", "play", "resign", *WON, *DRAW, *WON)
        self.assertEqual(conversation.score, {CLIENT: 2, SERVER: 1, DRAWN: 1})
        self.assertIsNone(after(*WON, "well played").game)

    def test_at_the_prompt_case_and_blanks_do_not_matter_in_commands(self):
        chat, game = after(), after("play")
        for conversation, typed, text in (
            (chat, " /Q ", "/q"),
            (game, "\t/Q", "/q"),
            (chat, "/Help", "/help"),
            (chat, " PLAY\t", "play"),
            (game, " Resign ", "resign"),
            (game, " 5 ", "5"),
            (game, "5 \t Take  That ", "5 Take  That "),
        ):
            self.assertEqual(conversation.interpret(typed), text)

    def test_at_the_prompt_other_text_is_sent_as_typed(self):
        texts = (
            "  Hello,  World ",
            "Resign",
            "5",
            "/Help me",
            "play it again",
            "x/q",
            "/usr is it",
        )
        for typed in texts:
            self.assertEqual(after().interpret(typed), typed)

    def test_at_the_prompt_one_word_with_a_slash_that_is_no_command_is_refused(self):
        for texts, typed in itertools.product(((), ("play",)), ("/quit", " /PLAY ", "/", "/5")):
            with self.assertRaises(Refused) as caught:
                after(*texts).interpret(typed)
            self.assertEqual(str(caught.exception), "there is no such command")


class GameNewsTest(unittest.TestCase):
    def news(self, *texts):
        """Return what the last of these turns tells the client and the server."""
        before, last = course(*texts)[-2:]
        return [game_news(before, last, end) for end in (CLIENT, SERVER)]

    def test_messages_and_a_quit_do_nothing_to_a_game(self):
        for texts in (("x",), ("x", "y"), ("/q",), ("play", "/q"), ("play", "5", "/q")):
            self.assertEqual(self.news(*texts), [[], []])
        self.assertEqual(self.news(*WON, "well played"), [[], []])

    def test_a_game_that_starts_shows_the_board_whose_move_it_is_and_the_marks(self):
        board = " 1 | 2 | 3\n---+---+---\n 4 | 5 | 6\n---+---+---\n 7 | 8 | 9"
        told = [
            [board, "You are O: the server moves."],
            [board, "You are X: your move (1 to 9, or resign)."],
        ]
        self.assertEqual(self.news("play"), told)
        told = [
            [board, "You are X: your move (1 to 9, or resign)."],
            [board, "You are O: the client moves."],
        ]
        self.assertEqual(self.news("x", "play"), told)

    def test_a_move_shows_the_board_and_whose_move_it_is(self):
        board = str(Game().play(5))
        told = [
            [board, "You are O: your move (1 to 9, or resign)."],
            [board, "You are X: the client moves."],
        ]
        self.assertEqual(self.news("play", "5 take that"), told)

    def test_a_win_and_a_loss_are_told_with_the_squares_and_the_score(self):
        (board, *lost), (_, *won) = self.news(*WON)
        self.assertEqual(board, str(after(*WON).game))
        self.assertEqual(lost, ["You lose: the server has 1, 2, 3.", "You 0, server 1, drawn 0"])
        self.assertEqual(won, ["You win: you have 1, 2, 3.", "You 1, client 0, drawn 0"])
        (_, *won), (_, *lost) = self.news(*WON, *LOST)
        self.assertEqual(won, ["You win: you have 4, 5, 6.", "You 1, server 1, drawn 0"])
        self.assertEqual(lost, ["You lose: the client has 4, 5, 6.", "You 1, client 1, drawn 0"])

    def test_a_draw_is_told_with_the_score(self):
        board = str(after(*DRAW).game)
        score = "You 0, server 0, drawn 1", "You 0, client 0, drawn 1"
        self.assertEqual(self.news(*DRAW), [[board, "Draw.", line] for line in score])

    def test_declining_is_told_without_a_score(self):
        told = [["The server declined the game."], ["You declined the game."]]
        self.assertEqual(self.news("play", "resign"), told)

    def test_resigning_is_told_with_the_score(self):
        told = [
            ["You lose: you resigned.", "You 0, server 1, drawn 0"],
            ["You win: the client resigned.", "You 1, client 0, drawn 0"],
        ]
        self.assertEqual(self.news("play", "1", "resign"), told)


if __name__ == "__main__":
    unittest.main()
