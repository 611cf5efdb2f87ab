"""POSIX message queues (mq_overview(7)): opened, found and removed by system calls, as Python has none for them."""

import posix
import sys

from cross_init.kernel.system_calls import by_number

# Their numbers, where they were there before all machines got the same ones.
MQ_OPEN = {"x86_64": 240, "aarch64": 180, "riscv64": 180, "loongarch64": 180}
MQ_UNLINK = {"x86_64": 241, "aarch64": 181, "riscv64": 181, "loongarch64": 181}
LONG = 8  # bytes of a long on these machines


def open_queue(path: str, mode: int, most: int, size: int) -> int:
    """A descriptor to receive from the queue of this name, which is made if it is not there (mq_open(3)).

    most, size: how many messages it holds and how many bytes each has, 0: the kernel's own. Raises OSError, Failure.
    """
    attributes = bytes(LONG) + most.to_bytes(LONG, sys.byteorder) + size.to_bytes(LONG, sys.byteorder) + bytes(5 * LONG)
    flags = posix.O_RDONLY | posix.O_CLOEXEC | posix.O_CREAT
    return by_number("mq_open", MQ_OPEN, _name(path), flags, mode, attributes if most and size else 0)


def identity(path: str) -> tuple[int, int]:
    """Device and inode of the queue of this name. Raises OSError, Failure."""
    fd = by_number("mq_open", MQ_OPEN, _name(path), posix.O_RDONLY | posix.O_CLOEXEC, 0, 0)
    try:
        status = posix.fstat(fd)
    finally:
        posix.close(fd)
    return status.st_dev, status.st_ino


def unlink(path: str) -> None:
    """Remove the queue of this name. Raises OSError, Failure."""
    by_number("mq_unlink", MQ_UNLINK, _name(path))


def _name(path: str) -> bytes:
    """Without its slash: the C library takes that away (mq_open(3))."""
    return path[1:].encode("utf-8", "surrogateescape") + b"\0"
