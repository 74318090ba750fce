"""What both programs agree on and do alike.

There are four parts, and each needs only those before it: the frame that carries a message, in
Connection; what messages mean, in Conversation; one end of the chat, in Chat; the person's side,
from show() on, which is output, input, signals and the command line.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import os
import select
import signal
import socket
import struct
import sys
from collections.abc import Callable
from typing import NamedTuple

from tictactoe import OTHER_MARK, Game, IllegalMove

MAX_MESSAGE_BYTES = 4096
HEADER = struct.Struct(">I")  # ">": big-endian, "I": unsigned, 4 bytes

# After 20 seconds of silence the system sends 5 probes, 5 seconds apart, and gives up if none is
# answered. On Linux, it also gives up if what was sent is not acknowledged for 45 seconds.
LOSS_DETECTION = {
    "TCP_KEEPIDLE": 20,  # seconds
    "TCP_KEEPALIVE": 20,  # seconds; the name of TCP_KEEPIDLE on macOS
    "TCP_KEEPINTVL": 5,  # seconds
    "TCP_KEEPCNT": 5,  # probes
    "TCP_USER_TIMEOUT": 45_000,  # milliseconds
}


class Refused(ValueError):
    """A line or a frame that is against the rules; the text says why."""


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
        detect_loss(sock)

    def send(self, text: str) -> None:
        """Send one message. Raises Refused, and sends nothing, if it is too long or is not text."""
        try:
            message = text.encode()
        except UnicodeEncodeError as error:
            raise Refused("it holds bytes that are not text") from error
        if len(message) > MAX_MESSAGE_BYTES:
            raise Refused(f"it takes {len(message)} bytes, the limit is {MAX_MESSAGE_BYTES}")
        # In one call. With two, the system would hold the message back until the other end has
        # acknowledged the header (Nagle's algorithm).
        self._sock.sendall(HEADER.pack(len(message)) + message)

    def receive(self) -> str:
        """Wait for the next message and return it.

        Raises EOFError at the end of the stream, and Refused if what arrives is no frame.
        """
        while len(self._received) < HEADER.size:
            self._receive_more()
        (length,) = HEADER.unpack_from(self._received)
        if length > MAX_MESSAGE_BYTES:
            raise Refused(f"it announced {length} bytes, the limit is {MAX_MESSAGE_BYTES}")
        end = HEADER.size + length
        while len(self._received) < end:
            self._receive_more()
        message, self._received = self._received[HEADER.size : end], self._received[end:]
        try:
            return message.decode()
        except UnicodeDecodeError as error:
            raise Refused("it sent bytes that are not UTF-8") from error

    def _receive_more(self) -> None:
        # It may be a part of a frame, a whole one, or one and a part of the next.
        more = self._sock.recv(HEADER.size + MAX_MESSAGE_BYTES)
        if not more and self._received:
            raise Refused("it ended inside a frame")
        if not more:
            raise EOFError
        self._received += more

    def has_input(self) -> bool:
        """Return whether something has arrived: data, even half a frame, or the end."""
        return bool(self._received or select.select([self._sock], [], [], 0)[0])

    def wait(self) -> None:
        """Wait until something has arrived."""
        if not self._received:
            wait_until_readable(self._sock)

    def close(self) -> None:
        """Close the socket."""
        # Closed with unread input, the connection would be reset, and what was sent last could be
        # lost. So the input is read first. By the rules, far less than 1 MiB can have arrived.
        with contextlib.suppress(OSError):
            if select.select([self._sock], [], [], 0)[0]:
                self._sock.recv(1 << 20)
        self._sock.close()


def detect_loss(sock: socket.socket) -> None:
    """Let the system notice within a minute that the other host has vanished."""
    with contextlib.suppress(OSError):  # It is no TCP socket, or no longer connected.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in LOSS_DETECTION.items():
            if hasattr(socket, name):  # No system has all of them.
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def wait_until_readable(sock: socket.socket) -> None:
    """Wait until there is data at a socket, its end or, if it listens, a client."""
    # On Windows, Ctrl-C does not interrupt a wait. Python handles it afterward, so waits are short.
    while not select.select([sock], [], [], 1)[0]:
        pass


CLIENT, SERVER, DRAWN = "client", "server", "drawn"
OTHER = {CLIENT: SERVER, SERVER: CLIENT}
QUIT, HELP, PLAY, RESIGN = "/q", "/help", "play", "resign"
SQUARES = set("123456789")  # A set, because the string also contains "" and "12".


class Conversation(NamedTuple):
    """How far a conversation has come: whose turn it is, the game, the score.

    Both ends keep the same, by the same rules, and nothing in it tells at which end it is. It never
    changes: what is said leads to another one.
    """

    turn: str | None = CLIENT
    """The end that may speak, CLIENT or SERVER; None once one of them has quit."""
    game: Game | None = None
    """The game that is on, or that the last turn won or drew; else None."""
    score: dict[str, int] = {CLIENT: 0, SERVER: 0, DRAWN: 0}
    """How many games each end has won, and how many were DRAWN."""

    @property
    def game_is_on(self) -> bool:
        """Whether a game is being played."""
        return self.game is not None and not self.game.is_over

    @property
    def is_invitation(self) -> bool:
        """Whether a game is on that has no move yet. It can still be declined."""
        return self.game == Game()

    def interpret(self, typed: str) -> str:
        """Return what a typed line means: HELP, or a text to say().

        A command may be typed in any case and with blanks around it. Raises Refused for one word
        that begins with a slash and is no command.
        """
        words = typed.split(maxsplit=1)
        tidied = " ".join(words)  # A lone word without blanks, or one space after the first.
        commands = (QUIT, HELP, RESIGN) if self.game_is_on else (QUIT, HELP, PLAY)
        if tidied.lower() in commands:
            return tidied.lower()
        if len(words) == 1 and tidied.startswith("/"):
            raise Refused("there is no such command")
        # say() wants a move's digit first, and one space before words. A message keeps its blanks.
        return tidied if self.game_is_on else typed

    def say(self, speaker: str, text: str) -> Conversation:
        """Return the conversation after ``speaker``, CLIENT or SERVER, has said ``text``.

        The turn passes to the other end. So whoever hears PLAY makes the first move, as X. QUIT
        may always be said. Raises Refused or IllegalMove if ``text`` may not be said now.
        """
        if text == QUIT:
            return self._replace(turn=None)
        if speaker != self.turn:
            raise Refused("it spoke out of turn")
        winner = None  # CLIENT, SERVER or DRAWN, if this ends a game that counts
        if self.game is None or self.game.is_over:
            game = Game() if text == PLAY else None  # Else the text is a message.
        elif text == RESIGN:
            game = None
            if not self.is_invitation:
                winner = OTHER[speaker]
        else:
            square, _, _ = text.partition(" ")
            if square not in SQUARES:
                raise Refused("in a game, only 1 to 9 and resign are allowed")
            game = self.game.play(int(square))
            if game.is_over:
                winner = speaker if game.winner else DRAWN
        score = {**self.score, winner: self.score[winner] + 1} if winner else self.score
        return Conversation(OTHER[speaker], game, score)


def game_news(before: Conversation, after: Conversation, me: str) -> list[str]:
    """Return the lines that tell the end ``me`` what a turn has done to the game, if anything."""
    game = after.game
    if after.turn is None:
        return []
    if game is None or game.is_over:
        return result(before, after, me) if before.game_is_on else []
    if after.turn == me:
        choice = "1 to 9; resign declines" if after.is_invitation else "1 to 9, or resign"
        return [str(game), f"You are {game.to_move}: your move ({choice})."]
    return [str(game), f"You are {OTHER_MARK[game.to_move]}: the {after.turn}'s move."]


def result(before: Conversation, after: Conversation, me: str) -> list[str]:
    """Return the lines that tell the end ``me`` how the last turn has ended the game."""
    other = OTHER[me]
    mine = before.turn == me
    score = f"You {after.score[me]}, {other} {after.score[other]}, drawn {after.score[DRAWN]}"
    if after.game is None:
        who = "you" if mine else f"the {other}"
        if before.is_invitation:
            return [f"{who.capitalize()} declined the game."]
        return [f"You {'lose' if mine else 'win'}: {who} resigned.", score]
    if after.game.winner:
        squares = ", ".join(map(str, after.game.winning_squares))
        line = f"You win: you have {squares}." if mine else f"You lose: the {other} has {squares}."
    else:
        line = "Draw."
    return [str(after.game), line, score]


PROMPT = "Enter Input > "
HINT = "/q quits, play starts a game, /help lists more"
NOT_SENT = "Your last line was not sent."
HELP_TEXT = """\
/q      quits: both programs end
/help   shows this list
play    starts a game of tic-tac-toe
1 to 9  takes that square; words may follow
resign  declines a game or, later, loses it
Ctrl-C  quits, also while you wait
Other text is sent, unless a game is on."""

# Control characters (C0, DEL, C1) move the cursor, ring, and begin the sequences that change the
# terminal. Some of them, and two separators, break the line, so that a message could imitate a
# prompt.
CONTROLS = (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)
# All with the property Bidi_Control (Unicode annex 9) reorder the text around them and are not seen
# themselves: marks, embeddings, overrides and isolates.
BIDI_CONTROLS = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
# What is shown in place of these characters. All others are shown as they are.
ESCAPES = {code: ascii(chr(code))[1:-1] for code in CONTROLS + BIDI_CONTROLS}


Ask = Callable[[str], str]
Show = Callable[[str], None]


class ChatError(Exception):
    """Ends the chat, or keeps it from starting; the text is for the person at this end."""


class Chat:
    """One end of the chat: it speaks a turn and hears a turn over a connection.

    ``me`` is CLIENT or SERVER. ``ask`` returns the line typed at the prompt that it is given;
    ``show`` prints a line. ChatError is raised if the connection is lost or the other end breaks
    the rules.
    """

    def __init__(self, connection: Connection, me: str, ask: Ask, show: Show) -> None:
        self._connection = connection
        self._me, self._other = me, OTHER[me]
        self._ask, self._show = ask, show
        self._conversation = Conversation()
        self._has_spoken = self._has_heard = False

    def speak(self) -> bool:
        """Ask until a line is sent or the other end is gone; return whether the chat goes on."""
        if not self._has_spoken:
            self._show(HINT)
        while self._conversation.turn == self._me:
            typed = self._ask(PROMPT)
            if self._connection.has_input():
                # It came in this end's turn, so it ends the chat: the other end has quit, is gone
                # or breaks the rules. That shows only now, as nothing is read while one types.
                if typed.strip().lower() not in ("", QUIT, HELP):
                    self._show(NOT_SENT)
                return self._receive()
            try:
                text = self._conversation.interpret(typed)
                if text == HELP:
                    self._show(HELP_TEXT)
                elif text.strip():
                    self._send(text)
            except (Refused, IllegalMove) as why:
                self._show(f"Not sent: {why}. See /help; /q quits.")
        return self._conversation.turn is not None

    def hear(self) -> bool:
        """Wait for the other end's message and show it; return whether the chat goes on."""
        self._show(f"Waiting for the {self._other}...")
        self._connection.wait()
        return self._receive()

    def close(self) -> None:
        """Say /q, unless either end has said it, and close the connection."""
        if self._conversation.turn:
            with contextlib.suppress(OSError):  # The connection is lost.
                self._connection.send(QUIT)
        self._connection.close()

    def _send(self, text: str) -> None:
        after = self._conversation.say(self._me, text)
        try:
            self._connection.send(text)
        except OSError as error:
            self._show(NOT_SENT)
            raise self._loss() from error
        self._has_spoken = True
        self._go_on(after)

    def _receive(self) -> bool:
        try:
            text = self._connection.receive()
            after = self._conversation.say(self._other, text)
        except (Refused, IllegalMove) as why:
            raise ChatError(f"the {self._other} broke the rules: {why}") from why
        except (EOFError, OSError) as error:
            raise self._loss() from error
        self._has_heard = True
        if text == QUIT:
            self._show(f"The {self._other} quit.")
        elif text == PLAY:
            self._show(f"The {self._other} invites you to tic-tac-toe.")
        else:
            self._show(f"{self._other.capitalize()}: {text.translate(ESCAPES)}")
        self._go_on(after)
        return after.turn is not None

    def _go_on(self, after: Conversation) -> None:
        before, self._conversation = self._conversation, after
        for line in game_news(before, after, self._me):
            self._show(line)

    def _loss(self) -> ChatError:
        sentence = f"the connection to the {self._other} was lost"
        if self._has_spoken and self._conversation.turn == self._other:
            sentence += "; your last line may not have arrived"
        if self._me == CLIENT and not self._has_heard:
            sentence += "; the server may be busy with another client"
        return ChatError(sentence)


