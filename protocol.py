"""What both programs share, in four parts; each part uses only those before it."""

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

# By default, a system notices after hours, or never, that a silent host has vanished.
KEEP_ALIVE_OPTIONS = {
    "TCP_KEEPIDLE": 20,  # seconds of silence until the system asks whether the host is there
    "TCP_KEEPALIVE": 20,  # the name of TCP_KEEPIDLE on macOS
    "TCP_KEEPINTVL": 5,  # seconds until it asks again
    "TCP_KEEPCNT": 5,  # questions without an answer until the connection is lost
    "TCP_USER_TIMEOUT": 45_000,  # milliseconds that sent data may go unacknowledged (Linux)
}


class ProtocolError(ValueError):
    """A message or a frame breaks the rules; str(error) says why."""


class Connection:
    """Messages over a connected stream socket, each in a frame of its own.

    A stream has no end-of-message: what was sent with two calls can arrive as one piece, or as
    five. So each message is sent with its length in front. A frame is a header and a payload: the
    length of the payload in bytes, 0 to 4096, as a 4-byte unsigned big-endian integer, then the
    message in UTF-8. "Hello" is 00 00 00 05 48 65 6c 6c 6f. Errors of the socket, OSErrors, are
    passed on.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._received = b""

    def send(self, text: str) -> None:
        """Send one message; raise ProtocolError if it is too long or not valid Unicode."""
        try:
            payload = text.encode()
        except UnicodeEncodeError as error:
            # It has surrogates, in which Python keeps bytes of input that are not text.
            raise ProtocolError("the message holds bytes that are not text") from error
        size = len(payload)
        if size > MAX_MESSAGE_BYTES:
            raise ProtocolError(f"the message takes {size} bytes, more than {MAX_MESSAGE_BYTES}")
        # In one call. With two, the system would hold the payload back until the peer has
        # acknowledged the header (Nagle's algorithm).
        self._sock.sendall(HEADER.pack(size) + payload)

    def receive(self) -> str:
        """Return the next message; raise EOFError at the end, ProtocolError for a bad frame.

        Half a frame is enough for poll() to return True; this waits for the other half.
        """
        while len(self._received) < HEADER.size:
            self._receive_more()
        (size,) = HEADER.unpack_from(self._received)
        if size > MAX_MESSAGE_BYTES:
            raise ProtocolError(f"the frame announces {size} bytes, more than {MAX_MESSAGE_BYTES}")
        end = HEADER.size + size
        while len(self._received) < end:
            self._receive_more()
        payload, self._received = self._received[HEADER.size : end], self._received[end:]
        try:
            return payload.decode()
        except UnicodeDecodeError as error:
            raise ProtocolError("the frame holds bytes that are not UTF-8") from error

    def _receive_more(self) -> None:
        # This may bring half a frame, or more than one.
        more = self._sock.recv(HEADER.size + MAX_MESSAGE_BYTES)
        if not more and self._received:
            raise ProtocolError("the stream ended inside a frame")
        if not more:
            raise EOFError
        self._received += more

    def poll(self, timeout: float = 0) -> bool:
        """Return whether anything, or the end, can be received within ``timeout`` seconds."""
        return bool(self._received or select.select([self._sock], [], [], timeout)[0])

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()


def set_keep_alive(sock: socket.socket) -> None:
    """Let the system notice that the other host has vanished."""
    with contextlib.suppress(OSError):  # Where the system refuses, the chat works without it.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in KEEP_ALIVE_OPTIONS.items():
            if hasattr(socket, name):  # No system has all of them.
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


# 2. What messages mean: whose turn it is, the game, how the games have ended.

CLIENT, SERVER, DRAWN = "client", "server", "drawn"
OTHER = {CLIENT: SERVER, SERVER: CLIENT}
QUIT, INVITE, RESIGN = "/q", "play", "resign"


class State(NamedTuple):
    """How far the chat has come. Client and server each keep one, and after() gives the next."""

    turn: str | None = CLIENT
    """Whose turn it is, CLIENT or SERVER; None once one of them has quit."""
    game: Game | None = None
    """The game that is on, or was played to its end last; None: no game yet, or resigned."""
    results: tuple[str, ...] = ()
    """How each game that was not declined has ended: its winner, CLIENT or SERVER, or DRAWN."""

    @property
    def game_is_on(self) -> bool:
        """Whether a game is being played."""
        return self.game is not None and not self.game.is_over

    def interpret(self, typed: str) -> str:
        """Return the message that a typed line stands for; after() says whether it is legal."""
        command = typed.strip().lower()
        if command in ((QUIT, RESIGN) if self.game_is_on else (QUIT, INVITE)):
            return command
        # Whatever blanks were typed, one space parts a move from its words.
        return " ".join(typed.split(maxsplit=1)) if self.game_is_on else typed

    def after(self, speaker: str, text: str) -> State:
        """Return the state after a message; raise ProtocolError or IllegalMove if it is illegal."""
        if text == QUIT:  # Legal out of turn, too: Ctrl-C, for one, ends a program at any time.
            return self._replace(turn=None)
        if speaker != self.turn:
            raise ProtocolError("the message came out of turn")
        game, results = self.game, self.results
        if game is None or game.is_over:
            if text == INVITE:
                game = Game()  # Whoever hears it has the next turn, and so the first move, as X.
        elif text == RESIGN:
            if game != Game():  # Before the first move, nobody loses.
                results += (OTHER[speaker],)
            game = None
        else:
            move, _, _ = text.partition(" ")
            if move not in map(str, SQUARES):
                raise ProtocolError("the message is no move")
            game = game.play(int(move))
            if game.is_over:
                results += (speaker if game.winner else DRAWN,)
        return State(OTHER[speaker], game, results)


def game_news(old: State, new: State, me: str) -> list[str]:
    """Return the lines that tell ``me``, CLIENT or SERVER, what a turn has done to the game."""
    game, peer, i_spoke = new.game, OTHER[me], old.turn == me
    if game == old.game:  # The message was plain text, or QUIT.
        return []
    won, lost, drawn = (new.results.count(result) for result in (me, peer, DRAWN))
    score = f"You {won}, {peer} {lost}, drawn {drawn}"
    if game is None:
        if old.game == Game():
            return ["You declined the game." if i_spoke else f"The {peer} declined the game."]
        return ["You lose: you resigned." if i_spoke else f"You win: the {peer} resigned.", score]
    if not game.is_over:
        choices = "1 to 9, or resign to decline" if game == Game() else "1 to 9, or resign"
        my_move = f"You are {game.to_move}: your move ({choices})."
        their_move = f"You are {OTHER_MARK[game.to_move]}: the {peer}'s move."
        return [str(game), their_move if i_spoke else my_move]
    if game.winner is None:
        return [str(game), "Draw.", score]
    squares = ", ".join(map(str, game.winning_squares))
    result = f"You win: you have {squares}." if i_spoke else f"You lose: the {peer} has {squares}."
    return [str(game), result, score]


# 3. One end of the chat: it speaks a turn, it hears a turn.

PROMPT = "Enter Input > "
WAIT_SECONDS = 1  # On Windows, Ctrl-C cannot interrupt select(), so each call is short.
NOT_SENT = "Your last line was not sent."
SERVER_QUESTION = "is server.py running there, or busy with another client?"
HELP = "/help"
HINT = "/q quits, play starts a game, /help lists more"
HELP_TEXT = """\
/q      quits: both programs end
/help   shows this list
play    starts a game of tic-tac-toe
1 to 9  takes that square; words may follow
resign  declines a game or, later, loses it
Ctrl-C  quits, also while you wait
With no game on, any other text is sent, unless it begins with /."""

# A terminal obeys control characters (the blocks C0 and C1, and DEL). Some of them, and the
# separators 2028 and 2029, break the line, so that a message could imitate a prompt.
CONTROLS = (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)
# All Bidi_Control characters (Unicode annex 9): invisible, they reorder the text around them.
BIDI_CONTROLS = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
ESCAPES = {code: chr(code).encode("unicode_escape").decode() for code in CONTROLS + BIDI_CONTROLS}


class ChatError(Exception):
    """Ends the chat, or keeps it from starting; the text is for the person at this end."""


class Chat:
    """Speaks and hears turns as ``me``, CLIENT or SERVER; raises ChatError if that fails.

    ``ask(prompt)`` returns a line that was typed; ``tell(text)`` shows a text.
    """

    def __init__(
        self,
        connection: Connection,
        me: str,
        ask: Callable[[str], str],
        tell: Callable[[str], None],
    ) -> None:
        self._connection = connection
        self._me, self._peer = me, OTHER[me]
        self._ask, self._tell = ask, tell
        self._state = State()
        self._has_heard = False

    def speak(self) -> bool:
        """Ask until a line is sent or the chat ends; return whether the chat goes on."""
        while self._state.turn == self._me:
            typed = self._ask(PROMPT)
            command = typed.strip().lower()
            if self._connection.poll():
                # Nobody watched the connection while ask() waited. It is not the peer's turn, so
                # what came ends the chat.
                if command not in ("", QUIT, HELP):
                    self._tell(NOT_SENT)
                self._receive_message()
            elif command == HELP:
                self._tell(HELP_TEXT)
            elif typed.startswith("/") and command != QUIT:
                advice = "" if self._state.game_is_on else "; a blank in front sends it as text"
                self._tell_why_not_sent(f"there is no such command{advice}")
            elif command:
                self._send_message(typed)
        return self._state.turn is not None

    def hear(self) -> bool:
        """Wait for the peer's message and show it; return whether the chat goes on."""
        self._tell(f"Waiting for the {self._peer}...")
        while not self._connection.poll(WAIT_SECONDS):
            pass
        self._receive_message()
        return self._state.turn is not None

    def close(self) -> None:
        """Say QUIT, unless one of the two has said it, and close the connection."""
        if self._state.turn:
            with contextlib.suppress(OSError):  # The connection may be lost.
                self._connection.send(QUIT)
        self._connection.close()

    def _send_message(self, typed: str) -> None:
        text = self._state.interpret(typed)
        try:
            state = self._state.after(self._me, text)
            self._connection.send(text)
        except (ProtocolError, IllegalMove) as why:
            self._tell_why_not_sent(why)
        except OSError as error:
            self._tell(NOT_SENT)
            raise self._lost_connection_error() from error
        else:
            self._advance_and_tell(state)

    def _tell_why_not_sent(self, why: object) -> None:
        advice = 'Words may follow a move: "5 take that". ' if self._state.game_is_on else ""
        self._tell(f"Not sent: {why}.\n{advice}See {HELP}; {QUIT} quits.")

    def _receive_message(self) -> None:
        try:
            text = self._connection.receive()
            state = self._state.after(self._peer, text)
        except (ProtocolError, IllegalMove) as why:
            raise ChatError(f"the {self._peer} broke the rules: {why}") from why
        except (EOFError, OSError) as error:
            raise self._lost_connection_error() from error
        self._has_heard = True
        if text == QUIT:
            self._tell(f"The {self._peer} quit.")
        elif text == INVITE:
            self._tell(f"The {self._peer} invites you to tic-tac-toe.")
        else:
            self._tell(f"{self._peer.capitalize()}: {text.translate(ESCAPES)}")
        self._advance_and_tell(state)

    def _advance_and_tell(self, state: State) -> None:
        for line in game_news(self._state, state, self._me):
            self._tell(line)
        self._state = state

    def _lost_connection_error(self) -> ChatError:
        sentence = f"the connection to the {self._peer} was lost"
        # In the peer's turn, this end has spoken, except for a server that has heard nothing yet.
        if self._state.turn == self._peer and (self._me == CLIENT or self._has_heard):
            sentence += "; your last line may not have arrived"
        # An SSH tunnel accepts a client even if no server runs at its other end.
        if self._me == CLIENT and not self._has_heard:
            sentence += f"; {SERVER_QUESTION}"
        return ChatError(sentence)


