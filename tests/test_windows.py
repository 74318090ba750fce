"""Chats on Windows consoles, which Wine draws. TEST_WINDOWS_PYTHON names the python.exe to run."""

import os
import re
import sys
import time
import unittest

from tests.programs import SECONDS, ProgramTest, Terminal

PYTHON = os.environ.get("TEST_WINDOWS_PYTHON")


class Console(Terminal):
    """A program on a Windows console, which Wine draws on a pseudo-terminal."""

    def start(self, command, options):
        # Nothing scrolls or wraps on so many rows and columns.
        settings = 'stty -icrnl -echo -icanon rows 500 cols 200; exec "$@"'
        super().start(("sh", "-c", settings, "sh", *command), options)

    def text(self, written):
        """Return what Wine has drawn as text: it moves the cursor over blanks."""
        drawn = re.sub(r"\x1b\[(\d*)C", lambda move: " " * int(move[1] or 1), written)
        return re.sub(r"\x1b\[[?\d;]*[A-Za-z]|\x1b\][^\x07]*\x07", "", drawn).replace("\r", "")

    def write(self, text):
        super().write(text.replace("\n", "\r"))


@unittest.skipUnless(PYTHON, "TEST_WINDOWS_PYTHON names no Python for Windows")
class WindowsTest(ProgramTest):
    def on_windows(self, *command):
        return self.ends(Console("wine", PYTHON, *command, TERM="xterm", LANG="C.UTF-8"))

    def on_linux(self, *command):
        return self.ends(Terminal(sys.executable, *command))

    def test_what_was_typed_and_not_taken_does_not_reach_the_shell(self):
        server, port = self.start_server(start=self.on_linux)
        shell = self.ends(Console("wine", "cmd", TERM="xterm", LANG="C.UTF-8"))
        shell.until(">")
        shell.write('"Z:{}" client.py --port {}\n'.format(PYTHON.replace("/", "\\"), port))
        shell.type("x")
        shell.until("Waiting for the server")
        # Both lines come at once: when the first one is taken, the other one is there.
        shell.write("y\necho EARLY%CD%\n")
        server.type("z")
        server.until("Client: y\n")
        server.type("/q")
        shell.until("The server quit.")
        shell.until(">")
        shell.write("echo END%CD%\n")
        self.assertNotIn("EARLYZ:", shell.until("ENDZ:"))

    def start_pair(self, server_system, client_system):
        server, port = self.start_server(start=server_system)
        client = client_system("client.py", "--port", port)
        client.until("Connected to ")
        return server, client

    def assert_ctrl_c_ends(self, program):
        start = time.monotonic()
        program.write("\x03")
        self.assertEqual(program.process.wait(SECONDS), 130, program.shown)
        self.assertLess(time.monotonic() - start, 1.5)

    def test_a_chat_and_a_game_between_consoles_and_with_another_system(self):
        windows, linux = self.on_windows, self.on_linux
        for systems in ((windows, windows), (windows, linux), (linux, windows)):
            server, client = self.start_pair(*systems)
            client.type("Grüße, 日本語 é")
            server.until("Client: Grüße, 日本語 é\n")
            server.type("żółw")
            client.until("Server: żółw\n")
            client.type("x")
            self.play_to_the_end(server, client)

    def test_ctrl_c_ends_a_server_that_waits_for_a_client(self):
        server = self.on_windows("server.py", "--port", "0")
        server.until("Waiting for a client")
        self.assert_ctrl_c_ends(server)

    def test_ctrl_c_ends_a_program_that_waits_to_hear_and_the_other_is_told(self):
        server, client = self.start_pair(self.on_windows, self.on_windows)
        server.until("Waiting for the client...")
        self.assert_ctrl_c_ends(server)
        client.type("x")
        client.until("The server quit.\n")
        server, client = self.start_pair(self.on_linux, self.on_windows)
        client.type("x")
        client.until("Waiting for the server...")
        self.assert_ctrl_c_ends(client)
        server.type("y")
        server.until("The client quit.\n")
