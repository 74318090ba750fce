"""The two ends can't disagree: every joint state of a game, with everything tried in it."""

import unittest

from protocol import CLIENT, OTHER, Conversation, Refused
from tictactoe import IllegalMove

TRIED = ["play", "resign", "hello", "", "0", "/q", *"123456789", "5 a remark", "10"]
OUT_OF_TURN = "Refused('it spoke out of turn')"


def state(conversation):
    """Return a conversation as what can be looked up in a set."""
    return conversation.turn, conversation.game, tuple(conversation.score.items())


def say(conversation, speaker, text):
    """Return the conversation after that and None, or the same one and why it was refused."""
    try:
        return conversation.say(speaker, text), None
    except (Refused, IllegalMove) as error:
        return conversation, repr(error)


class AgreementTest(unittest.TestCase):
    def test_no_joint_state_lets_the_ends_disagree_or_wait_for_each_other(self):
        """Wire an end to the other, each with a conversation of its own, and try all in all."""
        start = Conversation().say(CLIENT, "play"), Conversation().say(CLIENT, "play")
        seen, ahead, tried, ended = {state(start[0])}, [start], 0, 0
        while ahead:
            ends = ahead.pop()
            before = state(ends[0])
            self.assertEqual(state(ends[1]), before)
            speaker = ends[0].turn
            if speaker is None or not ends[0].game_is_on:
                ended += 1
                continue
            for text in TRIED:
                tried += 1
                out_of_turn = [say(end, OTHER[speaker], text)[1] for end in ends]
                # What one end's person may say, the other end accepts from the wire; what is
                # refused here is refused there, for the same reason; neither changes the state
                # from which it was said.
                (said, why), (heard, why_there) = (say(end, speaker, text) for end in ends)
                self.assertEqual(
                    (state(heard), why_there, [state(end) for end in ends], out_of_turn),
                    (state(said), why, [before] * 2, [None if text == "/q" else OUT_OF_TURN] * 2),
                )
                if not why:
                    self.assertEqual(said.turn, None if text == "/q" else OTHER[speaker])
                if state(said) not in seen:
                    seen.add(state(said))
                    ahead.append((said, heard))
        positions = {game for _, game, _ in seen if game}
        # 4,520 positions in which the game goes on, the same number of them with /q said, 958
        # at its end, and three ways out by resigning: declined, lost, won.
        self.assertEqual(
            (len(positions), ended, len(seen)), (5478, 4520 + 958 + 3, 2 * 4520 + 958 + 3)
        )
        self.assertEqual(tried, 4520 * len(TRIED))


if __name__ == "__main__":
    unittest.main()