# 4. The person's side: the screen, the keyboard, the command line.

DEFAULT_PORT = 3720  # Any number from 1024 on would do; those below need special rights.


def show(text: str, stream: TextIO | None = None) -> None:
    """Print a text at once, on standard output if no stream is given; raise OSError if it fails."""
    output = stream or sys.stdout
    try:
        print(text, file=output, flush=True)
    except OSError:
        # Otherwise Python writes the buffer again at its exit, complains, and ends with status 120.
        with contextlib.suppress(OSError):
            output.close()
        raise


def report(error: object) -> None:
    """Print an error, after the program's name, as one line on standard error."""
    line = f"{os.path.basename(sys.argv[0])}: error: {error}"
    with contextlib.suppress(OSError, ValueError):  # stderr is broken, or closed by show().
        show(line.translate(ESCAPES), sys.stderr)


def read_line(prompt: str) -> str:
    """Return the next line of input, or QUIT at the end of input."""
    try:
        line = input(prompt)
    except EOFError:
        show("")  # The cursor stands after the prompt.
        return QUIT
    if not sys.stdin.isatty():
        line = line.removesuffix("\r")  # In files from Windows, CR LF ends a line.
        show(line.translate(ESCAPES))  # Only a terminal shows what is typed.
    return line


@contextlib.contextmanager
def open_chat(sock: socket.socket, me: str) -> Iterator[Chat]:
    """Give a chat over ``sock``; then close it, and discard what was typed and not read."""
    set_keep_alive(sock)
    chat = Chat(Connection(sock), me, read_line, show)
    try:
        address = address_text(sock.getpeername())
    except OSError:
        address = "a peer that has already left"
    try:
        show(f"Connected {'to' if me == CLIENT else 'by'} {address}")
        show(HINT)
        yield chat
    finally:
        chat.close()
        discard_typed()


