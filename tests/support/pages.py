"""The documents' blocks, as a reader takes them: files with the paths that stand before them, and commands to type.

A fence is a file if the paragraph before it begins with `/its/path` and ends with a colon. In a fence that says
console, a line that begins with "# " or "$ " is a command; below it stands what it prints, ... for anything.
"""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from shlex import quote
from textwrap import dedent

from tests.support.waiting import until

FENCE = re.compile(r"^(?P<indent> *)```(?P<kind>\w*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
PATH_BEFORE = re.compile(r"`(/[^`]+)`.*:", re.DOTALL)
LONGEST_S = 20


class Block:
    """path: of a file, "" if it is none. commands: each with what it prints, "" if the page does not show it."""

    def __init__(self, before: str, kind: str, text: str) -> None:
        found = PATH_BEFORE.fullmatch(before)
        self.path = found[1] if found and kind != "console" else ""
        self.kind = kind
        self.text = text
        self.commands = commands(text) if kind == "console" else []


def blocks(page: Path) -> list[Block]:
    """All of this page's, in its order."""
    text = page.read_text()
    return [
        Block(text[: found.start()].rstrip("\n").rpartition("\n\n")[2], found["kind"], dedent(found["text"]))
        for found in FENCE.finditer(text)
    ]


def commands(text: str) -> list[tuple[str, str]]:
    """Each command, and what is shown below it."""
    found: list[tuple[str, str]] = []
    for line in text.replace("\\\n", "").splitlines():
        if line.startswith(("# ", "$ ")):
            found.append((line[2:], ""))
        else:
            command, shown = found[-1]
            found[-1] = (command, f"{shown}{line}\n")
    return found


def is_like(said: str, shown: str) -> bool:
    """Whether this was said, as far as it is shown; however much space stands where there is some."""
    parts = [r"\s+".join(map(re.escape, part.split())) for part in shown.split("...")]
    return re.fullmatch(r"\s*" + r".*".join(f"\\s*{part}\\s*" for part in parts) + r"\s*", said, re.DOTALL) is not None


Run = Callable[[str], "subprocess.CompletedProcess[str]"]


def write(block: Block, run: Run) -> None:
    """Write this file, by a command: its path may lead over links, which lead elsewhere as seen from here."""
    path, folder, text = map(quote, (block.path, block.path.rpartition("/")[0], block.text))
    written = run(f"mkdir -p {folder} && printf %s {text} >{path}")
    assert written.returncode == 0, f"{block.path}: {written.stderr}"


def play(page: Path, run: Run) -> None:
    """Do what this page says: write its files, and type its commands. run: types one where all this is to happen.


    A command that asks is asked again until it is as shown: what was begun takes its time.
    """
    for block in blocks(page):
        if block.path:
            write(block, run)
        for command, shown in block.commands:
            last = run(command)
            if shown:
                said = [last.stdout + last.stderr]

                def as_shown(command: str = command, shown: str = shown, said: list[str] = said) -> bool:
                    if is_like(said[-1], shown):
                        return True
                    ran = run(command)
                    said.append(ran.stdout + ran.stderr)
                    return False

                try:
                    until(as_shown, f"{command} says what is shown", LONGEST_S)
                except AssertionError:
                    raise AssertionError(f"{command} says\n{said[-1]}\nand the page shows\n{shown}") from None
            else:
                assert last.returncode == 0, f"{command}: {last.returncode}\n{last.stdout}{last.stderr}"
