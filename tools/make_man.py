"""Make the manual pages: the texts of man/*.md, with what the code has of options, commands and inits, as roff.

usage: make_man.py FOLDER

The same sources give the same pages. {{...}} in a text is one of PLACES.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from cross_init.commands.described import GROUPS, Option  # noqa: E402
from cross_init.commands.described_commands import BRIDGE, COMMANDS, Command  # noqa: E402
from cross_init.commands.help import CODES, FRONT_DOORS_OWN, filled, own_options  # noqa: E402
from cross_init.version import VERSION  # noqa: E402
from tools.make_options import blocks_of, names  # noqa: E402
from tools.make_table import inits, jobs, targets  # noqa: E402
from tools.roff import page  # noqa: E402


def options(found: tuple[Option, ...]) -> str:
    """Each as a term."""
    return "\n\n".join(f"{names(option)}\n{meaning(option)}" for option in found)


def meaning(option: Option) -> str:
    """What is said of an option, indented below it."""
    inside = "\n\n".join(filled(each) for each in (option.text, *blocks_of(option)))
    return f":   {indented(inside)[4:]}"


def indented(text: str) -> str:
    """Four blanks before each line."""
    return re.sub(r"^(?=.)", "    ", text, flags=re.MULTILINE)


def table(rows: list[tuple[str, str, str]]) -> str:
    """An example of columns."""
    widths = [max(len(row[at]) for row in rows) + 2 for at in range(2)]
    return "\n".join(f"    {row[0]:<{widths[0]}}{row[1]:<{widths[1]}}{row[2]}" for row in rows)


def command_line(command: Command) -> str:
    """A command, as a term."""
    name = f"`{command.name}`" if command is BRIDGE else f"`cross-init {command.name}`"
    manual = command.name if command is BRIDGE else f"cross-init-{command.name}"
    return f"{name} *{command.arguments}*\n:   {command.brief[0].upper()}{command.brief[1:]}. See {manual}(1)."


def places() -> dict[str, str]:
    """What is put where {{...}} stands."""
    return {
        "options": "\n\n".join(f"### {group.title}\n\n{options(group.options)}" for group in GROUPS),
        "commands": "\n\n".join(command_line(command) for command in (*COMMANDS, BRIDGE)),
        "own options": options(FRONT_DOORS_OWN),
        "codes": CODES,
        "inits": table([("INIT", "TOLD BY", "SOCKETS BY"), *inits()]),
        "targets": table([("TARGET", "SAYS IT BY", "SOCKETS BY"), *targets()]),
        "jobs": "\n\n".join(f"{name}\n:   {job}" for name, job in jobs()),
        **{f"options of {command.name}": options(own_options(command)) for command in COMMANDS},
        **{f"text of {command.name}": command.text for command in COMMANDS},
        **{f"arguments of {command.name}": command.arguments for command in COMMANDS},
    }


def date() -> str:
    """When this version was released: behind it in CHANGELOG.md. Raises ValueError."""
    changes = (ROOT / "CHANGELOG.md").read_text()
    found = re.search(rf"^## {re.escape(VERSION)}, (\d{{4}}-\d\d-\d\d)$", changes, re.MULTILINE)
    if not found:
        raise ValueError(f"CHANGELOG.md has no heading ## {VERSION}, YEAR-MONTH-DAY")
    return found[1]


def pages() -> dict[str, str]:
    """Each page's file name, and its text."""
    known = places()
    made = {}
    for path in sorted((ROOT / "man").glob("*.md")):
        text = re.sub(r"\{\{(.*?)\}\}", lambda found: known[found[1]], path.read_text())
        made[path.stem] = page(text, date(), f"cross-init-tools {VERSION}")
    return made


def main() -> None:
    """Write them."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    main()
