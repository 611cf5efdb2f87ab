"""An init that notes in a file whether it wants a service to run, as supervise(8) of daemontools began it.

It replaces the file at each change, and inotify(7) tells of that. See offered.Cancellation.
"""

import errno
import posix

from cross_init.kernel.system_calls import inotify_add, inotify_open

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

MOVED_TO = 0x80
STATUS = "status"
WANT, UP = 17, b"u"  # of what daemontools and runit write there: supervise.c of both; s6 has another form


class WantedState:
    """That a service is to stay down. folder: where it is noted; wants_up: how to read it there, raises OSError."""

    def __init__(self, folder: str, wants_up: "Callable[[str], bool]") -> None:
        """Raises OSError where we may not look."""
        self.folder = folder
        self.wants_up = wants_up
        self.fd = inotify_open()
        try:
            inotify_add(self.fd, folder, MOVED_TO)  # before the first look: no change goes by unseen
        except OSError:
            self.close()
            raise

    def fileno(self) -> int:
        """Readable when something was noted."""
        return self.fd

    def is_stop(self) -> bool:
        """Whether it is to stay down, as it is noted now. Raises OSError."""
        try:
            while posix.read(self.fd, 65536):
                pass
        except BlockingIOError:
            pass
        return not self.wants_up(self.folder)

    def close(self) -> None:
        """Look no longer."""
        posix.close(self.fd)


def wants_up(folder: str) -> bool:
    """Whether the service is started again when it has ended, as daemontools and runit note it. Raises OSError."""
    # Never waiting, whatever was put there.
    fd = posix.open(f"{folder}/{STATUS}", posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK | posix.O_NOCTTY)
    try:
        status = posix.read(fd, 64)
    finally:
        posix.close(fd)
    if len(status) <= WANT:
        raise OSError(errno.EBADMSG, f"{folder}/{STATUS} is no file that supervise(8) has written")
    return status[WANT : WANT + 1] == UP
