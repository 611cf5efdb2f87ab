"""Standard input, output and error, where an init has put a service's socket on them.

A daemon that gets the socket in another place has these for what they are meant for. Above all, nobody's client may
read what is written to standard error, by us or by the daemon.
"""

import _socket
import posix
from fcntl import F_DUPFD_CLOEXEC, fcntl

from cross_init.kernel.linux import is_socket, open_null
from cross_init.sockets.passed import Passed

FIRST = 3  # of the descriptors that have no meaning of their own
LOG = "/dev/log"


def free_errors() -> None:
    """Where standard error is the same socket as standard input, make it the system's log. Raises OSError."""
    if is_socket(0) and same_file(0, 2):
        log = open_log()
        posix.dup2(log, 2)
        posix.close(log)


def free(sockets: list[Passed]) -> None:
    """Move those on standard descriptors away, and give these their meaning back. Raises OSError.

    Input is then empty, and output goes where errors go.
    """
    for passed in sockets:
        if passed.fd < FIRST:
            moved: int = fcntl(passed.fd, F_DUPFD_CLOEXEC, FIRST)
            null = open_null()
            for fd in (0, 1):
                if same_file(fd, moved):
                    posix.dup2(2 if fd == 1 else null, fd)
            posix.close(null)
            passed.fd = moved


def same_file(one: int, other: int) -> bool:
    """Whether both descriptors are of one file."""
    first, second = posix.fstat(one), posix.fstat(other)
    return (first.st_dev, first.st_ino) == (second.st_dev, second.st_ino)


def open_log() -> int:
    """Where each write is an entry of the system's log, by its text alone; /dev/null if there is none. Raises OSError.

    Syslog takes a message without a head, and what stands before the first colon in it for the program's name.
    """
    log = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    try:
        log.connect(LOG)
    except OSError:
        log.close()
        return open_null()
    return log.detach()
