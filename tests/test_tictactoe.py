"""The rules, proved by the published counts of the whole tree of games."""

import ast
import collections
import unittest

import tictactoe
from tictactoe import Game, IllegalMove


class GameTest(unittest.TestCase):
    def test_tree_of_games_has_the_published_counts(self):
        lengths, winners, positions = collections.Counter(), collections.Counter(), set()

        def walk(game, length):
            positions.add(game)
            if game.is_over:
                lengths[length] += 1
                winners[game.winner] += 1
            for square in game.legal_moves:
                walk(game.play(square), length + 1)

        walk(Game(), 0)
        self.assertEqual(lengths, {5: 1440, 6: 5328, 7: 47952, 8: 72576, 9: 127872})
        self.assertEqual(winners, {"X": 131184, "O": 77904, None: 46080})
        self.assertEqual(len(positions), 5478)

    def test_x_begins_and_marks_alternate(self):
        game, marks = Game(), []
        for square in (5, 1, 9):
            marks.append(game.to_move)
            game = game.play(square)
        self.assertEqual(marks, ["X", "O", "X"])
        self.assertEqual(game.legal_moves, (2, 3, 4, 6, 7, 8))

    def test_board_numbers_the_free_squares(self):
        board = " 1 | 2 | 3\n---+---+---\n 4 | X | 6\n---+---+---\n 7 | 8 | O"
        self.assertEqual(str(Game().play(5).play(9)), board)

    def test_every_line_wins(self):
        for line in tictactoe.LINES:
            game = Game()
            others = iter(square for square in (2, 4, 5, 9, 1, 3) if square not in line)
            for square in line:
                game = game.play(square)
                if not game.is_over:
                    game = game.play(next(others))
            with self.subTest(line=line):
                self.assertEqual((game.winner, game.winning_squares), ("X", line))
                self.assertEqual((game.is_over, game.legal_moves), (True, ()))

    def test_two_lines_at_once_win_with_the_squares_of_both(self):
        game = Game()
        for square in (1, 2, 3, 4, 7, 6, 9, 8, 5):
            game = game.play(square)
        self.assertEqual((game.winner, game.winning_squares), ("X", (1, 3, 5, 7, 9)))

    def test_a_draw_has_no_winner(self):
        game = Game()
        for square in (5, 1, 3, 7, 4, 6, 8, 2, 9):
            game = game.play(square)
        self.assertEqual((game.is_over, game.winner, game.winning_squares), (True, None, ()))

    def test_illegal_moves_are_value_errors_that_say_why(self):
        over = Game().play(1).play(4).play(2).play(5).play(3)
        for game, square, why in (
            (Game().play(5), 5, "5 is not free"),
            (Game(), 0, "0 is not free"),
            (Game(), 10, "10 is not free"),
            (over, 9, "the game is over"),
        ):
            with self.subTest(why), self.assertRaises(ValueError) as caught:
                game.play(square)
            self.assertEqual((type(caught.exception), str(caught.exception)), (IllegalMove, why))

    def test_a_game_is_a_value(self):
        one, same = Game().play(3).play(2).play(1), Game("".join(("XOX", "456789")))
        self.assertEqual((one, hash(one)), (same, hash(same)))
        other = Game().play(1).play(3).play(2)
        self.assertFalse(one == other or other == one)
        self.assertNotEqual(one, "X2X456789")
        for name in ("to_move", "winner", "_squares", "anything"):
            with self.assertRaises(AttributeError):
                setattr(one, name, "O")
        self.assertEqual((one.to_move, str(Game())), ("O", str(Game("123456789"))))

    def test_the_module_imports_nothing(self):
        with open(tictactoe.__file__) as source:
            tree = ast.parse(source.read())
        imports = [
            node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))
        ]
        self.assertEqual([node.module for node in imports], ["__future__"])


if __name__ == "__main__":
    unittest.main()
