"""A descriptor that an init left open for us to say on it that the daemon is ready: by one newline.

So s6, OpenRC (notify=fd:N) and whoever is named by --ready-fd hear it (s6-supervise(8), "Readiness notification").
"""

import posix
from fcntl import F_GETFL, fcntl

from cross_init.bounds import as_descriptor
from cross_init.errors import Failure, why
from cross_init.kernel.linux import dup_high
from cross_init.model import ANYONE, DESCRIPTOR, Init, Service

NEWLINE = b"\n"


def keep(fd: int, inherited: dict[int, int] | None = None) -> int | None:
    """Keep the descriptor from the daemon, out of the way of the sockets that it gets from 3 on.

    Returns its number from now on, None if it is not open for writing. inherited: that of its Init, where it is taken
    out. Raises Failure.
    """
    if inherited is not None:
        there = inherited.get(fd, -1)
        if there < 0 or fcntl(there, F_GETFL) & posix.O_ACCMODE == posix.O_RDONLY:
            return None
        return inherited.pop(fd)
    try:
        if fcntl(fd, F_GETFL) & posix.O_ACCMODE == posix.O_RDONLY:
            return None
    except OSError:
        return None
    try:
        kept = dup_high(fd)
    except OSError as error:
        raise Failure(f"keeping descriptor {fd}, by which the init is told, from the daemon: {why(error)}") from None
    posix.close(fd)
    return kept


def put(fd: int, text: bytes) -> None:
    """Write it, whole (it is shorter than PIPE_BUF) and without waiting. Raises OSError."""
    from cross_init.kernel.nonblocking import write_now

    if not write_now(fd, text):
        raise BlockingIOError(11, "whoever is told there has not read what was written before")


def tell(fd: int, text: bytes = NEWLINE) -> None:
    """Write it and close: nothing more can be said there. Raises OSError, BlockingIOError with it still open."""
    try:
        put(fd, text)
    except BlockingIOError:
        raise
    except OSError:
        posix.close(fd)
        raise
    posix.close(fd)


class ByDescriptor(Init):
    """Any init, told by --ready-fd instead of in its own way."""

    hears = DESCRIPTOR
    from_whom = ANYONE
    carried = ()
    how = "descriptor"

    def __init__(self, init: Init, words: str) -> None:
        """init: what it is without that. words: the descriptor's number. Raises Failure."""
        self.name = init.name
        self.in_words = init.in_words
        fd = as_descriptor(words) or 0
        kept = keep(fd, init.inherited) if fd > 2 else None  # the daemon has its own use for the standard ones
        if kept is None:
            raise Failure(
                f"--ready-fd {words}: this is no number of a descriptor from 3 on that is open for writing; "
                "what starts us has to open it and leave it open, as a shell does with: --ready-fd 3 3>FILE"
            )
        self.descriptors = (kept,)

    @classmethod
    def again(cls, init: Init, descriptors: list[int]) -> "ByDescriptor":
        """The same in another process. init: what it is without that."""
        told = cls.__new__(cls)
        told.name, told.in_words = init.name, init.in_words
        told.descriptors = tuple(descriptors)
        return told

    def ready(self, service: Service, pid: int, pidfd: int, seconds: float) -> None:
        """The newline."""
        for fd in self.descriptors:
            tell(fd)