def show(line: str) -> None:
    """Print a line at once. Leave the program if it cannot be printed."""
    try:
        print(line, flush=True)
    except OSError:
        # When Python exits, it flushes standard output again, and would complain if that failed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit()


def report(error: object) -> None:
    """Print an error, after the program's name, as one line on standard error."""
    line = f"{os.path.basename(sys.argv[0])}: error: {error}"
    with contextlib.suppress(OSError):  # Perhaps nobody can read it any more.
        print(line.translate(ESCAPES), file=sys.stderr, flush=True)


def ask(prompt: str) -> str:
    """Return the next line of input, or QUIT at its end."""
    try:
        line = input(prompt)
    except (EOFError, OSError):  # OSError: the terminal is gone.
        show("")  # The cursor stands after the prompt.
        return QUIT
    if not sys.stdin.isatty():
        show(line.translate(ESCAPES))  # A terminal has shown it as it was typed.
    return line


def exit_on_signal(number: int, _frame: object) -> None:
    """Leave the program, with the exit status that shells give to a signal."""
    signal.signal(number, signal.SIG_DFL)  # If it comes again, it ends the program at once.
    sys.exit(128 + number)


def discard_typed() -> None:
    """Discard what was typed and not taken, or the shell would run it as commands."""
    # ImportError: Windows has no termios. OSError: there is no terminal.
    with contextlib.suppress(ImportError, OSError):
        import termios

        # In the background, what is typed is not for this program.
        if os.tcgetpgrp(0) == os.getpgrp():
            termios.tcflush(0, termios.TCIFLUSH)


