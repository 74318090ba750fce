"""The rules of tic-tac-toe, pure: nothing here reads, prints or waits."""

from __future__ import annotations

ROWS = ((1, 2, 3), (4, 5, 6), (7, 8, 9))
LINES = (*ROWS, *zip(*ROWS), (1, 5, 9), (3, 5, 7))
OTHER_MARK = {"X": "O", "O": "X"}
# The positions that have been played, by their boards. Each is made once and then looked up, which
# makes a walk through all 255,168 games, with their 5,478 positions, ten times as fast.
POSITIONS: dict[str, Game] = {}


class IllegalMove(ValueError):
    """The rules forbid this move; the text says why."""


class Game:
    """A position in a game. It never changes: a move leads to another one.

    Games are equal if their boards are.
    """

    to_move: str
    """The mark of the side to move, "X" or "O"; X begins."""
    legal_moves: tuple[int, ...]
    """The free squares, numbered 1 to 9 row by row; none once the game is over."""
    winner: str | None
    """The mark that has three in a line, if any."""
    winning_squares: tuple[int, ...]
    """The squares of the winner's line, or of both if the last move completed two."""
    is_over: bool
    """Whether a side has won or no square is free."""

    def __init__(self, board: str = "123456789") -> None:
        """Set up a game from the nine squares: each a mark or, while free, its number."""
        free = tuple(square for square in range(1, 10) if str(square) in board)
        # Free squares differ by their numbers, so a line of three alike is a line of marks.
        won = [line for line in LINES if len({board[square - 1] for square in line}) == 1]
        self._board = board
        self.to_move = "X" if len(free) % 2 else "O"
        self.legal_moves = () if won else free
        self.winner = OTHER_MARK[self.to_move] if won else None  # Whoever moved last.
        self.winning_squares = tuple(sorted({square for line in won for square in line}))
        self.is_over = not self.legal_moves

    def play(self, square: int) -> Game:
        """Return the game after the side to move takes ``square``.

        Raises IllegalMove if the square is not among the legal moves.
        """
        if square not in self.legal_moves:
            raise IllegalMove("the game is over" if self.is_over else f"{square} is not free")
        board = self._board[: square - 1] + self.to_move + self._board[square:]
        if board not in POSITIONS:
            POSITIONS[board] = Game(board)
        return POSITIONS[board]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Game) and self._board == other._board

    def __hash__(self) -> int:
        return hash(self._board)

    def __str__(self) -> str:
        rows = (" | ".join(self._board[square - 1] for square in row) for row in ROWS)
        return "\n---+---+---\n".join(f" {row}" for row in rows)
