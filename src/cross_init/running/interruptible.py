"""Waiting for somebody else on a service's behalf, a stop being heard though stops are held (unit.py)."""

import _signal

from cross_init.errors import Failure
from cross_init.model import STOPS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import TypeVar

    T = TypeVar("T")


def interruptible(what: str, wait: "Callable[[str], T]", words: str) -> "T":
    """Wait for somebody else, maybe for ever, so that a stop is heard. Raises Failure of one, and what this raises."""

    def stop(number: int, frame: "FrameType | None") -> None:
        raise Failure(f"{what}: it was told to stop while it waited for that", 128 + number)

    before = _signal.pthread_sigmask(_signal.SIG_BLOCK, ())
    heard = [number for number in STOPS if _signal.getsignal(number) == _signal.SIG_DFL]
    for number in heard:
        _signal.signal(number, stop)
    try:
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, heard)
        return wait(words)
    finally:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, before)
        for number in heard:
            _signal.signal(number, _signal.SIG_DFL)
