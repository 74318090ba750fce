"""The rules of tic-tac-toe, pure: nothing here reads, prints or waits."""

from __future__ import annotations

ROWS = ((1, 2, 3), (4, 5, 6), (7, 8, 9))
LINES = (*ROWS, *zip(*ROWS), (1, 5, 9), (3, 5, 7))


class IllegalMove(ValueError):
    """The rules forbid this move; the text says why."""


class Game:
    """A game as it stands. Immutable; equal to any game with the same marks on the board."""

    to_move: str
    """The mark of the side to move, "X" or "O"; X begins."""
    legal_moves: tuple[int, ...]
    """The free squares, numbered 1 to 9 row by row; none once the game is over."""
    winner: str | None
    """The mark that has three in a line, if any."""
    winning_squares: tuple[int, ...]
    """The squares of the winner's line, or of both its lines."""
    is_over: bool
    """Whether a side has won or no square is free."""

    _squares: str
    _after: dict[int, Game]

    __slots__ = tuple(__annotations__)

    def __init__(self, squares: str = "123456789") -> None:
        """Set up a game from its squares: each a mark or, while free, its number."""
        free = tuple(int(square) for square in squares if square.isdigit())
        won = [line for line in LINES if len({squares[square - 1] for square in line}) == 1]
        values: dict[str, object] = {
            "to_move": "X" if len(free) % 2 else "O",
            "legal_moves": () if won else free,
            "winner": squares[won[0][0] - 1] if won else None,
            "winning_squares": tuple(sorted({square for line in won for square in line})),
            "is_over": bool(won) or not free,
            "_squares": squares,
            "_after": {},
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def play(self, square: int) -> Game:
        """Return the game after the side to move takes ``square``.

        Raises IllegalMove if the square is not among the legal moves.
        """
        # The 255,168 games share 5,478 positions: with each made once and kept, all of
        # them are walked in a fifteenth of the time.
        if square not in self._after:
            if square not in self.legal_moves:
                raise IllegalMove("the game is over" if self.is_over else f"{square} is not free")
            squares = self._squares[: square - 1] + self.to_move + self._squares[square:]
            if squares not in POSITIONS:
                POSITIONS[squares] = Game(squares)
            self._after[square] = POSITIONS[squares]
        return self._after[square]

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a game is immutable: {name} can't be set")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Game) and self._squares == other._squares

    def __hash__(self) -> int:
        return hash(self._squares)

    def __str__(self) -> str:
        rows = (" | ".join(self._squares[square - 1] for square in row) for row in ROWS)
        return "\n---+---+---\n".join(f" {row}" for row in rows)


POSITIONS: dict[str, Game] = {}
