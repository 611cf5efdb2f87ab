"""The loop of whoever watches: call back when a descriptor has something, or when it is time.

Nothing is polled. The loop knows nothing of services, and serves any number of them.

One callback that fails does not end it, and with it a daemon, or leave a daemon unwatched. What failed is called again
after a pause that grows: for ever if the error is of a kind that passes (linux.passes), a few times if it is a mistake.
"""

import gc
import posix
from select import POLLIN, poll
from time import monotonic, sleep

from cross_init.errors import Failure, place_of, print_error, print_unexpected
from cross_init.kernel.linux import is_transient, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Callback = Callable[[], None]

LONGEST_MS = (1 << 31) - 1  # poll(2) takes a C int: 24 days
FIRST_S, LONGEST_S = 0.01, 2.0  # after the first time that something has failed, and at most
MISTAKES = 5  # of one callback in a row, until it is given up, and all of this with it
DEAF_S = 10.0  # how long the kernel may refuse to tell us anything


class Timer:
    """A call at a time, in seconds of the monotonic clock. failed: how often it has, in a row."""

    __slots__ = ("callback", "failed", "when")

    def __init__(self, when: float, callback: "Callback") -> None:
        self.when = when
        self.callback = callback
        self.failed = 0


class Source:
    """A descriptor that is watched. failed: how often its call has, in a row; rest: what ends the pause after that."""

    __slots__ = ("callback", "events", "failed", "rest")

    def __init__(self, callback: "Callback", events: int) -> None:
        self.callback = callback
        self.events = events
        self.failed = 0
        self.rest: Timer | None = None


class EventLoop:
    """Descriptors and timers, each with what is to be called. at_once: how much is taken in for each in one turn."""

    at_once: int = 64

    def __init__(self) -> None:
        gc.enable()  # a start does without (start.py); what has a loop may live for years
        self.poller = poll()
        self.sources: dict[int, Source] = {}
        self.timers: list[Timer] = []
        self.said: set[str] = set()
        self.deaf_since = 0.0  # monotonic; 0: the kernel tells us what there is
        self.stopped = False

    def watch(self, fd: int, callback: "Callback", events: int = POLLIN) -> None:
        """Call back whenever fd has one of these events (poll(2)), or an error, or hangs up."""
        self.forget(fd)
        self.poller.register(fd, events)
        self.sources[fd] = Source(callback, events)

    def forget(self, fd: int) -> None:
        """Watch fd no longer; harmless if it is not watched."""
        source = self.sources.pop(fd, None)
        if source is not None and source.rest is None:
            self.poller.unregister(fd)
        elif source is not None:
            self.cancel(source.rest)

    def after(self, seconds: float, callback: "Callback") -> Timer:
        """Call back once, when these seconds have passed."""
        timer = Timer(monotonic() + seconds, callback)
        self.timers.append(timer)
        return timer

    def cancel(self, timer: Timer | None) -> None:
        """Do not call this timer's callback any more; harmless if it was called."""
        if timer in self.timers:
            self.timers.remove(timer)

    def leave_child(self, pidfd: int, pid: int) -> None:
        """Nobody wants to know any more when this child of ours ends; pidfd: its own, which is closed.

        Here nobody waits for it either: this process is about to end.
        """
        posix.close(pidfd)

    def stop(self) -> None:
        """Let run() return when the callback that is running has."""
        self.stopped = True

    def run(self) -> None:
        """Call back until stop() is called, or until nothing is watched any more. Raises what turn() does."""
        self.stopped = False
        while self.sources and not self.stopped:
            self.turn()

    def turn(self) -> None:
        """Wait once, and call back whatever that concerns. Raises Failure, and what a callback is given up for."""
        for fd in self._wait(self._wait_ms(self._next_time())):
            source = self.sources.get(fd)  # an earlier callback may have forgotten it
            if source is not None and not self.stopped and not self._call(source) and self.sources.get(fd) is source:
                self._let_rest(fd, source)
        self._call_timers()

    def _call_timers(self) -> None:
        """Call back those whose time has come."""
        now = monotonic()
        for timer in [timer for timer in self.timers if timer.when <= now]:
            if timer in self.timers and not self.stopped:
                self.timers.remove(timer)
                if not self._call(timer):
                    timer.when = monotonic() + pause(timer.failed)
                    self.timers.append(timer)

    def _next_time(self) -> float | None:
        """When the next timer goes off, if there is one."""
        return min((timer.when for timer in self.timers), default=None)

    @staticmethod
    def _wait_ms(when: float | None) -> int | None:
        """How long that is; of a longer time we wake up on the way, and wait on. None: for ever."""
        return None if when is None else int(min(max((when - monotonic()) * 1000 + 1, 0), LONGEST_MS))

    def _wait(self, wait_ms: int | None) -> list[int]:
        """The descriptors that have something; none where the kernel cannot tell just now. Raises OSError."""
        try:
            ready = [fd for fd, _ in self.poller.poll(wait_ms)]
        except (OSError, MemoryError) as error:
            self.deaf_since = self.deaf_since or monotonic()
            if monotonic() > self.deaf_since + DEAF_S:
                raise
            self._say_once(f"waiting for news: {reason(error)}; trying again")
            sleep(FIRST_S)
            return []
        self.deaf_since = 0.0
        return ready

    def _call(self, what: "Source | Timer") -> bool:
        """Call back; False if it has failed and is to be called again later. Raises Failure, and what is given up."""
        try:
            what.callback()
        except Failure:
            raise  # it is meant to end us
        except Exception as error:
            what.failed += 1
            if is_transient(error):
                self._say_once(f"watching: {reason(error)} (at {place_of(error)}); trying again")
            elif what.failed >= MISTAKES:
                raise
            elif what.failed == 1:
                print_unexpected(error, 0)
            return False
        what.failed = 0
        return True

    def _let_rest(self, fd: int, source: Source) -> None:
        """It would be called again at once, for nothing: not before a while has passed."""

        def go_on() -> None:
            source.rest = None
            self.poller.register(fd, source.events)

        self.poller.unregister(fd)
        source.rest = self.after(pause(source.failed), go_on)

    def _say_once(self, text: str) -> None:
        if text not in self.said:
            self.said.add(text)
            print_error(text, 0)


def pause(failed: int) -> float:
    """How long to wait, in seconds, before what has failed so often in a row is tried again."""
    return min(FIRST_S * 2.0 ** min(failed - 1, 10), LONGEST_S)
