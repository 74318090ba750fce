"""What both ends of the chat must agree on, and what both programs do alike.

In this order: the frame that carries a message; what messages mean, without a socket or a
terminal; one end of the chat; signals, the terminal and the course of a program.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import io
import os
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator

from tictactoe import Game, IllegalMove

MAX_MESSAGE_BYTES = 4096
HEADER = struct.Struct(">I")
HEADER_BYTES = HEADER.size
MAX_FRAME_BYTES = HEADER_BYTES + MAX_MESSAGE_BYTES

CLIENT, SERVER, DRAWN = "client", "server", "drawn"
OTHER = {CLIENT: SERVER, SERVER: CLIENT}
QUIT, HELP, PLAY, RESIGN = "/q", "/help", "play", "resign"
SQUARES = {str(square): square for square in range(1, 10)}

PROMPT = "Enter Input > "
HINT = "/q: quit, play: tic-tac-toe, /help: more"
HELP_TEXT = """\
/q      quits: both programs end
/help   shows this list
play    starts a game of tic-tac-toe
1 to 9  takes a square; words may follow
resign  declines or, later, loses a game
Ctrl-C  quits, also while you wait
Other text, with no game on, is sent."""
WAITING = "Waiting for the {}..."
NOT_SENT = "Your last line was not sent."

# A vanished host is given up after 45 seconds without an answer to what was sent or, when
# nothing was, to probes that begin after 20: within a minute, yet not for a short break of
# a wireless link.
LOSS_DETECTION = {
    "TCP_KEEPIDLE": 20,  # seconds
    "TCP_KEEPINTVL": 5,  # seconds
    "TCP_KEEPCNT": 5,
    "TCP_USER_TIMEOUT": 45_000,  # milliseconds
}
# For a /q to leave, and for what crosses it to arrive: a round trip around the world.
FAREWELL_SECONDS = 0.4
# Longer than that, as PyPy begins a wait anew after each alarm.
ALARM_SECONDS = 0.5

# The signals that end a program; Windows has not all of them.
SIGNALS = {
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
}

# The characters that can do more to a terminal than show, and what is shown for them.
ESCAPES = {
    code: ascii(chr(code))[1:-1]
    for code in (
        # Control characters (C0, DEL, C1) move the cursor, ring, and begin the sequences that
        # change the terminal. Some break lines, as do two separators; that could forge a prompt.
        *(*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029),
        # All with the property Bidi_Control (Unicode annex 9): marks, embeddings, overrides and
        # isolates, which reorder the text around them and are not seen themselves.
        *(0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)),
        # All else is let through. Right-to-left letters run as their readers expect. Joiners,
        # variation selectors, tags and combining marks make up emoji, accents and the words of
        # many scripts. What this Python's Unicode doesn't know yet may be a letter, too.
    )
}


class ChatError(Exception):
    """Ends the chat; its text is the sentence that the person here is told."""


class Refused(ValueError):
    """What neither end may say, or not now; the text says why.

    From the person here it is answered at the prompt, from the other end it is a breach.
    """


class Connection:
    """Messages over a connected stream socket, each in a frame of its own.

    A frame is the length of the payload, 0 to 4096, as a 4-byte unsigned big-endian integer,
    then that many bytes of UTF-8. The socket's own errors, OSErrors, are passed on; one comes
    within a minute, too, if the other host has vanished, where the system can notice that.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._received = b""
        with contextlib.suppress(OSError):  # It is no TCP socket, or lost, as its next use tells.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name in LOSS_DETECTION.keys() & vars(socket):  # Not every system has all of them.
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), LOSS_DETECTION[name])
            if sys.platform == "darwin":
                # Its TCP_KEEPALIVE and TCP_RXT_CONNDROPTIME, both in seconds: Python 3.9 has no
                # names for them.
                sock.setsockopt(socket.IPPROTO_TCP, 0x10, LOSS_DETECTION["TCP_KEEPIDLE"])
                sock.setsockopt(
                    socket.IPPROTO_TCP, 0x80, LOSS_DETECTION["TCP_USER_TIMEOUT"] // 1000
                )

    def send(self, text: str) -> None:
        """Send one message. Raises Refused, with nothing sent, if it can't be one."""
        try:
            payload = text.encode()
        except UnicodeEncodeError as error:
            raise Refused("it holds bytes that are not text") from error
        length = len(payload)
        if length > MAX_MESSAGE_BYTES:
            raise Refused(f"it takes {length} bytes and the limit is {MAX_MESSAGE_BYTES}")
        # It never waits: one turn at most is under way, and a socket's buffer holds more. In one
        # write: Nagle's algorithm may keep back a second one until the first has been
        # acknowledged, and the other end's system may take its time for that.
        self._sock.sendall(HEADER.pack(length) + payload)

    def receive(self) -> str:
        """Wait for the next message and return it.

        Raises EOFError at the end of the stream, and Refused for what is no frame. If the socket
        doesn't block and the message is not all there, it raises BlockingIOError; nothing is lost,
        and it can be called again.
        """
        # A buffered reader would lose the part of a frame that is there then, and takes 9 % more
        # processor time per message of 16 bytes.
        received = self._received or self._sock.recv(MAX_FRAME_BYTES)
        while True:
            if len(received) >= HEADER_BYTES:
                (length,) = HEADER.unpack_from(received)
                if length > MAX_MESSAGE_BYTES:
                    raise Refused(f"it announced {length} bytes, the limit is {MAX_MESSAGE_BYTES}")
                end = HEADER_BYTES + length
                if len(received) >= end:
                    break
            self._received = received
            more = self._sock.recv(MAX_FRAME_BYTES)
            if not more:
                if not received:
                    raise EOFError
                raise Refused("it ended inside a frame")
            received += more
        self._received = received[end:]
        try:
            return received[HEADER_BYTES:end].decode()
        except UnicodeDecodeError as error:
            raise Refused("it sent bytes that are not UTF-8") from error

    def receive_until(self, deadline: float) -> str:
        """Do the same from a socket that doesn't block, but wait until then on time.monotonic()."""
        while True:
            try:
                return self.receive()
            except BlockingIOError:
                left = max(deadline - time.monotonic(), 0)
                if not select.select([self._sock], [], [], left)[0]:
                    raise

    def fileno(self) -> int:
        """Return the socket's descriptor, so that select() can wait for a connection."""
        return self._sock.fileno()

    def has_input(self) -> bool:
        """Return whether anything has arrived, be it only the end of the stream."""
        return bool(self._received or select.select([self._sock], [], [], 0)[0])

    def setblocking(self, blocking: bool) -> None:
        """Let the socket wait, or not."""
        self._sock.setblocking(blocking)

    def close(self) -> None:
        """Close the socket."""
        # Unread input would make of this a reset, which may take along what was sent last.
        with contextlib.suppress(OSError):
            self._sock.settimeout(0)
            self._sock.recv(1 << 20)
        self._sock.close()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Conversation:
    """How far a conversation has come: whose turn it is, the game, the score.

    It is the same for both ends and doesn't know at which it is. It is immutable: what is said
    makes the next one, so what is refused changes nothing.
    """

    def __init__(self, turn: str | None = CLIENT, game: Game | None = None, **score: int) -> None:
        self.turn = turn
        """The end that may speak, CLIENT or SERVER; None once one of them has quit."""
        self.game = game
        """The game that is on, or the last one if it was played to its end; else None."""
        self.score = score or {CLIENT: 0, SERVER: 0, DRAWN: 0}
        """The games won by CLIENT, won by SERVER, and DRAWN."""

    @property
    def game_is_on(self) -> bool:
        """Whether a game is being played."""
        return self.game is not None and not self.game.is_over

    def interpret(self, typed: str) -> str:
        """Return the command or the message that a typed line stands for.

        At the prompt, unlike on the wire, case and surrounding blanks don't matter in a command.
        """
        words = " ".join(typed.split(maxsplit=1))
        if words.lower() in (QUIT, HELP, RESIGN if self.game_is_on else PLAY):
            return words.lower()
        return words if self.game_is_on else typed

    def say(self, speaker: str, text: str) -> Conversation:
        """Return the conversation after ``speaker``, CLIENT or SERVER, has said ``text``.

        Raises Refused or IllegalMove if that may not be said now.
        """
        game, score, won = self.game, self.score, None
        if text == QUIT:
            return Conversation(None, game, **score)
        if speaker != self.turn:
            raise Refused("it spoke out of turn")
        if not game or game.is_over:
            game = Game() if text == PLAY else game
        elif text == RESIGN:
            won = OTHER[speaker] if game != Game() else None
            game = None
        else:
            square, _, _ = text.partition(" ")
            if square not in SQUARES:
                raise Refused("only a move, 1 to 9, or resign counts in a game")
            game = game.play(SQUARES[square])
            won = speaker if game.winner else DRAWN if game.is_over else None
        if won:
            score = {**score, won: score[won] + 1}
        return Conversation(OTHER[speaker], game, **score)


