"""--ready-when log:REGEX: a line of the daemon's output matches. What it writes is passed on unchanged.

The daemon's standard output and error become pipes to us, for as long as it lives: nobody can take a pipe out again.
"""

import posix
from fcntl import F_DUPFD_CLOEXEC, F_GETFL, fcntl
from select import POLLIN, POLLOUT, poll

from cross_init.errors import AT_ONCE, Failure
from cross_init.kernel.linux import Environment
from cross_init.kernel.nonblocking import write_now
from cross_init.readiness.condition import Condition
from cross_init.readiness.pipe import is_same
from cross_init.watch.detach import detach
from cross_init.watch.event_loop import EventLoop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from re import Pattern

    from cross_init.readiness.subject import Subject

LINE_MAX = 65536  # of a longer line only the last this many bytes are looked at
LAST_WORDS_S = 5.0  # how long we wait for a slow reader when the daemon has ended


class Output(Condition):
    """The two streams: one pipe for both if they went to one place, so that lines stay in order, else two."""

    lasting = True

    def __init__(self, text: str, pattern: "Pattern[bytes]") -> None:
        super().__init__(text)
        self.pattern = pattern
        self.streams: list[Stream] = []
        self.held: Callable[[], None] | None = None

    def prepare(self, environ: Environment) -> None:
        """Make the pipes. Raises OSError."""
        # O_PATH: it was closed, and only its number is kept from others; the daemon is to find it closed.
        numbers = [number for number in (1, 2) if not fcntl(number, F_GETFL) & posix.O_PATH]
        places = {(where.st_dev, where.st_ino) for where in map(posix.fstat, numbers)}
        groups = [(number,) for number in numbers] if len(places) > 1 else [tuple(numbers)] if numbers else []
        self.streams = [Stream(group) for group in groups]
        self.descriptors = tuple(fd for stream in self.streams for fd in (stream.ours, stream.onward))

    def expose(self) -> None:
        """Put the writing ends where the daemon writes."""
        for stream in self.streams:
            for number in stream.numbers:
                posix.dup2(stream.theirs, number, True)

    def attach(self, watched: "Subject") -> None:
        """Read, look, and pass on."""
        self.held = watched.expect(self.text)
        for stream in self.streams:
            stream.attach(watched.loop, self._look)

    def _look(self, stream: "Stream", data: bytes) -> None:
        if self.held is None:
            return
        *lines, rest = (stream.line + data).split(b"\n")
        stream.line = rest[-LINE_MAX:]
        if any(self.pattern.search(line) for line in [*lines, rest]):
            held, self.held = self.held, None
            held()

    def stop(self) -> None:
        """Look no more; what still comes is passed on."""
        self.held = None

    def outlive(self) -> None:
        """Pass on what is there. If others still write, a process stays for them, as nobody else could read it."""
        loop = EventLoop()
        for stream in self.streams:
            if stream.is_open:
                stream.move(loop)
        too_late = loop.after(LAST_WORDS_S, loop.stop)
        while not loop.stopped and not all(is_empty(each.ours) and not each.unsent for each in self._open()):
            loop.turn()
        loop.cancel(too_late)
        if self._open() and posix.fork() == 0:
            try:
                detach({fd for each in self._open() for fd in (each.ours, each.onward)})
                loop.run()
            finally:
                posix._exit(0)

    def _open(self) -> "list[Stream]":
        return [stream for stream in self.streams if stream.is_open]


class Stream:
    """One pipe. numbers: the daemon's descriptors that write to it. onward: where they went before."""

    def __init__(self, numbers: tuple[int, ...]) -> None:
        self.numbers = numbers
        self.ours, self.theirs = posix.pipe2(posix.O_CLOEXEC)
        self.onward = fcntl(numbers[0], F_DUPFD_CLOEXEC, 3)
        self.line = b""
        self.unsent = b""
        self.is_open = True

    def attach(self, loop: EventLoop, look: "Callable[[Stream, bytes], None]") -> None:
        """Copy from now on, showing what goes through."""
        if is_same(self.theirs, self.ours):  # else the watcher has closed it, and its number may be another's now
            posix.close(self.theirs)
        self.look = look
        self.move(loop)

    def move(self, loop: EventLoop) -> None:
        """Go on in this loop."""
        self.loop = loop
        if self.unsent:
            loop.watch(self.onward, self._pass_on, POLLOUT)
        else:
            self._wait_for_more()

    def _wait_for_more(self) -> None:
        self.loop.watch(self.ours, self._copy)
        self.loop.watch(self.onward, self.close, 0)  # only errors: whoever reads there has gone

    def _copy(self) -> None:
        data = posix.read(self.ours, AT_ONCE)
        if not data:
            self.close()  # the last writer has gone
            return
        self.unsent = data
        self._pass_on()
        self.look(self, data)

    def _pass_on(self) -> None:
        """Never wait for whoever reads: signals and other daemons' news have to go through meanwhile."""
        had_to_wait = self.ours not in self.loop.sources
        try:
            while self.unsent and (written := write_now(self.onward, self.unsent)):
                self.unsent = self.unsent[written:]
        except OSError:
            self.close()  # nobody reads any more: let the daemon see that as it would without us
            return
        if self.unsent and not had_to_wait:
            self.loop.forget(self.ours)
            self.loop.forget(self.onward)
            self.loop.watch(self.onward, self._pass_on, POLLOUT)
        elif not self.unsent and had_to_wait:
            self.loop.forget(self.onward)
            self._wait_for_more()

    def close(self) -> None:
        """The last writer, or the reader, has gone."""
        self.loop.forget(self.ours)
        self.loop.forget(self.onward)
        posix.close(self.ours)
        posix.close(self.onward)
        self.is_open = False


def is_empty(fd: int) -> bool:
    """Whether there is nothing to be read, not even the end."""
    asked = poll()
    asked.register(fd, POLLIN)
    return not asked.poll(0)


def make(kind: str, rest: str, text: str, bus: str) -> Condition:
    """Raises Failure."""
    import re

    try:
        pattern = re.compile(rest.encode("utf-8", "surrogateescape"))
    except (re.error, OverflowError, RecursionError) as error:  # of repetitions, and of groups in groups
        raise Failure(f"--ready-when {text}: {rest} is no regular expression of Python's: {error}") from None
    return Output(text, pattern)
