"""How a resident begins: the only one of its folder, with a deposit that is forked before all else is imported.

So that one has no copy of what it does not need, as most of the resident's memory is its modules.
"""

import posix
from fcntl import LOCK_EX, LOCK_NB, flock
from time import monotonic, sleep

from cross_init.errors import Failure
from cross_init.resident.keeping import connect
from cross_init.resident.means import limit_files
from cross_init.resident.places import KEPT, make_folder
from cross_init.watch.detach import set_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket

NAME = b"cross-init-all"  # as ps(1) shows it
LOCKED_S, LOOK_S = 2.0, 0.02  # for what one has begun that was killed: it has its lock as well


class Begun:
    """What it has then. files: how many open files it was started with; lock, deposit: a descriptor, the connection."""

    def __init__(self, files: int, folder: bytes, lock: int, deposit: "socket") -> None:
        self.files = files
        self.folder = folder
        self.lock = lock
        self.deposit = deposit


def begin() -> Begun:
    """Raises Failure, OSError."""
    set_name(NAME)
    files = limit_files()
    folder = make_folder()
    only = lock(folder)
    return Begun(files, folder, only, connect(folder + KEPT))


def lock(folder: bytes) -> int:
    """Be the only resident of this folder. Raises Failure, OSError."""
    fd = posix.open(folder, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
    until = monotonic() + LOCKED_S
    while True:
        try:
            flock(fd, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            if monotonic() < until:
                sleep(LOOK_S)
                continue
            posix.close(fd)
            shown = folder.decode("utf-8", "replace")
            raise Failure(f"serve: another cross-init serve of this user's runs already ({shown})") from None
        return fd
