"""The files of ours below an init's /run: that a service leaves none."""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.matrix.driver import Driver
from tests.support.waiting import until

FOLDERS = ("cross-init", "cross-init-status")


def nothing_left(driver: Driver, before: set[Path]) -> None:
    """Wait until there is no file but those from before: a resident has them taken away by a process of its own.

    Not counted: a socket that somebody still answers at. All of the service's processes have ended, so it is another
    test's, which runs at the same time on the same machine.
    """

    def more() -> set[Path]:
        return {path for path in files(driver) - before if not is_answered(path)}

    until(lambda: not more(), f"no file is left, but {more()}")


def is_answered(path: Path) -> bool:
    """Whether a process has this socket. Asked without a message: who has another kind of socket refuses the kind."""
    if not path.is_socket():
        return False
    with suppress(FileNotFoundError), within(path.parent) as folder:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
            found = probe.connect_ex(f"/proc/self/fd/{folder}/{path.name}")
        return found in (0, errno.EPROTOTYPE)
    return False


@contextmanager
def within(folder: Path) -> Iterator[int]:
    """A descriptor of a folder, whose path may be too long for a socket's."""
    fd = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        yield fd
    finally:
        os.close(fd)


def files(driver: Driver) -> set[Path]:
    """The files of ours that there are."""
    return {path for name in FOLDERS for path in (driver.runtime / name).glob("*")}
