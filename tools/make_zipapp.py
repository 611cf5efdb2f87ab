"""Make cross-init-bridge one file: a zip archive of the package behind a line that names the interpreter.

Under the name cross-init, by a link or a copy, it is that command.

usage: make_zipapp.py [--interpreter PATH] OUTPUT

Nothing in it is compressed, and it holds the compiled modules beside their sources: the former are used by the minor
version of Python that this runs on, the latter by every other one. The same sources give the same file, byte by byte.
"""

import argparse
import py_compile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MAIN = '''"""Where the interpreter starts in this archive: bin/cross-init-bridge, which says why, without its search."""

import sys

from cross_init.start import main

main(sys.argv)
'''
EPOCH = (1980, 1, 1, 0, 0, 0)


def add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    """Add a file, not compressed and without a time of its own."""
    archive.writestr(zipfile.ZipInfo(name, EPOCH), data, zipfile.ZIP_STORED)


def compiled(source: str, name: str) -> bytes:
    """The module as the interpreter loads it without looking at the source's time."""
    with tempfile.TemporaryDirectory() as folder:
        path, target = Path(folder) / "module.py", Path(folder) / "module.pyc"
        path.write_text(source)
        py_compile.compile(
            str(path), str(target), name, doraise=True, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
        )
        return target.read_bytes()


def main() -> None:
    """Write the archive."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--interpreter", default="/usr/bin/python3")
    parser.add_argument("output", type=Path)
    wish = parser.parse_args()
    wish.output.parent.mkdir(parents=True, exist_ok=True)
    package = ROOT / "src"
    sources = {str(path.relative_to(package)): path.read_text() for path in sorted(package.glob("cross_init/**/*.py"))}
    with wish.output.open("wb") as file:
        file.write(f"#!{wish.interpreter} -ISXutf8\n".encode())
        with zipfile.ZipFile(file, "w") as archive:
            for name, source in {"__main__.py": MAIN, **sources}.items():
                add(archive, name, source.encode())
                add(archive, f"{name}c", compiled(source, name))
    wish.output.chmod(0o755)
    print(f"{wish.output}: {wish.output.stat().st_size / 1024:.0f} KiB, starts with {wish.interpreter}")


if __name__ == "__main__":
    main()