def address_text(address: tuple[str, int] | tuple[str, int, int, int]) -> str:
    """Return a socket's address as HOST:PORT, in numbers, an IPv6 host in brackets."""
    numeric = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
    host, port = socket.getnameinfo(address, numeric)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def no_connection(
    attempt: str, host: str, port: int, error: OSError | UnicodeError, advice: str
) -> ChatError:
    """Return the ChatError for an attempt, "listen on" or "connect to", that has failed."""
    if isinstance(error, (socket.gaierror, UnicodeError)):
        return ChatError(f"cannot find the host {host}; check --host")
    # A timeout has no strerror. create_server() adds "(while attempting to bind ...)" to strerror.
    why, _, _ = (error.strerror or str(error)).partition(" (while ")
    return ChatError(f"cannot {attempt} {host} port {port}: {why}; {advice}")


def parse_arguments(description: str, lowest_port: int) -> tuple[str, int]:
    """Return the host and port of the command line, or exit with status 2 if it is wrong."""
    formatter = argparse.ArgumentDefaultsHelpFormatter
    parser = argparse.ArgumentParser(description=description, formatter_class=formatter)
    parser.add_argument("--host", default="localhost", help="name, IPv4 or IPv6 address")
    ports = "1 to 65535" if lowest_port else "1 to 65535; 0 takes any free one"
    parser.add_argument("--port", default=3720, type=int, help=ports)
    arguments = parser.parse_args()
    if arguments.port not in range(lowest_port, 65536):
        parser.error(f"argument --port: {arguments.port} is not in {lowest_port} to 65535")
    if not (sys.stdin and sys.stdout and sys.stderr):
        parser.error("standard input, output and error must be open")
    return arguments.host.strip("[]"), arguments.port  # The server prints [::1].


