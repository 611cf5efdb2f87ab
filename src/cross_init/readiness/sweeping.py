"""Remove what killed watchers and holders have left in the folder where their sockets stand."""

import _socket
import posix
from time import time

from cross_init.readiness.notify_socket import BEGINNING, BOUND, HOLDER, UNBOUND
from cross_init.sockets.connection import prober

UNFINISHED_S = 60  # how old a socket is, in seconds, that may yet be about to listen, before it counts as left
# How their names begin and end, of which kind they are, and how old they have to be.
KINDS = (
    (BEGINNING, BOUND, _socket.SOCK_DGRAM, 0),
    (BEGINNING, UNBOUND, _socket.SOCK_DGRAM, UNFINISHED_S),
    (HOLDER, "", _socket.SOCK_SEQPACKET, UNFINISHED_S),
)


def sweep(folder: str) -> None:
    """Remove sockets that nobody has open any more."""
    try:
        names = posix.listdir(folder)
    except OSError:
        return  # not readable for the user that we are; another start sweeps
    for name in names:
        for beginning, end, kind, age in KINDS:
            if name.startswith(beginning) and name.endswith(end):
                _remove_if_left(f"{folder}/{name}", kind, age)


def _remove_if_left(path: str, kind: int, age: float) -> None:
    try:
        status = posix.lstat(path)
        is_socket = status.st_mode & 0o170000 == 0o140000  # inode(7)
        if is_socket and time() - status.st_mtime >= age and not _is_open(path, kind):
            posix.unlink(path)
    except OSError:
        pass  # gone meanwhile, or none of ours


def _is_open(path: str, kind: int) -> bool:
    """Whether some process has this socket. Raises OSError."""
    probe = prober(kind)
    try:
        probe.connect(path)
    except ConnectionRefusedError:
        return False
    except BlockingIOError:
        pass  # so many wait there that it takes in nobody now, as one that was stopped
    finally:
        probe.close()
    return True