def farewell_deadline() -> float:
    """Return the time on time.monotonic() until which what crosses a /q is waited for."""
    return time.monotonic() + FAREWELL_SECONDS


class Chat:
    """One end of the chat: it speaks a turn and hears a turn, over a connection.

    ``me`` is CLIENT or SERVER. ``ask`` returns the line typed at the prompt that it is given, or
    raises EOFError; ``show`` prints lines. Both tell the person here all that happens, but for
    what ends the chat with a ChatError.
    """

    def __init__(
        self,
        connection: Connection,
        me: str,
        ask: Callable[[str], str],
        show: Callable[[str], None],
    ) -> None:
        self._connection = connection
        connection.setblocking(False)
        self._me = me
        self._other = OTHER[me]
        self._ask = ask
        self._show = show
        self._conversation = Conversation()
        self._turns = 0  # taken by either end so far

    def speak(self) -> bool:
        """Take this end's turn; return whether the chat goes on.

        Raises ChatError if the connection is lost or the other end broke the rules.
        """
        while self._conversation.turn == self._me:
            try:
                text = self._conversation.interpret(self._ask(PROMPT))
            except EOFError:
                text = QUIT  # If the other end is gone already, that is told first.
            if self._connection.has_input():
                # Out of turn: the other end has quit, is gone, or breaks the rules, perhaps with
                # a frame that never ends.
                try:
                    return self.hear_by(farewell_deadline())
                except BlockingIOError as error:
                    raise self._breach("it spoke out of turn") from error
                finally:
                    if text.strip() and text not in (QUIT, HELP):
                        self._show(NOT_SENT)
            if text == HELP:
                self._show(HELP_TEXT)
            elif text.strip():
                self._say(text)
        return self._conversation.turn is not None

    def hear(self) -> bool:
        """Wait for the other end's turn and take it; return whether the chat goes on.

        Raises ChatError if the connection is lost or the other end broke the rules.
        """
        while True:
            try:
                return self.hear_by(0)
            except BlockingIOError:
                with interruptible():
                    select.select([self._connection], [], [])

    def hear_by(self, deadline: float) -> bool:
        """Take the other end's turn, but raise BlockingIOError if it's not all there by then.

        The deadline is a time on time.monotonic(); 0: now. Otherwise as hear().
        """
        try:
            text = self._connection.receive_until(deadline)
            after = self._conversation.say(self._other, text)
        except (Refused, IllegalMove) as error:
            raise self._breach(error) from error
        except BlockingIOError:
            raise  # An OSError, too, but no loss.
        except (EOFError, OSError) as error:
            raise ChatError(self._loss()) from error
        self._show_heard(text)
        self._take_turn(after)
        return after.turn is not None

    def close(self, deadline: float | None = None) -> None:
        """Say /q, unless that was said, and close the connection.

        A turn that was taken before the /q could arrive is waited for until the deadline, a time
        on time.monotonic(), and shown.
        """
        if self._conversation.turn:
            awaits_turn = self._conversation.turn == self._other
            self._quit()
            if awaits_turn:
                with contextlib.suppress(Refused, EOFError, OSError):
                    text = self._connection.receive_until(deadline or farewell_deadline())
                    self._show_heard(text)
        self._connection.close()

    def _say(self, text: str) -> None:
        try:
            after = self._conversation.say(self._me, text)
            self._connection.send(text)
        except (Refused, IllegalMove) as error:
            self._show(f"Not sent: {error}.")
        except OSError as error:
            self._show(NOT_SENT)
            raise ChatError(self._loss()) from error
        else:
            self._take_turn(after)
            if after.turn:
                self._show(WAITING.format(self._other))

    def _quit(self) -> None:
        """Say /q where the connection can still carry it."""
        self._conversation = self._conversation.say(self._me, QUIT)
        with contextlib.suppress(OSError):
            self._connection.send(QUIT)

    def _breach(self, why: object) -> ChatError:
        """Say /q to an end that broke the rules; return the error that tells of it."""
        self._quit()
        return ChatError(f"the {self._other} broke the rules: {why}")

    def _loss(self) -> str:
        """Return the sentence for a lost connection."""
        sentence = f"the connection to the {self._other} was lost"
        if self._turns and self._conversation.turn == self._other:
            sentence += "; your last line may not have arrived"
        if self._me == CLIENT and self._turns <= 1:
            sentence += "; the server may be busy with another client"
        return sentence

    def _show_heard(self, text: str) -> None:
        if text == QUIT:
            self._show(f"The {self._other} quit.")
        else:
            self._show(f"{self._other.capitalize()}: {text.translate(ESCAPES)}")

    def _take_turn(self, after: Conversation) -> None:
        """Go on to the conversation ``after`` a turn, and show what that did to the game."""
        before, self._conversation = self._conversation, after
        self._turns += 1
        game = after.game
        if not after.turn:
            return
        if game and game is not before.game:
            self._show(str(game))
        if game and not game.is_over:
            mine = after.turn == self._me
            mark = game.to_move if mine else {"X": "O", "O": "X"}[game.to_move]
            move = "your move" if mine else f"the {self._other} moves"
            if mine and game == Game():
                move += " (resign declines)"
            self._show(f"You are {mark}: {move}.")
        elif before.game_is_on:
            self._show_result(before, after)

    def _show_result(self, before: Conversation, after: Conversation) -> None:
        """Show how the game ended that was on before the last turn, and the score."""
        mover = "you" if before.turn == self._me else f"the {self._other}"
        score = after.score
        if score == before.score:  # Only a game that is declined ends so.
            self._show(f"{mover.capitalize()} declined the game.")
            return
        if score[DRAWN] > before.score[DRAWN]:
            self._show("Draw.")
        else:
            verb = "win" if score[self._me] > before.score[self._me] else "lose"
            line = after.game and f"squares {', '.join(map(str, after.game.winning_squares))}"
            self._show(f"You {verb}: {line or f'{mover} resigned'}.")
        self._show(
            f"You {score[self._me]}, {self._other} {score[self._other]}, drawn {score[DRAWN]}"
        )