def prepare_streams() -> None:
    """Let input and output take any bytes and characters; turn line editing on at a terminal."""
    # Bytes that are not text become characters that Connection.send() refuses.
    for stream, errors in ((sys.stdin, "surrogateescape"), (sys.stdout, "backslashreplace")):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=errors)
    if sys.stdin.isatty():
        with contextlib.suppress(ImportError):  # Windows has no readline.
            importlib.import_module("readline")  # It changes input().


def handle_signals() -> None:
    """Have exit_on_signal() called for the signals that end a program."""
    names = ["SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"]
    readline = sys.modules.get("readline")  # None where there is none.
    if readline and "libedit" in str(readline.__doc__):
        # On a Mac, readline is made of libedit. With it, input() does not return when the terminal
        # is closed. So SIGHUP, which tells of that, keeps its default and ends the program.
        names.remove("SIGHUP")
    for name in names:
        number = getattr(signal, name, None)  # No system has all of them.
        if number and signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores SIGHUP.
            signal.signal(number, exit_on_signal)


def run(program: Callable[[str, int], None], description: str, lowest_port: int) -> int:
    """Run a program on the host and port of its command line; return its exit status."""
    host, port = parse_arguments(description, lowest_port)
    prepare_streams()
    handle_signals()
    try:
        program(host, port)
    except ChatError as error:
        report(error)
        return 1
    except SystemExit:
        with contextlib.suppress(SystemExit):  # If show() exits, too, the first status counts.
            show("")  # The cursor may stand after the prompt or ^C.
        raise
    finally:
        discard_typed()
    return 0
