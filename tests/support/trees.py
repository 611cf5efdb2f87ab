"""Root file systems to boot an init in, beside the machine's own: made once and kept, and never written to afterwards.

CROSS_INIT_TEST_SID names the folder of the Debian sid tree, if it is to be another than SID.
"""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.packages import need

SID = Path("/var/cache/cross-init-tests/sid")
INSIDE = ("systemd", "systemd-sysv", "dbus", "python3-minimal", "redis-server", "iproute2", "procps")
LONGEST_S = 600


def sid_folder() -> Path:
    """Where the tree of Debian sid is, or is to be made."""
    return Path(os.environ.get("CROSS_INIT_TEST_SID") or SID)


def sid() -> Path:
    """A tree of Debian sid, made by debootstrap if it is not there yet; skips the test if that fails."""
    folder = sid_folder()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f".{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            need("debootstrap")
            _bootstrap(folder)
    return folder


def _bootstrap(folder: Path) -> None:
    """Beside its place, and moved there when it is whole."""
    unfinished = folder.parent / f".{folder.name}.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        made = subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={','.join(INSIDE)}", "sid", str(unfinished)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
        )
        if made.returncode:
            last = (made.stdout.strip().splitlines() or ["no reason given"])[-1]
            pytest.skip(f"needs a tree of Debian sid: debootstrap failed: {last}")
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
