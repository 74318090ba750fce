"""The rules of tic-tac-toe, pure: nothing here reads, prints or waits."""

from __future__ import annotations

from typing import NamedTuple

ROWS = ((1, 2, 3), (4, 5, 6), (7, 8, 9))
COLUMNS = ((1, 4, 7), (2, 5, 8), (3, 6, 9))
DIAGONALS = ((1, 5, 9), (3, 5, 7))
LINES = ROWS + COLUMNS + DIAGONALS
SQUARES = (1, 2, 3, 4, 5, 6, 7, 8, 9)
OTHER_MARK = {"X": "O", "O": "X"}


class IllegalMove(ValueError):
    """The rules forbid this move; the text says why."""


class Game(NamedTuple):
    """A position in a game. Game() is the first one, and play() gives each later one."""

    board: str = " 123456789"
    """board[5] is square 5: a mark or, while free, its number. board[0] is not used."""
    to_move: str = "X"
    """The mark of the side to move, "X" or "O"."""
    legal_moves: tuple[int, ...] = SQUARES
    """The free squares, numbered 1 to 9 row by row; none once the game is over."""
    winner: str | None = None
    """The mark that has three in a line, if any."""
    winning_squares: tuple[int, ...] = ()
    """The squares of the winner's line, or of both if the last move completed two."""
    is_over: bool = False
    """Whether a side has won or no square is free."""

    def play(self, square: int) -> Game:
        """Return the game once ``to_move`` has taken ``square``, or raise IllegalMove."""
        if square not in self.legal_moves:
            raise IllegalMove("the game is over" if self.is_over else f"{square} is not free")
        return game_from(self.board[:square] + self.to_move + self.board[square + 1 :])

    def __str__(self) -> str:
        rows = (" | ".join(self.board[square] for square in row) for row in ROWS)
        return "\n---+---+---\n".join(f" {row}" for row in rows)


def game_from(board: str) -> Game:
    """Return the game with this board."""
    free = tuple(square for square in SQUARES if board[square] == str(square))
    to_move = "X" if len(free) % 2 else "O"
    # Free squares hold different digits, so three equal characters are three equal marks.
    wins = [(a, b, c) for a, b, c in LINES if board[a] == board[b] == board[c]]
    winner = OTHER_MARK[to_move] if wins else None  # Whoever moved last.
    winning_squares = tuple(square for square in SQUARES if any(square in line for line in wins))
    legal_moves = () if wins else free
    return Game(board, to_move, legal_moves, winner, winning_squares, is_over=not legal_moves)
