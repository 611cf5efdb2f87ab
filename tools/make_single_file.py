"""Make cross-init-bridge one file: a head for the shell that finds an interpreter, and the modules behind it.

Under the name cross-init, by a link or a copy, it is that command.

usage: make_single_file.py [--python PATH]... OUTPUT

Python reads the file itself, past the head: to have it parsed as a script, or as a zip archive, takes as long again as
the whole start. Behind the head stands an index, from an interpreter's magic number (PEP 3147) to its record; there is
a record of compiled code for each version of Python that is here when the file is made, and one of sources for every
other. A record is what in_single_file.py says. The same sources give the same file, byte by byte, with the same
interpreters.
"""

import argparse
import ast
import marshal
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # which -I leaves out

from tools.shell_head import FOLDERS, OPTIONS, VERSIONS, commented, finder

ROOT = Path(__file__).resolve().parent.parent
INDEX_AT, INDEX_SIZE = 4096, 512  # bytes
FORMAT = 2  # of marshal, which every Python 3 reads
# What Python is told on its command line. The file's name is its first word.
READ = (
    f"import sys;from marshal import loads;from _frozen_importlib_external import MAGIC_NUMBER as v;file=open("
    f'sys.argv[1],"rb",0);file.seek({INDEX_AT});t=loads(file.read({INDEX_SIZE}));a,n=t.get(v)or t[b""];file.seek(a);'
    f"record=loads(file.read(n));exec(record[0])"
)
# Run by each interpreter: its magic number, its record, and the modules behind that, in its own form of marshal.
COMPILE = """
import marshal, sys
from _frozen_importlib_external import MAGIC_NUMBER
begin, always, sources = marshal.loads(sys.stdin.buffer.read())
made = {name: compile(text, name + ".py", "exec", 0, True) for name, text in sources}
places, behind = {}, []
for name, code in made.items():
    if name not in always:
        data = marshal.dumps(code)
        places[name] = (sum(map(len, behind)), len(data))
        behind.append(data)
begin = compile(begin, "in_single_file.py", "exec", 0, True)
record = marshal.dumps((begin, {name: made[name] for name in always}, places))
sys.stdout.buffer.write(marshal.dumps((MAGIC_NUMBER, record, b"".join(behind)), 2))
"""


def sources() -> dict[str, str]:
    """The modules, by their paths in the package's folder without the ending."""
    paths = sorted((ROOT / "src").glob("cross_init/**/*.py"))
    return {
        str(path.relative_to(ROOT / "src").with_suffix("")): path.read_text()
        for path in paths
        if path.name != "__init__.py"  # nothing but a docstring
    }


def interpreters(wished: list[str]) -> dict[int, str]:
    """By minor version: those that were wished for, the system's own, those on PATH, and the one that runs this."""
    found: dict[int, str] = {}
    named = [f"{folder}/python3.{minor}" for folder in FOLDERS for minor in VERSIONS]
    for path in (
        *wished,
        *named,
        *filter(None, (shutil.which(f"python3.{each}") for each in VERSIONS)),
        sys.executable,
    ):
        ask = [path, "-ISc", "import sys; print(sys.version_info[1])"]
        try:
            said = subprocess.run(ask, capture_output=True, text=True, timeout=60)
        except OSError as error:
            if path in wished:
                sys.exit(f"make_single_file: {path}: {error.strerror}")
            continue
        if said.returncode == 0 and int(said.stdout) in VERSIONS:
            found.setdefault(int(said.stdout), path)
    return found


def always() -> list[str]:
    """What every start needs, as start.py has it."""
    tree = ast.parse((ROOT / "src/cross_init/start.py").read_text())
    (value,) = [
        node.value for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "ALWAYS"
    ]
    names = eval(ast.unparse(value), {})
    return ["cross_init/start", *(f"cross_init/{name.replace('.', '/')}" for name in names)]


def compiled(interpreter: str, begin: str, texts: dict[str, str]) -> tuple[bytes, bytes, bytes]:
    """The interpreter's magic number, its record, and what stands behind that."""
    words = [interpreter, OPTIONS, "-c", COMPILE]
    given = marshal.dumps((begin, always(), list(texts.items())), FORMAT)
    made = subprocess.run(words, input=given, stdout=subprocess.PIPE, check=True, timeout=120)
    magic, record, behind = marshal.loads(made.stdout)
    return magic, record, behind


def uncompiled(begin: str, texts: dict[str, str]) -> tuple[bytes, bytes, bytes]:
    """The same for an interpreter that compiles at each start."""
    places: dict[str, tuple[int, int]] = {}
    behind: list[bytes] = []
    for name, text in texts.items():
        data = marshal.dumps(text, FORMAT)
        places[name] = (sum(map(len, behind)), len(data))
        behind.append(data)
    return b"", marshal.dumps((begin, {}, places), FORMAT), b"".join(behind)


HEAD = """#!/bin/sh
# cross-init-bridge and cross-init, of cross-init-tools: this head, which finds an interpreter; behind it the modules.
#
{licence}
{finder}"""


def head() -> bytes:
    """What the shell reads, as long as it has to be."""
    words = f"-c '{READ}' \"$0\""
    text = HEAD.format(licence=commented((ROOT / "LICENSE").read_text()), finder=finder(words)).encode()
    assert len(text) < INDEX_AT
    return text + b"\n" * (INDEX_AT - len(text))


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--python", action="append", default=[], help="one more interpreter to compile for")
    parser.add_argument("output", type=Path)
    wish = parser.parse_args()
    begin, texts = (ROOT / "tools/in_single_file.py").read_text(), sources()
    found = interpreters(wish.python)
    records = [*(compiled(found[minor], begin, texts) for minor in sorted(found)), uncompiled(begin, texts)]
    index: dict[bytes, tuple[int, int]] = {}
    at = INDEX_AT + INDEX_SIZE
    for magic, record, behind in records:
        index[magic] = (at, len(record))
        at += len(record) + len(behind)
    listed = marshal.dumps(index, FORMAT)
    assert len(listed) <= INDEX_SIZE
    wish.output.parent.mkdir(parents=True, exist_ok=True)
    unfinished = wish.output.with_name(f".{wish.output.name}.new")  # one that runs keeps what it has
    unfinished.write_bytes(head() + listed.ljust(INDEX_SIZE, b"\0") + b"".join(r + b for _, r, b in records))
    unfinished.chmod(0o755)
    unfinished.replace(wish.output)
    versions = ", ".join(f"3.{minor}" for minor in sorted(found))
    print(f"{wish.output}: {wish.output.stat().st_size / 1024:.0f} KiB, compiled for Python {versions}")


if __name__ == "__main__":
    main()
