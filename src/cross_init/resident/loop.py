"""The event loop of who watches many services: what it costs does not grow with those that have nothing to say.

Each service has a view of it (Facet) that knows what is the service's own: its descriptors and timers, its standard
error, to which all goes that is said meanwhile, and its mistakes, of which too many give up that service and no other.
"""

import posix
from _heapq import heappop, heappush
from select import POLLIN, epoll
from time import monotonic

from cross_init import errors
from cross_init.errors import Failure
from cross_init.kernel.linux import is_transient
from cross_init.watch.event_loop import MISTAKES, EventLoop, Timer, pause

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Callback = Callable[[], None]

EVENTS_AT_ONCE = 64  # then it is looked again what there is, and who was not among these comes first (epoll(7))
SPARE = 256  # timers that are not needed any more, before they are swept out


class Poller:
    """epoll(7), called as poll(2) is."""

    def __init__(self) -> None:
        self.epoll = epoll()

    def register(self, fd: int, events: int) -> None:
        """Raises OSError."""
        self.epoll.register(fd, events)

    def unregister(self, fd: int) -> None:
        """That it is closed already is no error."""
        try:
            self.epoll.unregister(fd)
        except OSError:
            pass

    def poll(self, wait_ms: int | None) -> list[tuple[int, int]]:
        """Raises OSError."""
        return self.epoll.poll(None if wait_ms is None else wait_ms / 1000, EVENTS_AT_ONCE)


def nothing() -> None:
    """What a timer does that was cancelled."""


class ManyLoop(EventLoop):
    """An EventLoop for thousands of descriptors and timers."""

    at_once = 8  # messages of one service, before the others are looked at

    def __init__(self) -> None:
        super().__init__()
        self.poller = Poller()  # type: ignore[assignment] # it is called in the same way
        self.heap: list[tuple[float, int, Timer]] = []
        self.live: set[Timer] = set()
        self.count = 0  # so that no two timers are compared

    def after(self, seconds: float, callback: "Callback") -> Timer:
        """Call back once, when these seconds have passed."""
        timer = Timer(monotonic() + seconds, callback)
        self._add(timer)
        return timer

    def _add(self, timer: Timer) -> None:
        self.count += 1
        self.live.add(timer)
        heappush(self.heap, (timer.when, self.count, timer))

    def cancel(self, timer: Timer | None) -> None:
        """Do not call it any more; harmless if it was called."""
        if timer is not None:
            self.live.discard(timer)
            timer.callback = nothing  # what it would have called, and with it a service that is over, goes at once
            if len(self.heap) > 2 * len(self.live) + SPARE:
                self.heap = sorted(each for each in self.heap if each[2] in self.live)

    def _next_time(self) -> float | None:
        while self.heap and self.heap[0][2] not in self.live:
            heappop(self.heap)
        return self.heap[0][0] if self.heap else None

    def _call_timers(self) -> None:
        now = monotonic()
        due: list[Timer] = []
        while (when := self._next_time()) is not None and when <= now:
            due.append(heappop(self.heap)[2])
        for timer in due:
            if timer in self.live and not self.stopped:
                self.live.discard(timer)
                if not self._call(timer):
                    timer.when = monotonic() + pause(timer.failed)
                    self._add(timer)


def reap(loop: EventLoop, pidfd: int, pid: int, callback: "Callable[[int], None]") -> None:
    """Call back with the wait status of this child of ours when it has ended; pidfd: its own, which is closed then."""

    def gone() -> None:
        loop.forget(pidfd)
        posix.close(pidfd)
        callback(posix.waitpid(pid, 0)[1])

    loop.watch(pidfd, gone)


class Facet(EventLoop):
    """One service's view of a loop. give_up: what to do when its callbacks go on failing."""

    def __init__(self, loop: EventLoop, standard_error: int, give_up: "Callable[[BaseException], None]") -> None:
        self.loop = loop
        self.standard_error = standard_error
        self.dropped = 0
        self.give_up = give_up
        self.mistakes = 0
        # Few, so that lists will do, which are a third as large: there is one of these for each service.
        self.fds: list[int] = []
        self.own_timers: list[Timer] = []

    @property
    def at_once(self) -> int:  # type: ignore[override] # read-only here
        """As the loop has it."""
        return self.loop.at_once

    def watch(self, fd: int, callback: "Callback", events: int = POLLIN) -> None:
        """Call back whenever fd has one of these events."""
        if fd not in self.fds:
            self.fds.append(fd)
        self.loop.watch(fd, lambda: self.call(callback), events)

    def forget(self, fd: int) -> None:
        """Watch fd no longer."""
        if fd in self.fds:
            self.fds.remove(fd)
        self.loop.forget(fd)

    def after(self, seconds: float, callback: "Callback") -> Timer:
        """Call back once, when these seconds have passed."""

        def due() -> None:
            self.call(callback)
            self._is_over(timer)

        timer = self.loop.after(seconds, due)
        self.own_timers.append(timer)
        return timer

    def cancel(self, timer: Timer | None) -> None:
        """Do not call it any more."""
        self._is_over(timer)
        self.loop.cancel(timer)

    def _is_over(self, timer: Timer | None) -> None:
        if timer in self.own_timers:
            self.own_timers.remove(timer)

    def leave_child(self, pidfd: int, pid: int) -> None:
        """Wait for this child when it has ended, although its service is over by then."""
        reap(self.loop, pidfd, pid, lambda status: None)

    def stop(self) -> None:
        """The loop goes on for the others."""

    def call(self, callback: "Callback") -> None:
        """Do this as that service's. Raises what may pass, to be tried again."""
        before = errors.standard_error, errors.dropped
        errors.standard_error, errors.dropped = self.standard_error, self.dropped
        try:
            callback()
        except Exception as error:
            if not is_transient(error):
                self.mistakes += 1
                if self.mistakes >= MISTAKES or isinstance(error, Failure):
                    self.give_up(error)
                    return
            raise
        finally:
            self.dropped = errors.dropped
            errors.standard_error, errors.dropped = before

    def let_go(self) -> None:
        """Forget all that is this service's."""
        for fd in [*self.fds]:
            self.forget(fd)
        for timer in [*self.own_timers]:
            self.cancel(timer)

    def leave(self) -> None:
        """In a process of its own: be a loop by itself, with nothing in it."""
        self.loop = EventLoop()
        self.fds.clear()
        self.own_timers.clear()
