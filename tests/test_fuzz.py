"""Random streams from either side. A failure names FUZZ_SEED and FUZZ_STREAMS, which repeat it."""

import contextlib
import os
import random
import re
import socket
import unittest
from functools import partial

from protocol import CLIENT, ESCAPES, OTHER, QUIT, SERVER, Chat, ChatError, Connection
from tests.programs import SECONDS
from tests.wire import frames

SEED = int(os.environ.get("FUZZ_SEED") or random.SystemRandom().randrange(2**32))
STREAMS = int(os.environ.get("FUZZ_STREAMS") or 400)
WORDS = ("/q", "play", "resign", "5", "1 x", "0", "hello", "", "\x1b[2J", "\u202e", "é", "👩‍👩‍👧")


def random_word(dice, _prompt=""):
    return dice.choice(WORDS)


def random_stream(dice):
    """Return bytes: frames of words, of text or of noise, the last one whole or cut off."""
    stream = b""
    for _ in range(dice.randrange(12)):
        kind = dice.random()
        if kind < 0.7:
            stream += frames(random_word(dice))
        elif kind < 0.9:
            codes = [dice.choice((0x80, 0xD800, 0x10FFFF)) for _ in range(dice.randrange(50))]
            text = "".join(chr(dice.randrange(code)) for code in codes)
            stream += frames(text.encode(errors="ignore").decode())
        else:
            stream += dice.choice((b"\0\0\0\4", b"")) + dice.randbytes(4)
    return stream[: dice.randrange(len(stream) + 1)] if dice.random() < 0.2 else stream


class FuzzTest(unittest.TestCase):
    def test_a_client_and_a_server_survive_random_streams(self):
        for number in range(STREAMS):
            dice, me = random.Random(f"{SEED}-{number}"), (CLIENT, SERVER)[number % 2]
            with self.subTest(FUZZ_SEED=SEED, FUZZ_STREAMS=STREAMS, number=number):
                self.chat_with_a_random_stream(dice, me)

    def chat_with_a_random_stream(self, dice, me):
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
                chat._connection.poll = lambda timeout=0: timeout > 0
            turn = (chat.speak, chat.hear) if me == CLIENT else (chat.hear, chat.speak)
            with contextlib.closing(chat):
                try:
                    while all(act() for act in turn):
                        pass
                except ChatError as error:
                    why = "^the {0} broke the rules: |^the connection to the {0} was lost"
                    self.assertRegex(str(error), why.format(OTHER[me]))
            self.assertEqual(near.fileno(), -1)
            self.assertFalse(set("".join(shown)) & set(map(chr, ESCAPES)) - {"\n"})
            lines = [line for text in shown for line in text.split("\n")]
            widths = [len(line) for line in lines if not re.match("(Client|Server): ", line)]
            self.assertLess(max(widths, default=0), 80)
            peer, heard = Connection(far), []
            # If this end left unread what was sent, the system resets the connection.
            with self.assertRaises((EOFError, ConnectionResetError)):
                while True:
                    heard.append(peer.receive())
            self.assertNotIn(QUIT, heard[:-1])
