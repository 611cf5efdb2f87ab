"""How the processes stand to each other: a file for each shape, and what forking has in common for all of them."""

import posix

from cross_init.model import Failure

NO_PROCESS = "the kernel gave no process for it; is a limit on processes reached?"


def fork(what: str) -> int:
    """posix.fork(). what: what the new process is for, in words. Raises Failure."""
    try:
        return posix.fork()
    except OSError as error:
        raise Failure(f"{what}: {NO_PROCESS} ({error.strerror})") from None
