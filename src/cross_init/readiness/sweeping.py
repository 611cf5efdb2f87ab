"""Remove what killed watchers and holders have left in the folder where their sockets stand."""

import _socket
import posix
from time import time

from cross_init.readiness.notify_socket import BEGINNING, BOUND, HOLDER

KINDS = ((BEGINNING, _socket.SOCK_DGRAM), (HOLDER, _socket.SOCK_SEQPACKET))
UNFINISHED_S = 60  # how old a socket is, in seconds, that may yet be about to listen, before it counts as left


def sweep(folder: str) -> None:
    """Remove sockets that nobody has open any more."""
    try:
        names = posix.listdir(folder)
    except OSError:
        return  # not readable for the user that we are; another start sweeps
    for name in names:
        for beginning, kind in KINDS:
            if name.startswith(beginning):
                is_finished = beginning == BEGINNING and name.endswith(BOUND)
                _remove_if_left(f"{folder}/{name}", kind, 0 if is_finished else UNFINISHED_S)


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
    probe = _socket.socket(_socket.AF_UNIX, kind | _socket.SOCK_CLOEXEC)
    try:
        probe.connect(path)
    except ConnectionRefusedError:
        return False
    finally:
        probe.close()
    return True