def handle_signals(handler: Callable[[int, object], object]) -> None:
    """Let each signal that ends a program be handled so."""
    for number in SIGNALS:
        signal.signal(number, handler)


def hold_signals() -> None:
    """Hold back the signals that end a program, but for what is interruptible()."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let signals in during a wait.

    Elsewhere they are held back, unless output is stalled: none can come between a message's
    arrival and its being shown, or leave half of a frame behind. Windows can't hold them back.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def set_alarm(seconds: float = ALARM_SECONDS) -> None:
    """Interrupt what is done every so many seconds, where there is an alarm; 0: no more.

    Python sees to a signal before it waits and when that interrupts it. One that comes in
    between, as input() gets ready, would stay unseen until the next key. And output that is
    stalled would keep one from being seen for ever.
    """
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, let_signals_in_if_stalled)
        signal.setitimer(signal.ITIMER_REAL, seconds, seconds)


def let_signals_in_if_stalled(_number: int, _frame: object) -> None:
    """See to the signals that are held back, if what they wait for may never happen."""
    if stalled_outputs():
        with interruptible():
            pass


def stalled_outputs() -> set[int]:
    """Return which of standard output and error take nothing now, as a terminal after Ctrl-S."""
    with contextlib.suppress(OSError):  # One may be no file.
        outputs = {sys.stdout.fileno(), sys.stderr.fileno()}
        return outputs.difference(select.select([], outputs, [], 0)[1])
    return set()


def exit_on_signal(number: int, _frame: object) -> None:
    """End the program with a signal's status; on the way out /q is said."""
    # A second one must not cut that short. Not by SIG_IGN: CPython complains if one is due.
    handle_signals(lambda *_: None)
    # Now all that are due are handled, by doing nothing: input() would call their handlers with
    # this exit under way, and take it for an error of theirs.
    signal.raise_signal(number)
    for descriptor in stalled_outputs():
        discard_output(descriptor)  # It would hold up the end.
    sys.exit(128 + number)


