"""Programs run as a person would run them: each on a pseudo-terminal, or between pipes."""

import contextlib
import os
import re
import select
import shlex
import signal
import subprocess
import sys
import threading
import time
import unittest
from pathlib import Path

try:
    import fcntl
    import pty
    import termios
except ImportError:  # Windows
    pty = None

# The programs must not begin with these ignored, as by nohup or in a shell's background job.
for name in {"SIGINT", "SIGHUP"} & vars(signal).keys():
    signal.signal(getattr(signal, name), signal.default_int_handler)

ROOT = Path(__file__).resolve().parent.parent
PYPY = sys.implementation.name == "pypy"
PYTHON = shlex.quote(sys.executable)  # for a shell; its path may have blanks in it
PROMPT = "Enter Input > "
UNSURE = "; your last line may not have arrived"
SECONDS = 20  # A step that takes longer has failed.
# What the tests find in their own environment must not make the programs print or read otherwise.
OTHERS = ("PYTHON", "LC_", "LANG", "FORCE_COLOR", "COLUMNS")
ENVIRONMENT = {name: os.environ[name] for name in os.environ if not name.startswith(OTHERS)}
ENVIRONMENT.update(PYTHONUTF8="1", TERM="dumb", INPUTRC=os.devnull)

posix_only = unittest.skipUnless(pty, "Windows has no pseudo-terminals and no such signals")


def wait_until(fact):
    """Wait until a function returns something true."""
    deadline = time.monotonic() + SECONDS
    while not fact():
        assert time.monotonic() < deadline, f"not within {SECONDS} s: {fact}"
        time.sleep(0.005)


def run(*command, **options):
    """Run a program without input to its end; return its status and what it wrote."""
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    settings = {"cwd": ROOT, "env": ENVIRONMENT, "text": True, "timeout": SECONDS}
    return subprocess.run([sys.executable, *command], **{**streams, **settings, **options})


def changed(change, program, *arguments):
    """Return Python's arguments for a program with a statement that is carried out before it."""
    start = f"import sys; sys.argv[0] = '{program}.py'; {change}; "
    return "-c", start + f"import {program}; sys.exit({program}.main())", *arguments


class Pipes:
    """A program between pipes, and all that it has written; errors among the rest."""

    def __init__(self, *command, **environment):
        self.start(command, {"cwd": ROOT, "env": {**ENVIRONMENT, **environment}})
        self.shown, self._bytes, self._seen = "", b"", 0
        if os.name == "nt":  # It can't wait for a pipe with a limit.
            self._limit = threading.Timer(SECONDS, self.process.kill)
            self._limit.start()

    def start(self, command, options):
        options.update(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.process = subprocess.Popen(command, **options)
        self.input, self.output = self.process.stdin.fileno(), self.process.stdout.fileno()

    def read(self):
        """Take in what is shown next; return False once the program's side is closed."""
        if os.name != "nt" and not select.select([self.output], [], [], SECONDS)[0]:
            raise AssertionError(f"nothing more was shown in {SECONDS} s after:\n{self.shown}")
        more = b""
        with contextlib.suppress(OSError):  # EIO: nobody has the terminal open any more.
            more = os.read(self.output, 65536)
        self._bytes += more
        self.shown = self.text(self._bytes.decode(errors="replace"))
        return bool(more)

    def text(self, written):
        return written.replace("\r\n", "\n")

    def until(self, text):
        """Wait until ``text`` is shown; return what came before it since the last call."""
        while (at := self.shown.find(text, self._seen)) < 0:
            if not self.read():
                raise AssertionError(f"ended without {text!r} after:\n{self.shown}")
        before, self._seen = self.shown[self._seen : at], at + len(text)
        return before

    def write(self, text):
        os.write(self.input, text.encode() if isinstance(text, str) else text)

    def type(self, *lines):
        """Wait for the prompt and type a line at it; the same for each."""
        for line in lines:
            self.until(PROMPT)
            self.write(line + "\n")

    def rest(self):
        """Wait until the program has closed its side; return what it showed since the last call."""
        while self.read():
            pass
        return self.shown[self._seen :]

    def until_it_waits(self):
        """Wait until the program waits: then Ctrl-C is seen at once."""
        stat, ps = Path(f"/proc/{self.process.pid}/stat"), f"ps -o stat= -p {self.process.pid}"
        if stat.exists():
            wait_until(lambda: " S " in stat.read_text())
        else:  # macOS
            wait_until(lambda: subprocess.check_output(ps.split())[:1] in (b"S", b"I"))

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()

    def end(self):
        """End the program by its process id if it still runs."""
        self.process.kill()
        self.process.wait()
        if os.name == "nt":
            self._limit.cancel()
        with contextlib.suppress(OSError):
            self.close()


class Terminal(Pipes):
    """A program on a pseudo-terminal of its own, and all that it has shown there."""

    def start(self, command, options):
        self.input, slave = pty.openpty()
        self.output, self.name = self.input, os.ttyname(slave)
        options.update(stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
        options["preexec_fn"] = lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        self.process = subprocess.Popen(command, **options)
        os.close(slave)

    def type_early(self, text):
        """Type while no prompt is there; wait until the system has a line of it for the program."""
        slave = os.open(self.name, os.O_RDWR | os.O_NOCTTY)
        self.write(text)
        assert select.select([slave], [], [], SECONDS)[0]
        os.close(slave)

    def type_keys(self, keys):
        """Wait until the program takes each key at its prompt, and type some."""
        self.until(PROMPT)
        self.until_it_waits()
        self.write(keys)

    def close(self):
        """Close the terminal, as by closing its window."""
        os.close(self.input)


class ProgramTest(unittest.TestCase):
    """A test with programs between pipes, or on terminals, which it ends."""

    kind = Pipes

    def start(self, *command, **environment):
        return self.ends(self.kind(sys.executable, *command, **environment))

    def ends(self, program):
        """See to it that a program ends with the test; return it."""
        self.addCleanup(program.end)
        return program

    def start_server(self, *command, start=None, **environment):
        """Start a server on a free port; return it and the port."""
        command = command or ("server.py", "--port", "0")
        server = (start or self.start)(*command, **environment)
        server.until("Listening on ")
        return server, server.until("\n").rpartition(":")[2].strip()

    def start_both(self, **environment):
        """Return a server and a client that have met."""
        server, port = self.start_server(**environment)
        client = self.start("client.py", "--port", port, **environment)
        server.until("Connected by ")
        return server, client

    def start_chat(self, **environment):
        """Return a server at its prompt, and a client that waits for its line."""
        server, client = self.start_both(**environment)
        client.type("x")
        server.until(PROMPT)
        client.until("Waiting for the server...\n")
        return server, client

    def play_to_the_end(self, server, client):
        """Let the client, which is X, win in the server's turn; then the server quits."""
        for mover, line in zip((server, client) * 4, ("play", "5", "1", "2", "3", "8")):
            mover.type(line)
        server.until("You lose: the client has 2, 5, 8.\n")
        server.type("/q")
        client.until("The server quit.\n")
        self.assert_ends(server, 0)
        self.assert_ends(client, 0)

    def assert_ends(self, program, status, error=""):
        """Check the exit status, and that it ends with this line of error or without any."""
        rest = program.rest()
        self.assertEqual(program.process.wait(SECONDS), status, program.shown)
        self.assertNotIn("Traceback", program.shown)
        lines = re.findall(r"\w+\.py: error: .*", rest)
        self.assertEqual(lines, [error] if error else [], program.shown)


@posix_only
class TerminalTest(ProgramTest):
    """A test with programs on terminals, which it ends."""

    kind = Terminal
