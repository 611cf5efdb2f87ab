"""The watchdog: a daemon that has not given a sign of life for too long is ended (systemd.service(5), WatchdogSec=).

It begins to count when the daemon is ready, as systemd's does. SIGABRT first, so that the daemon leaves a core of what
it was at; SIGKILL when it has not ended by that within a grace time.
"""

import _signal
from time import monotonic

from cross_init.bounds import as_usec, in_seconds
from cross_init.errors import print_error
from cross_init.readiness.sd_notify import Assignments, first, has

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from cross_init.model import Service
    from cross_init.watch.event_loop import EventLoop, Timer
    from cross_init.watch.log import Reporter

    class Living(Protocol):
        """Whose signs of life are counted; watch.watched.Watched says what each of these is."""

        loop: EventLoop
        reporter: Reporter
        service: Service
        pid: int
        abort: "Callable[[], str] | None"

        def send(self, number: int) -> None:
            """Send the main process a signal."""


class Watchdog:
    """Counts one daemon's signs of life. limit, grace: in seconds; a limit of 0 switches it off."""

    def __init__(self, watched: "Living", limit: float, grace: float) -> None:
        self.watched = watched
        self.limit = limit
        self.grace = grace
        self.last = 0.0  # monotonic; 0: it does not count yet
        self.timer: Timer | None = None
        self.is_over = False

    def start(self) -> None:
        """The daemon is ready: count from now on."""
        self.ping()

    def ping(self) -> None:
        """A sign of life."""
        self.last = monotonic()
        self._set()

    def heed(self, message: Assignments) -> None:
        """What the daemon says about it: WATCHDOG=1, WATCHDOG=trigger, WATCHDOG_USEC= (sd_notify(3)).

        A limit may be as long as it likes, as for systemd; what is no number is reported by who reports the rest.
        """
        usec = as_usec(first(message, "WATCHDOG_USEC") or "")
        if usec is not None:
            self.limit = in_seconds(usec)
            self.watched.reporter.say(f"sets its watchdog to {self.limit:g} s")
            if self.last and not self.is_over:
                self.watched.loop.cancel(self.timer)  # it may be due too late now
                self.timer = None
                self.ping()
        if has(message, "WATCHDOG", "trigger"):
            self._end("says itself that something is wrong (WATCHDOG=trigger)")
        elif has(message, "WATCHDOG", "1") and self.last:
            self.ping()

    @property
    def age(self) -> float | None:
        """Seconds since the last sign of life; None while it does not count."""
        return monotonic() - self.last if self.last and self.limit else None

    def _set(self) -> None:
        # The timer is moved only when it goes off: a ping, of which there may be many, costs a look at the clock.
        if self.timer is None and self.limit and not self.is_over:
            self.timer = self.watched.loop.after(self.last + self.limit - monotonic(), self._look)

    def _look(self) -> None:
        self.timer = None
        age = self.age
        if age is not None and age >= self.limit:
            self._end(f"has given no sign of life for {age:.1f} s (WATCHDOG=1 is due every {self.limit:g} s)")
        else:
            self._set()

    def _end(self, reason: str) -> None:
        if self.is_over:
            return
        self.is_over = True
        watched, sent = self.watched, "SIGABRT"
        if watched.abort is not None:
            sent = watched.abort()
        else:
            watched.send(_signal.SIGABRT)
            self.timer = watched.loop.after(self.grace, self._kill)
        print_error(f"{watched.service} (PID {watched.pid}) {reason}: sending {sent}", 0)

    def _kill(self) -> None:
        self.timer = None
        watched = self.watched
        watched.send(_signal.SIGKILL)
        print_error(
            f"{watched.service} (PID {watched.pid}) has not ended within {self.grace:g} s of SIGABRT: sending SIGKILL",
            0,
        )

    def stop(self) -> None:
        """Count no more."""
        self.watched.loop.cancel(self.timer)
        self.limit = 0
