"""Write docs/options.md: every option and command, from commands/described*.py, as the help and the man pages are made.

usage: make_options.py [--check]

With --check nothing is written, and the exit code is 1 if the file is not what it should be.
"""

import sys
from pathlib import Path
from textwrap import fill

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src")]

from cross_init.commands.described import GROUPS, Option  # noqa: E402
from cross_init.commands.described_commands import COMMANDS  # noqa: E402
from cross_init.commands.help import CODES, JOB, filled, own_options  # noqa: E402

FILE = ROOT / "docs" / "options.md"
HEAD = """# Every option

Made by `make docs` from `commands/described.py`, as `--help`, the man pages and the completions are; a test keeps it
equal to that.

    cross-init-bridge -t TARGET [OPTION...] -- COMMAND [ARG...]
"""


def names(option: Option) -> str:
    """How it is written, in Markdown."""
    value = option.argument if option.argument.startswith("[=") else f" {option.argument}".rstrip()
    parted = f" *{value[1:]}*" if value.startswith(" ") else f"*{value}*" if value else ""
    return f"{f'`{option.short}`, ' if option.short else ''}`{option.name}`{parted}"


def blocks_of(option: Option) -> list[str]:
    """The paragraphs of what is said more of it; a list's terms with what they mean."""
    found: list[str] = []
    for block in option.more:
        found += [block] if isinstance(block, str) else [f"{term}\n:   {what}" for term, what in block]
    return found


def section(option: Option) -> list[str]:
    """An option's lines."""
    lines = [f"### {names(option)}", "", wrapped(option.text)]
    for block in option.more:
        lines.append("")
        lines += [wrapped(block)] if isinstance(block, str) else [wrapped(what, f"- {term}: ") for term, what in block]
    return [*lines, ""]


def wrapped(text: str, before: str = "") -> str:
    """A paragraph, or what stands behind the beginning of an entry of a list."""
    indent = "  " if before else ""
    return fill(
        f"{before}{filled(text)}", 120, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False
    )


def text() -> str:
    """The whole file."""
    lines = [HEAD]
    for group in GROUPS:
        lines += [f"## {group.title}", "", *(line for option in group.options for line in section(option))]
    lines += ["## The init's job, and exit codes", "", wrapped(JOB), "", wrapped(CODES), ""]
    for command in COMMANDS:
        lines += [f"## `cross-init {command.name}` *{command.arguments}*", "", wrapped(command.text), ""]
        lines += [line for option in own_options(command) for line in section(option)]
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    """Write it, or check it."""
    if sys.argv[1:] == ["--check"]:
        sys.exit(FILE.read_text() != text())
    FILE.write_text(text())


if __name__ == "__main__":
    main()
