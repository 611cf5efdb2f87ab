"""The one place that looks again and again: for what only /proc or a folder can show, and no event tells."""

import os
import select
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
STEP_S, LONG_STEP_S = 0.01, 0.2


class _Looks:
    """Looks at what is waited for; one that takes its time, as a program does, is made less often: it is in the way."""

    def __init__(self, seconds: float) -> None:
        self.end = time.monotonic() + seconds
        self.took = 0.0

    def look(self, at: Callable[[], T]) -> T:
        """What is seen."""
        began = time.monotonic()
        found = at()
        self.took = time.monotonic() - began
        return found

    def are_left(self) -> bool:
        """Whether there is time for another one; then it is time for that."""
        if time.monotonic() > self.end:
            return False
        time.sleep(min(max(2 * self.took, STEP_S), LONG_STEP_S))
        return True


def until(holds: Callable[[], bool], what: str, seconds: float = 10) -> None:
    """Return as soon as this holds; fail, saying what was waited for, if it does not in these seconds."""
    looks = _Looks(seconds)
    while not looks.look(holds):
        assert looks.are_left(), f"waited {seconds:g} s in vain: {what}"


def becomes(look: Callable[[], T], wanted: T, seconds: float = 10) -> None:
    """Return as soon as this is what is seen; fail, saying what was seen last, if it is not in these seconds."""
    looks = _Looks(seconds)
    while (found := looks.look(look)) != wanted:
        assert looks.are_left(), f"waited {seconds:g} s in vain for {wanted!r}: it is {found!r}"


def lives_through(pid: int, seconds: float) -> bool:
    """Whether this process still lives after this time; waits for its end."""
    fd = os.pidfd_open(pid)
    try:
        return not select.select([fd], [], [], seconds)[0]
    finally:
        os.close(fd)
