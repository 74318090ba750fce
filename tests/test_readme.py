"""What the README says, held against the real programs."""

import re
import socket
import unittest

from protocol import Connection
from tests.terminal import PROMPT, ROOT, TerminalTest

README = (ROOT / "README.md").read_text(encoding="utf-8")


def session(program):
    """Return the screen of a program in the README's session, without the command."""
    return re.search(rf"```\n\$ python3 {program}\n(.*?)```", README, re.DOTALL).group(1)


def turns(screen):
    """Return the lines typed in each turn on a screen."""
    parts = screen.split("Waiting for the ")
    typed = [re.findall(f"^{PROMPT}(.*)$", part, re.MULTILINE) for part in parts]
    return [lines for lines in typed if lines]


class ReadmeTest(TerminalTest):
    def test_the_session_is_what_both_terminals_show(self):
        server, port = self.start_server()
        client = self.start_client(port)
        ahead = {client: turns(session("client.py")), server: turns(session("server.py"))}
        speaker, hearer = client, server
        while ahead[speaker]:
            for line in ahead[speaker].pop(0):
                speaker.type(line)
            speaker, hearer = hearer, speaker
        self.assertEqual((client.status(), server.status()), (0, 0))
        shown = server.shown.replace(f":{port}\n", ":3720\n")
        shown = re.sub(r"(Connected by .*:)\d+", r"\g<1>50412", shown)
        self.assertEqual(shown, session("server.py"))
        self.assertEqual(client.shown.replace(f":{port}\n", ":3720\n"), session("client.py"))

    def test_the_frame_is_what_hello_is_sent_as(self):
        near, far = socket.socketpair()
        with Connection(near) as connection, far:
            connection.send("Hello")
            self.assertIn(f"\n      {far.recv(100).hex(' ')}\n", README)


if __name__ == "__main__":
    unittest.main()