def show(line: str, end: str = "\n") -> None:
    """Print a line at once. Raises EOFError if nobody can read it any more."""
    try:
        print(line, end=end, flush=True)
    except OSError:
        discard_output(sys.stdout.fileno())
        raise EOFError from None


def discard_output(descriptor: int) -> None:
    """Let what is still to be written there go nowhere, even at exit, when Python tries again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)


def ask(prompt: str) -> str:
    """Return the line typed at the prompt. Raises EOFError at the end of input."""
    tell_typed_early()
    set_echo(True)
    before = typed_lines()
    try:
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            # input() would swallow an error of writing the prompt there.
            show(prompt, end="")
            prompt = ""
        with interruptible():
            return input(prompt)
    except (EOFError, OSError, SystemExit) as end:
        with contextlib.suppress(EOFError):
            show("")  # The cursor is behind the prompt.
            if isinstance(end, SystemExit) and typed_lines() != before:
                show(NOT_SENT)
        raise end if isinstance(end, SystemExit) else EOFError from None
    finally:
        set_echo(False)


def tell_typed_early() -> None:
    """Take the lines that were finished before the prompt was there; tell they are not sent.

    They can't be an answer to what is on the screen. A line that was only begun is left for the
    prompt. Raises EOFError at the end of input.
    """
    early, more = b"", b"\n"
    while more and controls_terminal() and select.select([0], [], [], 0)[0]:
        more = b""
        with contextlib.suppress(OSError):  # The terminal may be gone.
            more = os.read(0, MAX_MESSAGE_BYTES)
        early += more
    for line in filter(str.strip, map(os.fsdecode, early.split(b"\n"))):
        show(f"Not sent, as typed before the prompt: {line.translate(ESCAPES)}")
        if readline := sys.modules.get("readline"):
            # It takes no NUL, and PyPy's nothing on a terminal that it can't edit on.
            with contextlib.suppress(ValueError, RuntimeError):
                readline.add_history(line)
    if not more:
        raise EOFError


def typed_lines() -> tuple[int, str]:
    """Return how many lines were typed so far, and the one at the prompt, where that is known."""
    if readline := sys.modules.get("readline"):
        with contextlib.suppress(RuntimeError):  # PyPy's, on a terminal that it can't edit on.
            return readline.get_current_history_length(), readline.get_line_buffer().strip()
    return 0, ""


def controls_terminal() -> bool:
    """Return whether input comes from a terminal whose queue and echo can be seen to.

    In the background they can't: the system would stop the program for it.
    """
    if os.name != "posix" or not sys.stdin.isatty():
        return False
    with contextlib.suppress(OSError):  # It may be gone, or know no background.
        return os.tcgetpgrp(0) == os.getpgrp()
    return True


def set_echo(on: bool, discard: bool = False) -> None:
    """Let the terminal echo what is typed; not while it would run into what is shown.

    With ``discard``, forget what was typed and not read yet.
    """
    if controls_terminal():
        import termios

        with contextlib.suppress(termios.error):  # The terminal may be gone.
            attributes = termios.tcgetattr(sys.stdin)
            # NOFLSH, or Ctrl-C would take a key back that readline has been told of and waits for.
            for flag, wanted in ((termios.ECHO, on), (termios.NOFLSH, not discard)):
                attributes[3] = attributes[3] | flag if wanted else attributes[3] & ~flag
            termios.tcsetattr(sys.stdin, termios.TCSANOW, attributes)
            if discard:
                termios.tcflush(sys.stdin, termios.TCIFLUSH)


def report(sentence: object) -> None:
    """Print an error, after the program's name, as one line on standard error."""
    line = f"{os.path.basename(sys.argv[0])}: error: {sentence}"
    try:
        print(line.translate(ESCAPES), file=sys.stderr, flush=True)
    except OSError:  # Nobody can read it any more.
        discard_output(sys.stderr.fileno())
        sys.stderr.flush()  # Else input() would do it, and swallow what a signal asks for then.


