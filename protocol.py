"""What both programs share, in four parts; each part uses only those before it.

They are the frame, what messages mean, one end of the chat, and the person's side.
"""

from __future__ import annotations

import contextlib
import io
import os
import select
import socket
import struct
import sys
from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser
from collections.abc import Callable, Iterator
from typing import NamedTuple, TextIO

from tictactoe import OTHER_MARK, SQUARES, Game, IllegalMove

# 1. The frame: how a message travels.

MAX_MESSAGE_BYTES = 4096  # Without a limit, a header could announce 4 GiB.
HEADER = struct.Struct(">I")  # ">": big-endian, "I": unsigned, 4 bytes

# After 20 seconds of silence the system sends a probe every 5 seconds, and gives up after 5 probes
# without answer. On Linux, TCP_USER_TIMEOUT replaces that count, and limits the wait for an ACK.
KEEP_ALIVE = {
    "TCP_KEEPIDLE": 20,  # seconds
    "TCP_KEEPALIVE": 20,  # seconds; the name of TCP_KEEPIDLE on macOS
    "TCP_KEEPINTVL": 5,  # seconds
    "TCP_KEEPCNT": 5,  # probes
    "TCP_USER_TIMEOUT": (20 + 5 * 5) * 1000,  # milliseconds
}


class ProtocolError(ValueError):
    """A text or a frame breaks the rules; str(error) says why."""


