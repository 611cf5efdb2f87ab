"""How a start ended whose daemon never got ready, in one line: how, what it still waited for, and what helps.

Nobody else says it: an init sees an exit code, and takes 0 for a service that has done its work.
"""

import _signal
import posix

from cross_init.errors import print_error
from cross_init.model import STOPPING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from cross_init.launch import Start
    from cross_init.watch.watched import Watched

FORKS_AWAY = "; if it forks away, use -t sysv --pid-file PATH, or the daemon's option to stay in the foreground"


def is_ours_to_explain(watched: "Watched") -> bool:
    """The daemon has ended: whether it was waited for and never got ready, and nobody else says how that was.

    To be called once, before the init is told that it has ended: a front is told here what it has to say.
    """
    start = watched.start
    if watched.ready or not start.request.waits or start.has_failed():
        return False
    said_by_front = watched.init.fails(watched.pid, "" if watched.timed_out else watched.missing)
    return not (said_by_front or watched.timed_out)


def explain(watched: "Watched", status: int | None) -> None:
    """Say how the daemon has ended. status: its wait status, None if that is not known."""
    stops = watched.is_told_to_stop or watched.state == STOPPING
    print_error(describe(watched.start, watched.pid, status, watched.missing, stops), 0)


def describe(start: "Start", pid: int, status: int | None, missing: str, stops: bool) -> str:
    """The line. missing: what was waited for. stops: it was told to, or has said so."""
    advice = FORKS_AWAY if status == 0 and not (stops or start.target.forks) else ""
    return f"{start.service} (PID {pid}) ended ({in_words(status)}) while it still waited for {missing}{advice}"


def in_words(status: int | None) -> str:
    """A wait status, for people; None: nobody knows it."""
    if status is None:
        return "it is not known how"
    if posix.WIFEXITED(status):
        return f"exit code {posix.WEXITSTATUS(status)}"
    return name_of(posix.WTERMSIG(status))


def names_of(numbers: "Sequence[int]") -> str:
    """Signals, for people."""
    return " and ".join(map(name_of, numbers))


def name_of(number: int) -> str:
    """A signal's name, or what to call one that has none."""
    names = (name for name in dir(_signal) if name.startswith("SIG") and getattr(_signal, name) == number)
    return next((name for name in names if name.isalnum()), f"signal {number}")
