"""Write the groups of system calls that systemd names (@system-service and so on): sandbox/groups.py.

usage: systemd-analyze syscall-filter | make_system_calls.py VERSION [--check]

VERSION: of that systemd. Made of what the newest one says of itself, names alone (systemd.exec(5), SystemCallFilter=);
libseccomp knows their numbers. With --check nothing is written, and the exit code is 1 if the file is not what it
should be.
"""

import sys
from pathlib import Path
from textwrap import wrap

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "src/cross_init/sandbox/groups.py"
HEAD = '''"""The groups of system calls that a unit may name, as systemd {version} has them.

Made by tools/make_system_calls.py. A name that begins with @ is that of a group.
"""

# fmt: off
GROUPS = {{
'''


def groups(said: str) -> dict[str, list[str]]:
    """Each group's names, from what systemd-analyze syscall-filter says."""
    found: dict[str, list[str]] = {}
    names: list[str] = []
    for line in said.splitlines():
        word = line.strip()
        if word.startswith("#") or not word:
            continue
        if line.startswith("@"):
            names = found[word] = []
        else:
            names.append(word)
    return found


def text(version: str, found: dict[str, list[str]]) -> str:
    """The file's text."""
    rows = []
    for name, names in found.items():
        lines = wrap(" ".join(names), 108, break_long_words=False, break_on_hyphens=False)
        first, *rest = [f'"{line} "' for line in lines[:-1]] + [f'"{lines[-1]}"']
        rows.append("\n".join((f'    "{name}": (', *(f"        {each}" for each in (first, *rest)), "    ),")))
    return HEAD.format(version=version) + "\n".join(rows) + "\n}\n"


def main() -> None:
    """Write it, or say that it is another one."""
    words = sys.argv[1:]
    version = words.pop(0) if words and words[0].isdigit() else ""
    if not version or words not in ([], ["--check"]):
        sys.exit("usage: systemd-analyze syscall-filter | make_system_calls.py VERSION [--check]")
    made = text(version, groups(sys.stdin.read()))
    if words and FILE.read_text() != made:
        sys.exit(f"{FILE.relative_to(ROOT)} is not what this systemd says: make it anew")
    if not words:
        FILE.write_text(made)


if __name__ == "__main__":
    main()