class Connection:
    """Messages over a connected stream socket, each in a frame of its own.

    A stream has no end-of-message: what was sent with two calls can arrive as one piece, or as
    five. So each message is sent with its length in front. A frame is the length in bytes, 0 to
    4096, as a 4-byte unsigned big-endian integer, then that many bytes of UTF-8: "Hello" is
    00 00 00 05 48 65 6c 6c 6f. Errors of the socket, OSErrors, are passed on.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._received = b""

    def send(self, text: str) -> None:
        """Send one message; raise ProtocolError if it is too long or not valid Unicode."""
        try:
            message = text.encode()
        except UnicodeEncodeError as error:  # Input that is not text gives surrogates.
            raise ProtocolError("it holds bytes that are not text") from error
        if len(message) > MAX_MESSAGE_BYTES:
            raise ProtocolError(f"it takes {len(message)} bytes, the limit is {MAX_MESSAGE_BYTES}")
        # In one call. With two, the system would hold the message back until the peer has
        # acknowledged the header (Nagle's algorithm).
        self._sock.sendall(HEADER.pack(len(message)) + message)

    def receive(self) -> str:
        """Return the next message; raise EOFError at the end, ProtocolError for a bad frame."""
        while len(self._received) < HEADER.size:
            self._receive_more()
        (length,) = HEADER.unpack_from(self._received)
        if length > MAX_MESSAGE_BYTES:
            raise ProtocolError(f"it announced {length} bytes, the limit is {MAX_MESSAGE_BYTES}")
        end = HEADER.size + length
        while len(self._received) < end:
            self._receive_more()
        message, self._received = self._received[HEADER.size : end], self._received[end:]
        try:
            return message.decode()
        except UnicodeDecodeError as error:
            raise ProtocolError("it sent bytes that are not UTF-8") from error

    def _receive_more(self) -> None:
        # This may bring half a frame, or more than one.
        more = self._sock.recv(HEADER.size + MAX_MESSAGE_BYTES)
        if not more and self._received:
            raise ProtocolError("it ended inside a frame")
        if not more:
            raise EOFError
        self._received += more

    def has_input(self, seconds: float = 0) -> bool:
        """Return whether anything can be read within ``seconds``, even half a frame or the end."""
        return bool(self._received or select.select([self._sock], [], [], seconds)[0])

    def close(self) -> None:
        """Close the socket."""
        # Closing a socket with unread input resets the connection, and what was sent last can be
        # lost. So the input is read first, up to 1 MB, far more than the rules let a peer send.
        with contextlib.suppress(OSError):
            if select.select([self._sock], [], [], 0)[0]:
                self._sock.recv(1_000_000)
        self._sock.close()


def keep_alive(sock: socket.socket) -> None:
    """Let the system notice that the other host has vanished."""
    with contextlib.suppress(OSError):  # Where the system refuses, the chat works without it.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in KEEP_ALIVE.items():
            if hasattr(socket, name):  # No system has all of them.
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


# 2. What messages mean: whose turn it is, the game, the score.

CLIENT, SERVER, DRAWN = "client", "server", "drawn"
OTHER = {CLIENT: SERVER, SERVER: CLIENT}
QUIT, INVITE, RESIGN = "/q", "play", "resign"


class Score(NamedTuple):
    """How many games the CLIENT and the SERVER have won, and how many were DRAWN."""

    client: int = 0
    server: int = 0
    drawn: int = 0

    def plus(self, result: str) -> Score:
        """Return the score after a game with this result: its winner, or DRAWN."""
        counts = self._asdict()
        counts[result] += 1
        return Score(**counts)


class State(NamedTuple):
    """How far the chat has come. Client and server each keep one, and after() gives the next."""

    turn: str | None = CLIENT
    """Whose turn it is, CLIENT or SERVER; None once one of them has quit."""
    game: Game | None = None
    """The game that is on, or was played to its end; else None."""
    score: Score = Score()

    @property
    def game_is_on(self) -> bool:
        """Whether a game is being played."""
        return self.game is not None and not self.game.is_over

    @property
    def game_is_new(self) -> bool:
        """Whether a game is on, still without a move."""
        return self.game == Game()

    @property
    def choice_text(self) -> str:
        """What to type in a game, as text to show."""
        return "1 to 9, or resign to decline" if self.game_is_new else "1 to 9, or resign"

    def interpret(self, typed: str) -> str:
        """Return the text that a typed line stands for; may raise ProtocolError."""
        command = typed.strip().lower()
        commands = (QUIT, RESIGN) if self.game_is_on else (QUIT, INVITE)
        if command in commands:
            return command
        if self.game_is_on:  # One space after the move; after() checks the rest.
            return " ".join(typed.split(maxsplit=1))
        if typed.startswith("/"):
            raise ProtocolError("there is no such command; a blank in front sends it as text")
        return typed

    def after(self, speaker: str, text: str) -> State:
        """Return the state after ``speaker``, CLIENT or SERVER, has said ``text``.

        Raises ProtocolError or IllegalMove if that is against the rules.
        """
        if text == QUIT:  # It may be said out of turn.
            return self._replace(turn=None)
        if speaker != self.turn:
            raise ProtocolError("it spoke out of turn")
        game, score = self.game, self.score
        if game is None or game.is_over:
            if text == INVITE:
                game = Game()  # Whoever hears it has the next turn, and so the first move, as X.
        elif text == RESIGN:
            if not self.game_is_new:
                score = score.plus(OTHER[speaker])
            game = None
        else:
            move, _, _ = text.partition(" ")
            if move not in map(str, SQUARES):
                raise ProtocolError(
                    f'in a game, only {self.choice_text}; words may follow a move, as "5 take that"'
                )
            game = game.play(int(move))
            if game.is_over:
                score = score.plus(speaker if game.winner else DRAWN)
        return State(OTHER[speaker], game, score)


def game_news(before: State, after: State, me: str) -> list[str]:
    """Return the lines that tell ``me``, CLIENT or SERVER, what a turn has done to the game."""
    game, peer, i_spoke = after.game, OTHER[me], before.turn == me
    if game == before.game:  # It was plain text, or QUIT.
        return []
    counts = after.score._asdict()
    score = f"You {counts[me]}, {peer} {counts[peer]}, drawn {counts[DRAWN]}"
    if game is None:
        if before.game_is_new:
            return ["You declined the game." if i_spoke else f"The {peer} declined the game."]
        return ["You lose: you resigned." if i_spoke else f"You win: the {peer} resigned.", score]
    if not game.is_over:
        if i_spoke:
            news = f"You are {OTHER_MARK[game.to_move]}: the {peer}'s move."
        else:
            news = f"You are {game.to_move}: your move ({after.choice_text})."
        return [str(game), news]
    if game.winner is None:
        return [str(game), "Draw.", score]
    line = ", ".join(map(str, game.winning_squares))
    result = f"You win: you have {line}." if i_spoke else f"You lose: the {peer} has {line}."
    return [str(game), result, score]


# 3. One end of the chat: it speaks a turn, it hears a turn.

PROMPT = "Enter Input > "
WAIT_SECONDS = 1  # On Windows, Ctrl-C cannot interrupt select(), so it is called in steps.
HINT = "/q quits, play starts a game, /help lists more"
NOT_SENT = "Your last line was not sent."
CLIENT_ADVICE = "is server.py running there, or busy with another client?"
HELP_TEXT = """\
/q      quits: both programs end
/help   shows this list
play    starts a game of tic-tac-toe
1 to 9  takes that square; words may follow
resign  declines a game or, later, loses it
Ctrl-C  quits, also while you wait
With no game on, text without a / in front is sent."""

# Commands that are not sent, and the text that each shows. More can be added here.
LOCAL_COMMANDS = {"/help": HELP_TEXT}

# Some control characters (C0, DEL, C1) begin sequences that change a terminal. Some, and two
# separators, break the line, so that a message could imitate a prompt.
CONTROLS = (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)
# All Bidi_Control characters (Unicode annex 9): invisible, they reorder the text around them.
BIDI_CONTROLS = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
# What is shown in place of these characters.
ESCAPES = {code: chr(code).encode("unicode_escape").decode() for code in CONTROLS + BIDI_CONTROLS}

Ask = Callable[[str], str]
Show = Callable[[str], None]


class ChatError(Exception):
    """Ends the chat, or keeps it from starting; the text is for the person at this end."""


class Chat:
    """One end of the chat: it speaks a turn and hears a turn over a connection.

    ``me`` is CLIENT or SERVER. ``ask(prompt)`` returns a typed line; ``show(text)`` prints a text.
    Raises ChatError if the connection is lost or the peer breaks the rules.
    """

    def __init__(self, connection: Connection, me: str, ask: Ask, show: Show) -> None:
        self._connection = connection
        self._me, self._peer = me, OTHER[me]
        self._ask, self._show = ask, show
        self._state = State()
        self._has_spoken = False
        self.has_heard = False
        """Whether a valid message has been heard."""

    def speak(self) -> bool:
        """Ask until a line is sent or the chat ends; return whether the chat goes on."""
        if not self._has_spoken:
            self._show(HINT)
        while self._state.turn == self._me:
            typed = self._ask(PROMPT)
            command = typed.strip().lower()
            if self._connection.has_input():
                # It is not the peer's turn: it quit, is gone or broke the rules. The chat ends.
                if command not in ("", QUIT, *LOCAL_COMMANDS):
                    self._show(NOT_SENT)
                return self._receive_message()
            if command in LOCAL_COMMANDS:
                self._show(LOCAL_COMMANDS[command])
            elif command:
                self._send_message(typed)
        return self._state.turn is not None

    def hear(self) -> bool:
        """Wait for the peer's message and show it; return whether the chat goes on."""
        self._show(f"Waiting for the {self._peer}...")
        while not self._connection.has_input(WAIT_SECONDS):
            pass
        return self._receive_message()

    def close(self) -> None:
        """Say QUIT, unless one of the two has said it, and close the connection."""
        if self._state.turn:
            with contextlib.suppress(OSError):  # The connection may be lost.
                self._connection.send(QUIT)
        self._connection.close()

    def _send_message(self, typed: str) -> None:
        try:
            text = self._state.interpret(typed)
            after = self._state.after(self._me, text)
            self._connection.send(text)
        except (ProtocolError, IllegalMove) as why:
            self._show(f"Not sent: {why}. See /help; /q quits.")
        except OSError as error:
            self._show(NOT_SENT)
            raise self._lost_connection_error() from error
        else:
            self._has_spoken = True
            self._advance(after)

    def _receive_message(self) -> bool:
        try:
            text = self._connection.receive()
            after = self._state.after(self._peer, text)
        except (ProtocolError, IllegalMove) as why:
            raise ChatError(f"the {self._peer} broke the rules: {why}") from why
        except (EOFError, OSError) as error:
            raise self._lost_connection_error() from error
        self.has_heard = True
        if text == QUIT:
            self._show(f"The {self._peer} quit.")
        elif text == INVITE:
            self._show(f"The {self._peer} invites you to tic-tac-toe.")
        else:
            self._show(f"{self._peer.capitalize()}: {text.translate(ESCAPES)}")
        self._advance(after)
        return after.turn is not None

    def _advance(self, after: State) -> None:
        before, self._state = self._state, after
        for line in game_news(before, after, self._me):
            self._show(line)

    def _lost_connection_error(self) -> ChatError:
        sentence = f"the connection to the {self._peer} was lost"
        if self._has_spoken and self._state.turn == self._peer:
            sentence += "; your last line may not have arrived"
        if self._me == CLIENT and not self.has_heard:  # SSH tunnels connect without a server, too.
            sentence += f"; {CLIENT_ADVICE}"
        return ChatError(sentence)


