"""The states of the chat that can be reached, and how."""

import functools

from protocol import ProtocolError, State
from tictactoe import IllegalMove

NO_MOVE = "the message is no move"
TRIED = ["play", "resign", "hello", "/q", *"123456789", "5 a remark"]


def course(*texts):
    """Return the states from the first on, through these turns, the client's first."""
    states = [State()]
    for text in texts:
        states.append(states[-1].after(states[-1].turn, text))
    return states


def after(*texts):
    """Return the state after these turns."""
    return course(*texts)[-1]


def attempt(state, speaker, text):
    """Return the state after that and None, or the same one and why it is against the rules."""
    try:
        return state.after(speaker, text), None
    except (ProtocolError, IllegalMove) as error:
        return state, repr(error)


@functools.cache
def steps():
    """Return each state that can be reached, what is tried in it, where it leads, or why not."""
    found, seen, ahead = [], set(), [State()]
    while ahead:
        before = ahead.pop()
        for text in TRIED:
            following, why = attempt(before, before.turn, text)
            found.append((before, text, following, why))
            if following.turn and (following.turn, following.game) not in seen:
                seen.add((following.turn, following.game))
                ahead.append(following)
    return found
