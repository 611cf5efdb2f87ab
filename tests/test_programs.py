"""What the tests start is declared, and nothing else can be found."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import programs
from tests.support.packages import libraries, need, unpacked
from tests.support.trees import ALWAYS, TREES

ROOT = Path(__file__).resolve().parents[1]
TEXTS = sorted(path for path in ROOT.glob("tests/**/*.py") if path.name not in ("programs.py", "test_programs.py"))
# No program, but a name that nothing has, or that another system has.
NAMES_ONLY = {"webd", "policy-rc.d", "cross-init", "cross-init-bridge", "apparmor_parser", "a", "b", "x"}


def test_every_absolute_path_of_a_program_is_declared() -> None:
    known = {*programs.minimal(), *programs.PROGRAMS, *NAMES_ONLY}
    for path in TEXTS:
        for place in re.findall(r"(?<![\w.}])/(?:usr/)?s?bin/([\w.+-]+)", path.read_text()):
            assert place in known, f"{path.relative_to(ROOT)} starts {place}: programs.py has to say of which package"


def test_there_is_no_other_path() -> None:
    for path in TEXTS:
        assert not re.search(r"bin:(/usr)?/s?bin", path.read_text()), f"{path.relative_to(ROOT)} has a PATH of its own"


def test_the_path_has_what_a_minimal_debian_has_and_no_more() -> None:
    assert os.environ["PATH"] == programs.PATH
    there = {entry.name for entry in Path(programs.PATH).iterdir()}
    assert {"sh", "cat", "mount", "unshare", "awk", "ps", "python3"} <= there
    undeclared = there - programs.minimal().keys() - programs.PROGRAMS.keys()
    assert not undeclared
    assert shutil.which("pip3") is None


def test_what_nobody_has_declared_cannot_be_needed() -> None:
    with pytest.raises(AssertionError, match="does not declare"):
        need("cowsay")
    with pytest.raises(AssertionError, match="does not declare"):
        unpacked("cowsay")


def test_a_declared_program_is_of_its_package() -> None:
    """Those that are installed: each where its package has it, or an alternative of that."""
    for name, package in programs.PROGRAMS.items():
        if package in programs.INSTALLED and (Path(programs.PATH) / name).is_symlink():
            path = Path(os.readlink(Path(programs.PATH) / name))
            listed = subprocess.run(["dpkg-query", "--listfiles", package], capture_output=True, text=True).stdout
            found = {Path(line).name for line in listed.splitlines()}
            assert name in found or path.resolve().name in found, f"{package} has no {name}"


def test_what_trees_have_is_declared() -> None:
    packages = {package for _, more in TREES.values() for package in (*ALWAYS, *more)}
    for program, package in programs.PROGRAMS.items():
        assert package in {*programs.INSTALLED, *programs.UNPACKED, *packages}, f"nobody installs {package} ({program})"


def test_the_libraries_of_a_package() -> None:
    control = "Package: x\nPre-Depends: init-system-helpers (>= 1.54~)\nDepends: libc6 (>= 2.34), tcpd, libwrap0 | y\n"
    assert libraries(control) == ["libc6", "libwrap0"]


def test_what_is_run_as_a_program_finds_the_package() -> None:
    """As make runs it, where nothing says by a variable where that is."""
    names = {*re.findall(r"((?:tests|benchmarks)\.[\w.]+)", (ROOT / "Makefile").read_text())}
    names |= {"tests.soak", "tests.resident_kills"}
    assert {"tests.faults", "tests.survey", "benchmarks.messages"} <= names
    for name in names:
        package = ROOT / name.replace(".", "/")
        main = f"{name}.__main__" if package.is_dir() else name
        words = [sys.executable, "-E", "-X", "utf8", "-c", f"import {main}"]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{name}: {done.stderr}"
