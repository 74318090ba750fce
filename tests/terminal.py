"""Programs run as a person would run them: each on a pseudo-terminal, or between pipes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import unittest
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).resolve().parent.parent
PROMPT = "Enter Input > "
SECONDS = 20  # A step that takes longer has failed.
# Without a flush, what is printed stays in the program for long.
ENVIRONMENT = {**os.environ, "PYTHONUNBUFFERED": ""}

Program = TypeVar("Program", "Terminal", "Pipes")


def changed(change: str, program: str, *arguments: str) -> tuple[str, ...]:
    """Return Python's arguments for a program with a statement that is carried out before it."""
    start = f"import sys; sys.argv[0] = '{program}.py'; {change}; "
    return "-c", start + f"import {program}; sys.exit({program}.main())", *arguments


class Terminal:
    """A program on a pseudo-terminal of its own, and all that it has shown there."""

    def __init__(self, *command: str, columns: int = 80, **environment: str) -> None:
        self.master, slave = pty.openpty()
        self.name = os.ttyname(slave)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=ROOT,
            env={**ENVIRONMENT, "TERM": "dumb", "PYTHONUTF8": "1", **environment},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self.shown = ""
        self._bytes = b""
        self._seen = 0

    def read(self) -> bool:
        """Take in what is shown next; return False once the program's side is closed."""
        if not select.select([self.master], [], [], SECONDS)[0]:
            raise AssertionError(f"nothing more was shown in {SECONDS} s after:\n{self.shown}")
        try:
            more = os.read(self.master, 65536)
        except OSError:  # EIO: nobody has the terminal open any more.
            more = b""
        self._bytes += more
        self.shown = self._bytes.decode(errors="replace").replace("\r\n", "\n")
        return bool(more)

    def until(self, text: str) -> str:
        """Wait until ``text`` is shown; return what came before it since the last call."""
        while (at := self.shown.find(text, self._seen)) < 0:
            if not self.read():
                raise AssertionError(f"ended without {text!r} after:\n{self.shown}")
        before, self._seen = self.shown[self._seen : at], at + len(text)
        return before

    def write(self, data: bytes) -> None:
        os.write(self.master, data)

    def type(self, line: str) -> None:
        """Wait for the prompt and type a line at it."""
        self.until(PROMPT)
        self.write(line.encode() + b"\n")

    def type_early(self, data: bytes) -> None:
        """Type while no prompt is there; wait until the system has a line of it for the program."""
        slave = os.open(self.name, os.O_RDWR | os.O_NOCTTY)
        self.write(data)
        assert select.select([slave], [], [], SECONDS)[0]
        os.close(slave)

    def stall(self) -> None:
        """Let the terminal take no more output, as Ctrl-S does, but at once."""
        slave = os.open(self.name, os.O_RDWR | os.O_NOCTTY)
        termios.tcflow(slave, termios.TCOOFF)
        os.close(slave)

    def rest(self) -> str:
        """Wait until the program has closed its terminal; return what it showed until then."""
        while self.read():
            pass
        before, self._seen = self.shown[self._seen :], len(self.shown)
        return before

    def status(self) -> int:
        """Wait for the program to end; return its exit status."""
        self.rest()
        return self.process.wait(SECONDS)

    def hang_up(self) -> None:
        """Close the terminal, as by closing its window."""
        os.close(self.master)
        self.master = -1

    def end(self) -> None:
        """End the program by its process id if it still runs."""
        self.process.kill()
        self.process.wait()
        if self.master >= 0:
            self.hang_up()


class TerminalTest(unittest.TestCase):
    """A test with programs on terminals or between pipes, which it ends."""

    def start(self, program: str, *arguments: str, **environment: str) -> Terminal:
        return self.ends(Terminal(sys.executable, program, *arguments, **environment))

    def start_between_pipes(self, program: str, *arguments: str, **environment: str) -> Pipes:
        return self.ends(Pipes(sys.executable, program, *arguments, **environment))

    def ends(self, program: Program) -> Program:
        """See to it that a program ends with the test; return it."""
        self.addCleanup(program.end)
        self.addCleanup(program.process.wait, SECONDS)
        self.programs.append(program)
        return program

    def setUp(self) -> None:
        self.programs: list[Terminal | Pipes] = []

    def tearDown(self) -> None:
        for program in self.programs:  # All before any is waited for: they wait for each other.
            program.process.terminate()

    def start_server(self, *arguments: str, **environment: str) -> tuple[Terminal, str]:
        """Start a server on a free port; return it and the port."""
        server = self.start("server.py", *(arguments or ("--port", "0")), **environment)
        server.until("Listening on ")
        return server, server.until("\n").rpartition(":")[2]

    def start_client(self, port: str, *arguments: str, **environment: str) -> Terminal:
        return self.start("client.py", "--port", port, *arguments, **environment)

    def start_both(self, **environment: str) -> tuple[Terminal, Terminal]:
        """Return a server and a client that have met."""
        server, port = self.start_server(**environment)
        client = self.start_client(port, **environment)
        server.until("Connected by ")
        return server, client

    def assert_ends(self, terminal: Terminal, status: int, error: str = "") -> None:
        """Check the exit status, and that it ends with this line of error or without any."""
        rest = terminal.rest()
        self.assertEqual(terminal.status(), status, terminal.shown)
        self.assertNotIn("Traceback", terminal.shown)
        lines = re.findall(r".*error:.*", rest)
        self.assertEqual(lines, [error] if error else [], terminal.shown)


class Pipes:
    """A program between pipes, whose standard error is kept apart."""

    def __init__(self, *command: str, **environment: str) -> None:
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            env={**ENVIRONMENT, **environment},
        )
        self._written = b""

    def until(self, end: bytes) -> bytes:
        """Return what is written up to ``end``, which must come soon, unlike a full buffer."""
        assert self.process.stdout
        while (at := self._written.find(end)) < 0:
            more = b""
            if select.select([self.process.stdout], [], [], SECONDS)[0]:
                more = os.read(self.process.stdout.fileno(), 65536)
            if not more:
                raise AssertionError(f"no {end!r} after {self._written!r}")
            self._written += more
        at += len(end)
        before, self._written = self._written[:at], self._written[at:]
        return before

    def write(self, data: bytes) -> None:
        assert self.process.stdin
        os.write(self.process.stdin.fileno(), data)

    def finish(self) -> tuple[int, bytes, bytes]:
        """Close standard input, wait for the end; return the status and both outputs' rest."""
        out, error = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, self._written + out, error

    def end(self) -> None:
        """End the program by its process id if it still runs."""
        self.process.kill()
        with contextlib.suppress(ValueError):
            self.process.communicate()