def address_text(host: str, port: int, *_: object) -> str:
    """Return HOST:PORT for the parts of a socket's address, an IPv6 host in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def no_connection(attempt: str, host: str, port: int, error: Exception, advice: str) -> ChatError:
    """Return the ChatError for an attempt, "listen on" or "connect to", that has failed."""
    # create_server() adds the address in parentheses, which is told already.
    why, _, _ = (getattr(error, "strerror", None) or str(error)).partition(" (")
    return ChatError(f"cannot {attempt} {address_text(host, port)}: {why}; {advice}")


def parse_arguments(description: str, lowest_port: int) -> tuple[str, int]:
    """Return the host and port of the command line, or exit with status 2 if it is wrong."""
    # To learn the terminal's width, argparse would import shutil and all the compressors: that
    # is a tenth of the time to the server's first line.
    formatter = functools.partial(argparse.ArgumentDefaultsHelpFormatter, width=79)
    parser = argparse.ArgumentParser(description=description, formatter_class=formatter)
    parser.add_argument("--host", default="localhost", help="name, IPv4 or IPv6 address")
    parser.add_argument("--port", default=3720, type=int, help=f"{lowest_port} to 65535")
    arguments = parser.parse_args()
    if arguments.port not in range(lowest_port, 65536):
        parser.error(f"argument --port: {arguments.port} is not in {lowest_port} to 65535")
    if not (sys.stdin and sys.stdout and sys.stderr):
        parser.error("standard input, output and error must be open")
    return arguments.host, arguments.port


def run(program: Callable[[str, int], None], description: str, lowest_port: int) -> int:
    """Run a program on its host and port to the end, whichever that is; return its exit status."""
    host, port = parse_arguments(description, lowest_port)
    # Typed bytes that are no text are refused when sent; what can't be shown is escaped.
    for stream, errors in ((sys.stdin, "surrogateescape"), (sys.stdout, "backslashreplace")):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=errors)
    if sys.stdin.isatty():
        with contextlib.suppress(ImportError):  # Windows has none.
            import readline  # That gives input() editing and history.

            # In the C locale it would take the bytes of all letters but ASCII's for commands,
            # and show their numbers.
            readline.parse_and_bind("set convert-meta off")
            readline.parse_and_bind("set output-meta on")
    hold_signals()
    handle_signals(exit_on_signal)
    try:
        set_echo(False)
        program(host, port)
    except EOFError:
        pass  # The person here is gone; the other end has been told /q.
    except ChatError as error:
        report(error)
        return 1
    finally:
        try:
            # What was typed and not taken must not become a command of the shell.
            with contextlib.suppress(EOFError):
                tell_typed_early()
        finally:
            set_alarm(0)
            set_echo(True, discard=True)
    return 0
