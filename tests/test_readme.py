"""What the README says, held against the real programs."""

import re
import socket

from protocol import HELP_TEXT
from tests.programs import PROMPT, ROOT, ProgramTest
from tests.states import steps
from tests.wire import frames

README = (ROOT / "README.md").read_text(encoding="utf-8")


def section(heading):
    """Return what stands under a heading."""
    return re.search(rf"^#+ {heading}\n(.*?)(?=^#|\Z)", README, re.M | re.S)[1]


def first_column(text):
    """Return what stands in backquotes at the beginning of a table's rows."""
    return re.findall(r"^\| `(.*?)` \|", text, re.M)


class ReadmeTest(ProgramTest):
    def test_it_is_short_and_its_first_screen_ends_with_what_one_has_to_know(self):
        lines = README.splitlines()
        self.assertLessEqual(len(lines), 230)
        self.assertIn("Ctrl-C stops a server that waits.", "\n".join(lines[:60]))

    def test_the_picture_is_what_both_terminals_show_from_top_to_bottom(self):
        picture = re.search(r"```\n(\$ python3 server\.py .*?)\n```", README, re.S)[1]
        rows = [row.split("│") for row in picture.splitlines()]
        self.assertLessEqual(len(rows), 40)
        self.assertLessEqual(max(map(len, picture.splitlines())), 100)
        programs, columns = {}, {0: [], 1: []}
        for row in rows:
            for column, cell in enumerate(row):
                line = cell[column:].rstrip()
                if line.startswith("$ "):
                    command = line.split()[2:]
                    port = programs[0].until("\n").split(":")[1] if column else "0"
                    programs[column] = self.start(*command, "--port", port)
                    programs[column].until("Listening on " if not column else "Connected to ")
                    continue
                if line:
                    columns[column].append(line)
                if line.startswith(PROMPT):
                    programs[column].type(line[len(PROMPT) :])
        for column, program in programs.items():
            self.assert_ends(program, 0)
            shown = re.sub(rf"127\.0\.0\.1:{port}$", "127.0.0.1:3720", program.shown, flags=re.M)
            shown = re.sub(r"(?<=Connected by 127\.0\.0\.1:)\d+", "50412", shown)
            self.assertEqual(shown.splitlines(), columns[column])

    def test_the_commands_are_those_that_help_lists(self):
        listed = [line.split("  ")[0] for line in HELP_TEXT.splitlines()[:-1]]
        self.assertEqual(first_column(section("What you can type")), listed)

    def test_the_errors_are_those_that_the_programs_tell(self):
        told = []

        def run(*command):
            program = self.start(*command)
            shown = program.rest()
            self.assertEqual(program.process.wait(), 1)
            (error,) = re.findall(r"error: (.*)", shown)
            error = re.sub(r"localhost port \d+", "HOST port PORT", error)
            # What the system says is the system's.
            error = re.sub(r"(PORT: )[^;]*(; [ci])", r"\1...\2", error)
            told.append(error.replace("the host a..b;", "the host HOST;"))

        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            run("client.py", "--port", str(bound.getsockname()[1]))
        run("client.py", "--host", "a..b")
        server, port = self.start_server()
        run("server.py", "--port", port)
        socket.create_connection(("127.0.0.1", int(port))).close()
        server.until("server.py: error: ")
        told.append(server.until("\n"))
        with socket.create_server(("127.0.0.1", 0)) as listener:
            client = self.start("client.py", "--port", str(listener.getsockname()[1]))
            listener.accept()[0].close()
        client.type("x")
        client.until("client.py: error: ")
        told.append(client.until("\n"))
        with socket.create_connection(("127.0.0.1", int(port))) as peer:
            peer.sendall(frames("x", "y"))
            server.type("z")
            server.until("server.py: error: ")
            told.append(server.until("\n"))
        errors = first_column(section("When it doesn't work"))
        errors = [re.sub(r"(PORT: )[^;]*(; [ci])", r"\1...\2", error) for error in errors]
        self.assertEqual(errors, told)

    def test_the_states_and_the_arrows_between_them_are_those_of_conversation(self):
        drawn = re.findall(r"^ +(\w+) +── (\S+) ─+> (\w+)", README, re.M)

        def state(conversation):
            if conversation.turn and conversation.game_is_on:
                return "invited" if conversation.is_invitation else "game"
            return "chat" if conversation.turn else "end"

        arrows = set()
        for before, text, after, why in steps():
            words = ("/q", "play", "text") if state(before) == "chat" else ("/q", "resign", "move")
            if not why:
                says = text if text in words else words[-1]
                arrows.add((state(before), says, state(after)))
        self.assertEqual(sorted(drawn), sorted(arrows))

    def test_the_frames_are_what_is_sent(self):
        written = re.search(r"^    ([0-9a-f ]{26})  +5 bytes follow: (\w+)$", README, re.M)
        self.assertEqual(bytes.fromhex(written[1]), frames(written[2]))
        for header, text in re.findall(r"─ ((?:[\da-f]{2} ){4})(\S+) ─", README):
            self.assertEqual(bytes.fromhex(header) + text.encode(), frames(text))

    def test_the_whole_client_chats_with_the_server(self):
        code = re.search(r"```python\n(.*?)```", README, re.S)[1]
        self.assertLessEqual(len(code.splitlines()), 25)
        server, port = self.start_server()
        client = self.start("-c", code.replace("3720", port))
        client.write("Grüße\n")
        server.until("Client: Grüße\n")
        server.type("play")
        client.until("> 'play'\n")
        client.write("5 take that\n")
        server.until("Client: 5 take that\n")
        server.type("/q")
        self.assert_ends(client, 0)
        server, port = self.start_server()
        client = self.start("-c", code.replace("3720", port))
        client.write("/q\n")
        self.assert_ends(client, 0)
        self.assert_ends(server, 0)
        self.assertTrue(server.shown.endswith("Waiting for the client...\nThe client quit.\n"))
