"""The two ends can't disagree: every joint state of a game, with everything tried in it."""

import unittest

from protocol import CLIENT, OTHER, SERVER, Conversation, Refused
from tictactoe import IllegalMove

LEGAL_OR_NOT = ["play", "resign", "hello", "", "0", "/q", *"123456789", "5 a remark", "10"]


def state(conversation):
    return conversation.turn, conversation.game, tuple(conversation.score.items())


class AgreementTest(unittest.TestCase):
    def test_no_joint_state_lets_the_ends_disagree_or_wait_for_each_other(self):
        """Wire an end to the other, each with a conversation of its own, and try all in all."""
        start = Conversation().say(CLIENT, "play"), Conversation().say(CLIENT, "play")
        seen, ahead, tried, ended = {state(start[0])}, [start], 0, 0
        while ahead:
            ends = dict(zip((CLIENT, SERVER), ahead.pop()))
            self.assertEqual(state(ends[CLIENT]), state(ends[SERVER]))
            speaker = ends[CLIENT].turn
            if speaker is None or not ends[CLIENT].game_is_on:
                ended += 1
                continue
            for text in LEGAL_OR_NOT:
                tried += 1
                for silent in set(ends) - {speaker} if text != "/q" else ():
                    for end in ends.values():
                        with self.assertRaises(Refused):
                            end.say(silent, text)
                before = state(ends[CLIENT])
                try:
                    said = ends[speaker].say(speaker, text)
                except (Refused, IllegalMove) as error:
                    # What the speaking end refuses from its person, the other one refuses from
                    # the wire, for the same reason; both are left unchanged.
                    with self.assertRaises(type(error)) as caught:
                        ends[OTHER[speaker]].say(speaker, text)
                    self.assertEqual(str(caught.exception), str(error))
                    self.assertEqual([state(end) for end in ends.values()], [before] * 2)
                    continue
                heard = ends[OTHER[speaker]].say(speaker, text)
                self.assertEqual(state(said), state(heard))
                self.assertEqual(said.turn, OTHER[speaker] if text != "/q" else None)
                if state(said) not in seen:
                    seen.add(state(said))
                    ahead.append((said, heard) if speaker == CLIENT else (heard, said))
        positions = {game for _, game, _ in seen if game}
        # 4,520 positions in which the game goes on, the same number of them with /q said, 958
        # at its end, and three ways out by resigning: declined, lost, won.
        self.assertEqual(
            (len(positions), ended, len(seen)), (5478, 4520 + 958 + 3, 2 * 4520 + 958 + 3)
        )
        self.assertEqual(tried, 4520 * len(LEGAL_OR_NOT))


if __name__ == "__main__":
    unittest.main()
