"""Stops of a service while nobody supervises it: held, heard while something is waited for, forgotten at last.

From the first thing that is made for it, and is to be removed again, a stop does not end us (Start.hold_stops()).
"""

import _signal
import posix

from cross_init.errors import Stopped
from cross_init.model import STOPS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import NoReturn, TypeVar

    T = TypeVar("T")


def block() -> set[int]:
    """Have what is waited for wait; returns the mask before."""
    _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
    return set(_signal.pthread_sigmask(_signal.SIG_BLOCK, (*STOPS, _signal.SIGCHLD)))


def unblock(before: set[int]) -> None:
    """All has been run that comes at the end: what was sent meanwhile was for a service that was ending anyway."""
    while _signal.sigtimedwait(STOPS, 0) is not None:
        pass
    _signal.pthread_sigmask(_signal.SIG_SETMASK, before)


def heed(stops: tuple[int, ...] = STOPS) -> None:
    """Hear which of these was sent, and is blocked; SIGHUP would be a reload, of nothing yet. Raises Stopped."""
    if pending := _signal.sigpending() & {*stops} - {_signal.SIGHUP}:
        raise Stopped(pending.pop())


def interruptible(wait: "Callable[[], T]") -> "T":
    """Wait for somebody else, maybe for ever, so that a stop is heard. Raises Stopped, and what this raises."""

    def stop(number: int, frame: "FrameType | None") -> None:
        raise Stopped(number)

    before = _signal.pthread_sigmask(_signal.SIG_BLOCK, ())
    heard = [number for number in STOPS if _signal.getsignal(number) == _signal.SIG_DFL]
    for number in heard:
        _signal.signal(number, stop)
    try:
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, heard)
        return wait()
    finally:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, before)
        for number in heard:
            _signal.signal(number, _signal.SIG_DFL)


def end_by(number: int) -> "NoReturn":
    """End of this signal, as we would have if there had been nothing to do first."""
    _signal.signal(number, _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, (number,))
    _signal.raise_signal(number)
    posix._exit(128 + number)
