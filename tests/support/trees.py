"""Root file systems to boot an init in, beside the machine's own: made once and kept, and never written to afterwards.

CROSS_INIT_TEST_SID names the folder of the tree "sid", if it is to be another than the one below FOLDER.
"""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.packages import need

FOLDER = Path("/var/cache/cross-init-tests")
ALWAYS = ("python3", "redis-server", "procps")
# The tree: the Debian suite, and its packages beside ALWAYS.
TREES: dict[str, tuple[str, tuple[str, ...]]] = {
    "sid": ("sid", ("systemd", "systemd-sysv", "dbus", "iproute2")),
    "bookworm-sysvinit": ("bookworm", ("sysvinit-core", "sysv-rc")),
    "bookworm-openrc": ("bookworm", ("openrc",)),
    "trixie": ("trixie", ("openrc", "finit", "shepherd")),
    "sid-inits": ("sid", ("openrc", "finit", "shepherd")),
}
LONGEST_S = 600


def folder_of(name: str) -> Path:
    """Where the tree of this name is, or is to be made."""
    elsewhere = os.environ.get("CROSS_INIT_TEST_SID") if name == "sid" else None
    return Path(elsewhere) if elsewhere else FOLDER / name


def tree(name: str) -> Path:
    """One of TREES, made by debootstrap if it is not there yet; skips the test if that fails."""
    if os.geteuid() != 0:
        pytest.skip(f"needs root, for a tree of its own ({name})")
    folder = folder_of(name)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f".{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            need("debootstrap")
            _bootstrap(folder, *TREES[name])
    return folder


def _bootstrap(folder: Path, suite: str, packages: tuple[str, ...]) -> None:
    """Beside its place, and moved there when it is whole."""
    unfinished = folder.parent / f".{folder.name}.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        made = subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={','.join(ALWAYS + packages)}", suite, str(unfinished)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
        )
        if made.returncode:
            last = (made.stdout.strip().splitlines() or ["no reason given"])[-1]
            pytest.skip(f"needs a tree of Debian {suite}: debootstrap failed: {last}")
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def sid_folder() -> Path:
    """Where the tree of Debian sid is, or is to be made."""
    return folder_of("sid")


def sid() -> Path:
    """The tree of Debian sid."""
    return tree("sid")
