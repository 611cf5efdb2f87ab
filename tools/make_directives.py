"""Write docs/directives.md: what becomes of a unit's directives and a job's stanzas, from the table in definitions/.

usage: make_directives.py [--check]

With --check nothing is written, and the exit code is 1 if the file is not what it should be.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src")]

from cross_init.definitions.classes import CANNOT, DONE, INITS, NOT_YET, WEAKER, Rows  # noqa: E402
from cross_init.definitions.directives import everything  # noqa: E402

FILE = ROOT / "docs" / "directives.md"
HEAD = """# Every directive of a systemd unit, every stanza of an Upstart job

Made by `make docs` from the table in `definitions/`, by which `cross-init show` goes as well; a test keeps it equal to
that. The directives are those of systemd 252 to 262.

| class | what becomes of such a directive under an init that is not systemd |
|---|---|
"""
MEANT = {
    DONE: "it is done as systemd does it",
    INITS: "it is for the init to do, in its own words: order, what else runs, when it is started anew, accounting",
    WEAKER: "it is done where the machine, the user or the container allows it; else a line says so",
    CANNOT: "it is refused, with the reason",
    NOT_YET: "it is read, and nobody has built yet what it asks for: refused as well",
}


def lines(rows: Rows) -> list[str]:
    """The directives of one manual page: one row for each class and reason."""
    found: dict[tuple[str, str], list[str]] = {}
    for key, (kind, _, name, reason) in rows.items():
        found.setdefault((name, reason), []).append(f"`{key}{'=' if kind else ''}`")
    order = list(MEANT)
    told = sorted(found.items(), key=lambda each: (order.index(each[0][0]), each[0][1]))
    return [f"| {name} | {', '.join(sorted(keys))} | {reason} |" for (name, reason), keys in told]


def text() -> str:
    """The whole file."""
    parts = everything()
    count = {name: sum(row[2] == name for rows in parts.values() for row in rows.values()) for name in MEANT}
    found = [HEAD + "\n".join(f"| *{name}* ({count[name]}) | {what} |" for name, what in MEANT.items())]
    for title, rows in parts.items():
        found += [f"## {title}", "\n".join(["| class | directives | why |", "|---|---|---|", *lines(rows)])]
    return "\n\n".join(found) + "\n"


def main() -> None:
    """Write it, or check it."""
    if sys.argv[1:] == ["--check"]:
        sys.exit(FILE.read_text() != text())
    FILE.write_text(text())


if __name__ == "__main__":
    main()
