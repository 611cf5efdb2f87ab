"""The sdist, the wheel and make install: the same whoever makes them, whole, and with the licence."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from email import message_from_bytes
from pathlib import Path

import pytest

from cross_init.version import VERSION
from tests.support.command import PATH
from tests.support.packages import need
from tests.support.sphinx import VENV
from tests.test_forms import works
from tools import make_man

ROOT = Path(__file__).resolve().parents[1]
LICENCE = (ROOT / "LICENSE").read_bytes()
# What is no part of the repository, though it may be in a checkout.
UNWANTED = (
    *(".git", ".venv", "build", "dist", "*.egg-info", "__pycache__", ".*_cache", ".hypothesis"),
    *(".debhelper", "cross-init-tools", "debhelper-build-stamp", "files", "*.substvars"),
)
LEFT = "src/cross_init/left.py"  # of an earlier build


def copied(folder: Path) -> Path:
    """A copy of the repository."""
    return shutil.copytree(ROOT, folder, symlinks=True, ignore=shutil.ignore_patterns(*UNWANTED))


def files(folder: Path) -> Iterator[str]:
    """All files below it."""
    for place, _, names in os.walk(folder):
        yield from (str(Path(place, name).relative_to(folder)) for name in names)


def made(checkout: Path, umask: int) -> Path:
    """Build both there; returns their folder."""
    subprocess.run(
        ["make", "-C", checkout, "packages", "PYTHON=/usr/bin/python3"],
        env={"PATH": PATH, "LC_ALL": "C.UTF-8"},
        check=True,
        capture_output=True,
        timeout=100,
        umask=umask,
    )
    return checkout / "dist"


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with both."""
    need("make", "python3-setuptools", "python3-wheel")
    return made(copied(tmp_path_factory.mktemp("one") / "checkout"), 0o022)


def test_another_umask_folder_and_earlier_build_make_no_difference(dist: Path, tmp_path: Path) -> None:
    other = copied(tmp_path / "other")
    (other / LEFT).touch()
    made(other, 0o022)
    (other / LEFT).unlink()
    for name in files(other):
        (other / name).chmod((other / name).stat().st_mode & 0o700)
    for path in made(other, 0o077).iterdir():
        assert path.read_bytes() == (dist / path.name).read_bytes(), path.name


def test_the_wheel_says_what_it_is(dist: Path) -> None:
    (path,) = dist.glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        names = wheel.namelist()
        (metadata,) = (name for name in names if name.endswith("/METADATA"))
        (licence,) = (name for name in names if name.endswith("/LICENSE"))
        said = message_from_bytes(wheel.read(metadata))
        assert wheel.read(licence) == LICENCE
    assert "cross_init/py.typed" in names
    assert (said["Version"], said["License"]) == (VERSION, "MIT")
    (needs,) = said.get_all("Requires-Dist", [])
    assert re.fullmatch(r"jeepney.*; *extra == .dbus.", needs)
    assert said.get_all("Project-URL")


def test_the_sdist_is_the_whole_repository_and_its_demo_and_tests_run(dist: Path, tmp_path: Path) -> None:
    (path,) = dist.glob("*.tar.gz")
    subprocess.run(["tar", "-C", tmp_path, "-xzf", path], check=True, timeout=60)
    (unpacked,) = tmp_path.iterdir()
    assert (unpacked / "LICENSE").read_bytes() == LICENCE
    there = {name for name in files(unpacked) if ".egg-info/" not in name} - {"PKG-INFO"}
    assert there == set(files(copied(tmp_path / "copy")))
    demo = subprocess.run(["make", "-C", unpacked, "demo"], env={"PATH": PATH}, capture_output=True, text=True)
    assert "Both were ready" in demo.stdout, demo
    if (VENV / "ready").exists():  # it takes longer than the rest to make
        (unpacked / "build").mkdir(exist_ok=True)
        (unpacked / "build" / VENV.name).symlink_to(VENV)
    words = [
        sys.executable,
        *("-E", "-X", "utf8", "-m", "pytest", "-q"),
        "tests/test_docs.py",
        "tests/commands/test_cli.py",
    ]
    environ = {name: value for name, value in os.environ.items() if name != "CROSS_INIT_TEST_BRIDGE"}  # of its own
    ran = subprocess.run(words, cwd=unpacked, env=environ, capture_output=True, text=True, timeout=100)
    assert ran.returncode == 0, ran.stdout


def test_make_install_with_blanks_in_its_folder(tmp_path: Path) -> None:
    need("make")
    checkout, into = copied(tmp_path / "checkout"), tmp_path / "in to"
    words = ["install", f"DESTDIR={into}", "PREFIX=/opt/of ours", "PYTHON=/usr/bin/python3"]
    subprocess.run(
        ["make", "-C", checkout, *words], env={"PATH": PATH}, check=True, capture_output=True, timeout=60, umask=0o077
    )
    place = into / "opt/of ours"
    works(place / "bin/cross-init-bridge")
    pages = {path.name for path in place.glob("share/man/man[17]/*")}
    assert pages == set(make_man.pages())
    assert (place / "share/doc/cross-init-tools/LICENSE").read_bytes() == LICENCE
    assert all(path.stat().st_mode & 0o077 in (0o044, 0o055) for path in place.rglob("*") if not path.is_symlink())
    assert {path.name for path in (ROOT / "src/cross_init").rglob("*.py")} == {
        path.name for path in place.rglob("cross_init/**/*.py")
    }


def test_the_version_is_the_same_everywhere() -> None:
    first = re.findall(r"^## (.*), (\d{4}-\d\d-\d\d)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[0]
    assert first == (VERSION, make_man.date())
    assert (ROOT / "debian/changelog").read_text().startswith(f"cross-init-tools ({VERSION}-")