# 4. The person's side: the screen, the keyboard, the command line.

DEFAULT_PORT = 3720  # Any number from 1024 on would do; those below need special rights.


def show(text: str, stream: TextIO | None = None) -> None:
    """Print a text at once, on standard output if no stream is given; raise OSError if it fails."""
    output = stream or sys.stdout
    try:
        print(text, file=output, flush=True)
    except OSError:
        with contextlib.suppress(OSError):
            output.close()  # Otherwise Python flushes it again at its exit, and complains.
        raise


def report(error: object) -> None:
    """Print an error, after the program's name, as one line on standard error."""
    line = f"{os.path.basename(sys.argv[0])}: error: {error}"
    with contextlib.suppress(OSError, ValueError):  # It is broken, or show() closed it.
        show(line.translate(ESCAPES), sys.stderr)


def ask(prompt: str) -> str:
    """Return the next line of input, or QUIT at the end of input."""
    try:
        line = input(prompt)
    except EOFError:
        show("")  # The cursor stands after the prompt.
        return QUIT
    if not sys.stdin.isatty():
        show(line.translate(ESCAPES))  # Only a terminal shows what is typed.
    return line


@contextlib.contextmanager
def open_chat(sock: socket.socket, me: str) -> Iterator[Chat]:
    """Give a chat over ``sock``; then close it, and discard what was typed and not read."""
    keep_alive(sock)
    chat = Chat(Connection(sock), me, ask, show)
    try:
        yield chat
    finally:
        chat.close()
        discard_typed()