def discard_typed() -> None:
    """Discard what was typed at a terminal and not read, or the shell would run it."""
    if sys.platform == "win32":
        import msvcrt

        while sys.stdin.isatty() and msvcrt.kbhit():
            msvcrt.getwch()
    else:
        import termios

        # OSError: there is no terminal. termios.error: the terminal cannot discard.
        with contextlib.suppress(OSError, termios.error):
            # In the background, the system would stop a program that touches the terminal.
            if os.tcgetpgrp(0) == os.getpgrp():
                termios.tcflush(0, termios.TCIFLUSH)


def address_text(address: tuple[str, int] | tuple[str, int, int, int]) -> str:
    """Return a socket's address as HOST:PORT, in numbers, an IPv6 host in brackets."""
    host, port = socket.getnameinfo(address, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def startup_error(what: str, host: str, error: OSError | UnicodeError, advice: str) -> ChatError:
    """Return the ChatError for a failed start; ``advice`` is for a host that was found."""
    if isinstance(error, (socket.gaierror, UnicodeError)):  # Unknown, or no valid name.
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
    if isinstance(sys.stdin, io.TextIOWrapper):  # In IDLE, it is something else.
        sys.stdin.reconfigure(errors="surrogateescape")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    if sys.stdin.isatty():
        with contextlib.suppress(ImportError):  # Windows has no readline.
            import readline  # It changes input().

            # Otherwise, in the C locale, readline takes "é" for Alt plus a key, or shows \303\251.
            readline.parse_and_bind("set convert-meta off")
            readline.parse_and_bind("set output-meta on")


def run(program: Callable[[str, int], None], description: str, lowest_port: int) -> int:
    """Call ``program`` with the host and port of the command line; return the exit status."""
    try:
        host, port = parse_arguments(description, lowest_port)
        prepare_streams()
        program(host, port)
    except KeyboardInterrupt:
        # Output may be gone, or show() has closed it; Ctrl-C may be pressed again.
        with contextlib.suppress(OSError, ValueError, KeyboardInterrupt):
            show("")  # The cursor stands after the prompt or ^C.
        return 130  # what shells report after Ctrl-C
    except ChatError as error:
        report(error)
        return 1
    except OSError as error:
        report(f"input or output failed: {error.strerror or error}")
        return 1
    return 0
