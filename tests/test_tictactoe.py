"""The rules, proved by the published counts of the whole tree of games."""

import ast
import collections
import functools
import unittest

import tictactoe
from tictactoe import Game, IllegalMove


def after(*squares):
    """Return the game after these moves."""
    game = Game()
    for square in squares:
        game = game.play(square)
    return game


@functools.cache
def endings(game):
    """Return how many games go on from this one, by their length in moves and their winner."""
    if game.is_over:
        return collections.Counter([(sum(map(game.board.count, "XO")), game.winner)])
    return sum((endings(game.play(square)) for square in game.legal_moves), collections.Counter())


class GameTest(unittest.TestCase):
    def test_the_tree_of_games_has_the_published_counts(self):
        games, lengths, winners = endings(Game()), collections.Counter(), collections.Counter()
        for (length, winner), count in games.items():
            lengths[length] += count
            winners[winner] += count
        self.assertEqual(lengths, {5: 1440, 6: 5328, 7: 47952, 8: 72576, 9: 127872})
        self.assertEqual(winners, {"X": 131184, "O": 77904, None: 46080})
        self.assertEqual(endings.cache_info().currsize, 5478)

    def test_x_begins_and_marks_alternate(self):
        marks = [after(*(5, 1, 9)[:moves]).to_move for moves in range(4)]
        self.assertEqual((marks, after(5, 1, 9).legal_moves), (["X", "O"] * 2, (2, 3, 4, 6, 7, 8)))

    def test_the_board_numbers_the_free_squares(self):
        board = " 1 | 2 | 3\n---+---+---\n 4 | X | 6\n---+---+---\n 7 | 8 | O"
        self.assertEqual(str(after(5, 9)), board)

    def test_every_line_wins(self):
        for line in tictactoe.LINES:
            marks = ("X" if square in line else str(square) for square in tictactoe.SQUARES)
            game = tictactoe.game_from(" " + "".join(marks))
            self.assertEqual((game.winner, game.winning_squares), ("X", line))
            self.assertEqual((game.is_over, game.legal_moves), (True, ()))

    def test_two_lines_at_once_win_with_the_squares_of_both_and_a_draw_has_no_winner(self):
        game = after(1, 2, 3, 4, 7, 6, 9, 8, 5)
        self.assertEqual((game.winner, game.winning_squares), ("X", (1, 3, 5, 7, 9)))
        game = after(5, 1, 3, 7, 4, 6, 8, 2, 9)
        self.assertEqual((game.is_over, game.winner, game.winning_squares), (True, None, ()))

    def test_illegal_moves_are_value_errors_that_say_why(self):
        over = after(1, 4, 2, 5, 3)
        for game, square in ((after(5), 5), (Game(), 0), (Game(), 10), (over, 9)):
            why = "the game is over" if game is over else f"{square} is not free"
            self.assertRaisesRegex(IllegalMove, f"^{why}$", game.play, square)
        self.assertTrue(issubclass(IllegalMove, ValueError))

    def test_a_game_is_a_value_that_nothing_changes(self):
        one, same, other = after(3, 2, 1), after(1, 2, 3), after(1, 3, 2)
        self.assertEqual((one, hash(one)), (same, hash(same)))
        self.assertFalse(one == other or other == one)
        for name in (*Game._fields, "other"):
            self.assertRaises(AttributeError, setattr, one, name, "X")
        self.assertNotEqual(one.play(9), one)
        self.assertEqual(one, same)
        self.assertEqual({type(value) for value in one}, {str, tuple, type(None), bool})
        self.assertEqual({type(square) for square in one.legal_moves}, {int})

    def test_the_module_imports_nothing_that_reads_or_prints(self):
        with open(tictactoe.__file__, encoding="utf-8") as source:
            nodes = list(ast.walk(ast.parse(source.read())))
        self.assertFalse([node for node in nodes if isinstance(node, ast.Import)])
        imports = [node.module for node in nodes if isinstance(node, ast.ImportFrom)]
        self.assertEqual(imports, ["__future__", "typing"])
