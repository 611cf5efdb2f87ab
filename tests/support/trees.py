"""Root file systems to boot an init in, beside the machine's own: made once and kept, and never written to afterwards.

CROSS_INIT_TEST_SID names the folder of the tree "sid", if it is to be another than the one below FOLDER.

usage: python -m tests.support.trees

So all are made that are not there yet, several at once, before a test's time limit counts; and the packages are
installed that tests need on the machine itself, Sphinx, and the units of other packages.
"""

import fcntl
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.alone import ALONE, want_machines
from tests.support.beginning import begin
from tests.support.corpus import units
from tests.support.packages import have_all, need
from tests.support.programs import USUAL, close_path, open_path
from tests.support.sphinx import interpreter

FOLDER = Path("/var/cache/cross-init-tests")
ALWAYS = ("python3", "redis-server", "procps")
# The tree: the Debian suite, and its packages beside ALWAYS.
TREES: dict[str, tuple[str, tuple[str, ...]]] = {
    "sid": ("sid", ("systemd", "systemd-sysv", "dbus", "iproute2")),
    "bookworm-sysvinit": ("bookworm", ("sysvinit-core", "sysv-rc")),
    "bookworm-openrc": ("bookworm", ("openrc",)),
    "trixie": ("trixie", ("openrc", "finit", "shepherd")),
    "sid-inits": ("sid", ("openrc", "finit", "shepherd")),
    "sid-daemons": ("sid", ("openrc", "finit", "haproxy", "unbound", "php-fpm")),
    "bookworm-build": (
        "bookworm",
        (
            *("build-essential", "debhelper", "dh-python", "lintian", "man-db", "python3-setuptools", "python3-wheel"),
            "perl-openssl-defaults",  # what lintian's dependencies mean, whom debootstrap cannot find
            *("s6", "runit"),
        ),
    ),
}
# Without ALWAYS.
BARE = {"bookworm-python3-minimal": ("bookworm", ("python3-minimal", "procps"))}
LONGEST_S = 600
# In whose releases Python is another one than here. A container has the project read-only, so each start of ours there
# would compile all that it imports, which takes three times as long as the start.
COMPILED_IN = ("sid", "trixie")
COMPILE = 'mount --bind "$1" "$2/mnt"; exec chroot "$2" python3 -m compileall -q /mnt/src'
ROOT = Path(__file__).resolve().parents[2]
SPHINX = "Sphinx"  # no tree, but as slow to get
_failed: dict[Path, str] = {}


def folder_of(name: str) -> Path:
    """Where the tree of this name is, or is to be made."""
    elsewhere = os.environ.get("CROSS_INIT_TEST_SID") if name == "sid" else None
    return Path(elsewhere) if elsewhere else FOLDER / name


def tree(name: str) -> Path:
    """One of TREES or BARE, made by debootstrap if it is not there yet; skips the test if that fails, or has failed."""
    if os.geteuid() != 0:
        pytest.skip(f"needs root, for a tree of its own ({name})")
    want_machines()
    suite, packages = BARE.get(name) or TREES[name]
    return made(folder_of(name), suite, packages if name in BARE else ALWAYS + packages)


def made(folder: Path, suite: str, packages: tuple[str, ...]) -> Path:
    """A tree of this Debian with these packages, in this folder; skips the test if it cannot be made."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f".{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists() and folder not in _failed:
            need("debootstrap")
            _failed[folder] = _bootstrap(folder, suite, packages)
    if not folder.exists():
        pytest.skip(f"needs a tree of Debian {suite}: debootstrap failed: {_failed[folder]}")
    return folder


def _bootstrap(folder: Path, suite: str, packages: tuple[str, ...]) -> str:
    """Beside its place, and moved there when it is whole; returns why not, or nothing."""
    unfinished = folder.parent / f".{folder.name}.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        made = subprocess.run(
            [*ALONE, "debootstrap", "--variant=minbase", f"--include={','.join(packages)}", suite, unfinished],
            env={**os.environ, "PATH": USUAL},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
        )
        if made.returncode:
            return (made.stdout.strip().splitlines() or made.stderr.strip().splitlines() or ["no reason given"])[-1]
        unfinished.rename(folder)
    except subprocess.TimeoutExpired:
        return f"it took longer than {LONGEST_S} s"
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return ""


def sid_folder() -> Path:
    """Where the tree of Debian sid is, or is to be made."""
    return folder_of("sid")


def sid() -> Path:
    """The tree of Debian sid."""
    return tree("sid")


def compile_in(folder: Path) -> None:
    """Have the project's modules compiled by the Python of this tree, if it is there; the tree stays as it is."""
    if folder.exists():
        words = [*ALONE, "sh", "-ec", COMPILE, "sh", str(ROOT), str(folder)]
        subprocess.run(words, env={"PATH": USUAL}, stdin=subprocess.DEVNULL, check=False, timeout=LONGEST_S)


def main() -> None:
    """Make them all; what fails is said, and said again by the tests that are skipped for it."""
    if os.geteuid() != 0:
        return

    def make(name: str) -> str:
        try:
            interpreter() if name == SPHINX else tree(name)
        except pytest.skip.Exception as skipped:
            return f"{name}: {skipped}\n"
        return ""

    begin()
    open_path()
    try:
        print(have_all(), end="")
        want_machines()
        need("debootstrap")
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            print(*pool.map(make, (SPHINX, *TREES, *BARE)), sep="", end="")
            for name in COMPILED_IN:
                pool.submit(compile_in, folder_of(name))
        units()
    except pytest.skip.Exception as skipped:
        print(skipped)
    finally:
        close_path()


if __name__ == "__main__":
    main()
