"""Random streams at both ends. FUZZ_SEED repeats a run, FUZZ_STREAMS sets the number of streams."""

import contextlib
import os
import random
import socket
import sys
from functools import partial

from protocol import CLIENT, ESCAPES, OTHER, QUIT, SERVER, Chat, ChatError, Connection
from tests.programs import SECONDS
from tests.test_connection import frames
from tests.test_faults import FaultTest

SEED = int(os.environ.get("FUZZ_SEED") or random.SystemRandom().randrange(2**32))
STREAMS = int(os.environ.get("FUZZ_STREAMS") or 400)
WORDS = ("/q", "play", "resign", "5", "1 x", "0", "hello", "", "\x1b[2J", "\u202e", "é", "👩‍👩‍👧")


def random_word(dice, _prompt=""):
    return dice.choice(WORDS)


def random_stream(dice):
    """Return bytes: noise, or frames of words, of text or of noise, whole or cut off."""
    if dice.random() < 0.1:
        return dice.randbytes(dice.randrange(200))
    stream = b""
    for _ in range(dice.randrange(12)):
        kind = dice.random()
        if kind < 0.7:
            stream += frames(random_word(dice))
        elif kind < 0.95:
            codes = [dice.choice((0x80, 0xD800, 0x10FFFF)) for _ in range(dice.randrange(50))]
            text = "".join(chr(dice.randrange(code)) for code in codes)
            stream += frames(text.encode(errors="ignore").decode())
        else:
            stream += b"\0\0\0\4" + dice.randbytes(4)
    return stream[: dice.randrange(len(stream) + 1)] if dice.random() < 0.2 else stream


def harmful(shown):
    """Return the characters shown that could do more to a terminal than show themselves."""
    return set(shown) & set(map(chr, ESCAPES)) - {"\n"}


class FuzzTest(FaultTest):
    @classmethod
    def setUpClass(cls):
        print(f"\nrepeat this with FUZZ_SEED={SEED} FUZZ_STREAMS={STREAMS}", file=sys.stderr)

    def dice(self, streams):
        """Give a random number generator for each stream, and each end of the chat in turn."""
        for number in range(streams):
            with self.subTest(seed=f"{SEED}-{number}"):
                yield random.Random(f"{SEED}-{number}"), (CLIENT, SERVER)[number % 2]

    def test_an_end_survives_random_streams(self):
        for dice, me in self.dice(STREAMS):
            near, far = socket.socketpair()
            with near, far:
                far.settimeout(SECONDS)
                far.sendall(random_stream(dice))
                far.shutdown(socket.SHUT_WR)
                shown = []
                chat = Chat(Connection(near), me, partial(random_word, dice), shown.append)
                if dice.random() < 0.8:
                    # All of the stream is there from the start, so that a look before a line is
                    # sent would mostly find the other end speaking out of turn.
                    chat._connection.has_input = lambda: False
                turn = (chat.speak, chat.hear) if me == CLIENT else (chat.hear, chat.speak)
                with contextlib.closing(chat):
                    try:
                        while all(act() for act in turn):
                            pass
                    except ChatError as error:
                        why = "^the {0} broke the rules: |^the connection to the {0} was lost"
                        self.assertRegex(str(error), why.format(OTHER[me]))
                self.assertEqual(near.fileno(), -1)
                self.assertFalse(harmful("\n".join(shown)))
                peer, heard = Connection(far), []
                with self.assertRaises(EOFError):
                    while True:
                        heard.append(peer.receive())
                self.assertNotIn(QUIT, heard[:-1])

    def test_the_programs_survive_random_streams(self):
        for dice, me in self.dice(STREAMS // 40):
            # Without a first message, the server would take it for a stranger, and wait on.
            program, peer = self.client_and_peer() if me == CLIENT else self.server_and_peer()
            with peer:
                program.write("".join(random_word(dice) + "\n" for _ in range(9)) + "/q\n")
                with contextlib.suppress(OSError):  # It may have left already.
                    peer.sendall(random_stream(dice))
                    peer.shutdown(socket.SHUT_WR)
                shown = program.rest()
                errors = [line for line in shown.splitlines() if line.startswith(f"{me}.py: ")]
                self.assertEqual(program.process.wait(), len(errors), shown)
                self.assertRegex("".join(errors), rf"^({me}\.py: error: the [^:]*(: .*)?)?$")
                self.assertFalse(harmful(shown))
