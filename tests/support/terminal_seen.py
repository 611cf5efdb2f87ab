"""A program that writes down what it has of a terminal, as JSON, into the file that its first word names."""

import fcntl
import json
import os
import struct
import sys
import termios
from collections.abc import Callable


def seen() -> dict[str, object]:
    """All of it."""
    return {
        "modes": modes(0),
        "size": size(0),
        "has a controlling one": tried(lambda: os.close(os.open("/dev/tty", os.O_RDWR))),
        "is in front": tried(lambda: os.tcgetpgrp(0) == os.getpgrp()),
        "names": [tried(lambda fd=fd: os.ttyname(fd)) for fd in (0, 1, 2)],  # type: ignore[misc]
        "is written to": [fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE for fd in (0, 1, 2) if os.isatty(fd)],
        "whose": (os.fstat(0).st_uid, os.fstat(0).st_gid) if os.isatty(0) else None,
        "TERM": os.environ.get("TERM"),
    }


def modes(fd: int) -> object:
    """As tcgetattr(3) has them."""
    found = tried(lambda: termios.tcgetattr(fd))
    return repr(found)


def size(fd: int) -> object:
    """Rows and columns."""
    return tried(lambda: struct.unpack("HHHH", fcntl.ioctl(fd, termios.TIOCGWINSZ, bytes(8)))[:2])


def tried(look: Callable[[], object]) -> object:
    """What is found, or why nothing is."""
    try:
        return look()
    except (OSError, termios.error) as error:
        return str(error)


if __name__ == "__main__":
    text = json.dumps(seen())
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        file.write(text)
