"""Other users get to the checkout, wherever it is: a test becomes one of them, and runs the bridge.

A folder above it that lets nobody through (a home, what mktemp -d makes) has one in its place that does, with the same
in it: in this run's mount namespace alone, and at the same path.
"""

import os
import stat
from collections.abc import Callable
from pathlib import Path

Mount = Callable[[str, str, str, int, str], None]  # source, target, type, flags, data (mount(2))
_MS_BIND, _MS_REC = 0x1000, 0x4000  # linux/mount.h
PASSABLE = 0o755


def let_through(to: Path, mount: Mount) -> None:
    """To be called in a mount namespace of our own. Raises OSError."""
    for folder in reversed(to.parents):
        if not folder.stat().st_mode & stat.S_IXOTH:
            _replace(folder, mount)


def _replace(folder: Path, mount: Mount) -> None:
    below = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        mount("tmpfs", str(folder), "tmpfs", 0, f"mode={PASSABLE:o}")
        for name in os.listdir(f"/proc/self/fd/{below}"):
            there, here = f"/proc/self/fd/{below}/{name}", folder / name
            if os.path.islink(there):
                here.symlink_to(os.readlink(there))
                continue
            if os.path.isdir(there):
                here.mkdir()
            else:
                here.touch()
            mount(there, str(here), "", _MS_BIND | _MS_REC, "")
    finally:
        os.close(below)
