"""The engine of whoever watches: call back when a descriptor has something, or when it is time.

Nothing is polled. The engine knows nothing of services, and serves any number of them.
"""

from select import POLLIN, poll
from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Callback = Callable[[], None]

LONGEST_MS = (1 << 31) - 1  # poll(2) takes a C int: 24 days


class Timer:
    """A call at a time, in seconds of the monotonic clock."""

    __slots__ = ("callback", "when")

    def __init__(self, when: float, callback: "Callback") -> None:
        self.when = when
        self.callback = callback


class Engine:
    """Descriptors and timers, each with what is to be called."""

    def __init__(self) -> None:
        self.poller = poll()
        self.callbacks: dict[int, Callback] = {}
        self.timers: list[Timer] = []
        self.stopped = False

    def watch(self, fd: int, callback: "Callback", events: int = POLLIN) -> None:
        """Call back whenever fd has one of these events (poll(2)), or an error, or hangs up."""
        self.poller.register(fd, events)
        self.callbacks[fd] = callback

    def forget(self, fd: int) -> None:
        """Watch fd no longer; harmless if it is not watched."""
        if self.callbacks.pop(fd, None) is not None:
            self.poller.unregister(fd)

    def after(self, seconds: float, callback: "Callback") -> Timer:
        """Call back once, when these seconds have passed."""
        timer = Timer(monotonic() + seconds, callback)
        self.timers.append(timer)
        return timer

    def cancel(self, timer: Timer | None) -> None:
        """Do not call this timer's callback any more; harmless if it was called."""
        if timer in self.timers:
            self.timers.remove(timer)

    def stop(self) -> None:
        """Let run() return when the callback that is running has."""
        self.stopped = True

    def run(self) -> None:
        """Call back until stop() is called, or until nothing is watched any more."""
        self.stopped = False
        while self.callbacks and not self.stopped:
            self.turn()

    def turn(self) -> None:
        """Wait once, and call back whatever that concerns."""
        wait_ms = None
        if self.timers:
            left_ms = (min(timer.when for timer in self.timers) - monotonic()) * 1000 + 1
            wait_ms = int(min(max(left_ms, 0), LONGEST_MS))  # of a longer time we wake up on the way, and wait on
        ready = [fd for fd, _ in self.poller.poll(wait_ms)]
        for fd in ready:
            callback = self.callbacks.get(fd)  # an earlier callback may have forgotten it
            if callback is not None and not self.stopped:
                callback()
        now = monotonic()
        for timer in [timer for timer in self.timers if timer.when <= now]:
            if timer in self.timers and not self.stopped:
                self.timers.remove(timer)
                timer.callback()