def discard_typed() -> None:
    """Discard typed input that was not read, or the shell would run it."""
    # ImportError: Windows has no termios. OSError: there is no terminal.
    with contextlib.suppress(ImportError, OSError):
        import termios

        # In the background, the input is not for this program.
        if os.tcgetpgrp(0) == os.getpgrp():
            termios.tcflush(0, termios.TCIFLUSH)


def address_text(address: tuple[str, int] | tuple[str, int, int, int]) -> str:
    """Return a socket's address as HOST:PORT, in numbers, an IPv6 host in brackets."""
    host, port = socket.getnameinfo(address, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def startup_error(what: str, host: str, error: OSError | UnicodeError, advice: str) -> ChatError:
    """Return the ChatError for a failed start, with advice."""
    if isinstance(error, (socket.gaierror, UnicodeError)):
        return ChatError(f"cannot find the host {host}; check --host")
    return ChatError(f"{what}: {error.strerror or error}; {advice}")  # A timeout has no strerror.


def parse_arguments(description: str, lowest_port: int) -> tuple[str, int]:
    """Return the host and port of the command line, or exit."""
    parser = ArgumentParser(description=description, formatter_class=ArgumentDefaultsHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1", help="name, IPv4 or IPv6 address")
    ports = f"{lowest_port} to 65535"
    parser.add_argument("--port", default=DEFAULT_PORT, type=int, help=ports)
    arguments = parser.parse_args()
    if arguments.port not in range(lowest_port, 65536):
        parser.error(f"argument --port: {arguments.port} is not in {ports}")
    if not (sys.stdin and sys.stdout and sys.stderr):
        parser.error("standard input, output and error must be open")
    return arguments.host.strip("[]"), arguments.port  # "[::1]" means "::1".


def prepare_streams() -> None:
    """Let input take any bytes, and output any characters; turn on line editing at a terminal."""
    for stream, errors in ((sys.stdin, "surrogateescape"), (sys.stdout, "backslashreplace")):
        if isinstance(stream, io.TextIOWrapper):  # In IDLE, it is something else.
            stream.reconfigure(errors=errors)
    if sys.stdin.isatty():
        with contextlib.suppress(ImportError):  # Windows has no readline.
            import readline  # It changes input().

            # In the C locale, it would take the bytes of "é" for Meta keys, and show them as octal.
            readline.parse_and_bind("set convert-meta off")
            readline.parse_and_bind("set output-meta on")


def run(program: Callable[[str, int], None], description: str, lowest_port: int) -> int:
    """Run a program with the host and port of its command line; return its exit status."""
    try:
        host, port = parse_arguments(description, lowest_port)
        prepare_streams()
        program(host, port)
    except KeyboardInterrupt:
        with contextlib.suppress(OSError):  # Ctrl-C may also have ended the reader of a pipe.
            show("")  # The cursor stands after the prompt or ^C.
        return 130  # what shells report after Ctrl-C
    except ChatError as error:
        report(error)
        return 1
    except OSError as error:
        report(f"input or output failed: {error.strerror or error}")
        return 1
    return 0
