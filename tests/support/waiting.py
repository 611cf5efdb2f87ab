"""The one place that looks again and again: for what only /proc or a folder can show, and no event tells."""

import os
import select
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
STEP_S = 0.01


def until(holds: Callable[[], bool], what: str, seconds: float = 10) -> None:
    """Return as soon as this holds; fail, saying what was waited for, if it does not in these seconds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"waited {seconds:g} s in vain: {what}"
        time.sleep(STEP_S)


def becomes(look: Callable[[], T], wanted: T, seconds: float = 10) -> None:
    """Return as soon as this is what is seen; fail, saying what was seen last, if it is not in these seconds."""
    end = time.monotonic() + seconds
    while (found := look()) != wanted:
        assert time.monotonic() < end, f"waited {seconds:g} s in vain for {wanted!r}: it is {found!r}"
        time.sleep(STEP_S)


def lives_through(pid: int, seconds: float) -> bool:
    """Whether this process still lives after this time; waits for its end."""
    fd = os.pidfd_open(pid)
    try:
        return not select.select([fd], [], [], seconds)[0]
    finally:
        os.close(fd)
