"""What the README says, held against the real programs."""

import re

from protocol import HELP_TEXT
from tests.programs import PROMPT, ROOT, ProgramTest
from tests.states import steps
from tests.wire import frames
from tictactoe import Game

README = (ROOT / "README.md").read_text(encoding="utf-8")


def section(heading):
    """Return what stands under a heading."""
    return re.search(rf"^#+ {heading}\n(.*?)(?=^#|\Z)", README, re.M | re.S)[1]


class ReadmeTest(ProgramTest):
    def test_the_picture_is_what_both_terminals_show_from_top_to_bottom(self):
        picture = re.search(r"```\n(\$ python3 server\.py .*?)\n```", README, re.S)[1]
        rows = [row.split("│") for row in picture.splitlines()]
        programs, columns = {}, {0: [], 1: []}
        for row in rows:
            for column, cell in enumerate(row):
                line = cell[column:].rstrip()
                if line.startswith("$ "):
                    command = line.split()[2:]
                    port = programs[0].until("\n").split(":")[1] if column else "0"
                    programs[column] = self.start(*command, "--port", port)
                    programs[column].until("Connecting to " if column else "Listening on ")
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

    def test_the_commands_are_those_that_help_lists_and_do_what_it_says(self):
        table = re.findall(r"^\| `(.*?)` \| (.*) \|$", section("What you can type"), re.M)
        listed = [line.split("  ", 1) for line in HELP_TEXT.splitlines()[:-1]]
        self.assertEqual(len(table), len(listed))
        for (command, does), (told, told_does) in zip(table, listed):
            self.assertEqual((command, does[: len(told_does.strip())]), (told, told_does.strip()))

    def test_the_errors_are_told_in_the_words_of_the_programs(self):
        modules = ("protocol.py", "client.py", "server.py")
        code = "".join((ROOT / module).read_text(encoding="utf-8") for module in modules)
        errors = re.findall(r"^\| `(.*?)` \|", section("When it doesn't work"), re.M)
        self.assertEqual(len(errors), 7)
        for error in errors:  # Without what the system says, and without names.
            for words in re.split(r": [A-Z].*?(?=;|$)|HOST|PORT|client|server|[:;] ", error):
                self.assertIn(words, code)

    def test_the_states_and_the_arrows_between_them_are_those_of_the_chat(self):
        drawn = re.findall(r"^ +(\w+) +── (\S+) ─+> (\w+)", README, re.M)

        def name(state):
            if state.turn and state.game_is_on:
                return "invited" if state.game == Game() else "game"
            return "chat" if state.turn else "end"

        arrows = set()
        for before, text, after, why in steps():
            words = ("/q", "play", "text") if name(before) == "chat" else ("/q", "resign", "move")
            if not why:
                says = text if text in words else words[-1]
                arrows.add(("any" if says == "/q" else name(before), says, name(after)))
        self.assertEqual(sorted(drawn), sorted(arrows))

    def test_the_frame_is_what_is_sent(self):
        written = re.search(r"^    ([0-9a-f ]{26})  +5 bytes follow: (\w+)$", README, re.M)
        self.assertEqual(bytes.fromhex(written[1]), frames(written[2]))
