"""--ready-when log:REGEX: a line of the daemon's output matches. What it writes is passed on unchanged.

The daemon's standard output and error become pipes to us, for as long as it lives: nobody can take a pipe out again.
"""

import posix
from fcntl import F_DUPFD_CLOEXEC, fcntl
from select import POLLOUT, poll

from cross_init.model import Condition, Environment, Failure
from cross_init.readiness.pipe import is_same

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from re import Pattern

    from cross_init.cli import Wish
    from cross_init.engine import Engine
    from cross_init.watched import Watched

LINE_MAX = 65536  # of a longer line only the last this many bytes are looked at
AT_ONCE = 4096  # PIPE_BUF: what a pipe that can be written to takes without blocking (pipe(7))


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
        out, err = posix.fstat(1), posix.fstat(2)
        is_one = (out.st_dev, out.st_ino) == (err.st_dev, err.st_ino)
        self.streams = [Stream((1, 2))] if is_one else [Stream((1,)), Stream((2,))]
        self.descriptors = tuple(fd for stream in self.streams for fd in (stream.ours, stream.onward))

    def expose(self) -> None:
        """Put the writing ends where the daemon writes."""
        for stream in self.streams:
            for number in stream.numbers:
                posix.dup2(stream.theirs, number, True)

    def attach(self, watched: "Watched") -> None:
        """Read, look, and pass on."""
        self.held = watched.expect(self.text)
        for stream in self.streams:
            stream.attach(watched.engine, self._look)

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

    def discard(self) -> None:
        """Close everything: there never was a daemon."""
        for stream in self.streams:
            for fd in (stream.ours, stream.theirs, stream.onward):
                posix.close(fd)


class Stream:
    """One pipe. numbers: the daemon's descriptors that write to it. onward: where they went before."""

    def __init__(self, numbers: tuple[int, ...]) -> None:
        self.numbers = numbers
        self.ours, self.theirs = posix.pipe2(posix.O_CLOEXEC)
        self.onward = fcntl(numbers[0], F_DUPFD_CLOEXEC, 3)
        self.line = b""

    def attach(self, engine: "Engine", look: "Callable[[Stream, bytes], None]") -> None:
        """Copy from now on, showing what goes through."""
        if is_same(self.theirs, self.ours):  # else the watcher has closed it, and its number may be another's now
            posix.close(self.theirs)
        self.engine = engine
        self.look = look
        engine.watch(self.ours, self._copy)

    def _copy(self) -> None:
        """Never wait for whoever reads: signals and other daemons' news have to go through meanwhile."""
        writable = poll()
        writable.register(self.onward, POLLOUT)
        if not writable.poll(0):
            self.engine.forget(self.ours)
            self.engine.watch(self.onward, self._resume, POLLOUT)
            return
        data = posix.read(self.ours, AT_ONCE)
        try:
            rest = data
            while rest:
                rest = rest[posix.write(self.onward, rest) :]
        except OSError:
            data = b""  # nobody reads any more: let the daemon see that as it would without us
        if data:
            self.look(self, data)
        else:
            self.close()

    def _resume(self) -> None:
        self.engine.forget(self.onward)
        self.engine.watch(self.ours, self._copy)

    def close(self) -> None:
        """The last writer, or the reader, has gone."""
        self.engine.forget(self.ours)
        posix.close(self.ours)
        posix.close(self.onward)


def make(kind: str, rest: str, text: str, wish: "Wish") -> Condition:
    """Raises Failure."""
    import re

    if wish.end_after_ready:
        raise Failure(
            f"--ready-when {text}: the daemon's output goes through us, so we cannot leave (--end-after-ready)"
        )
    try:
        pattern = re.compile(rest.encode("utf-8", "surrogateescape"))
    except re.error as error:
        raise Failure(f"--ready-when {text}: {rest} is no regular expression of Python's: {error}") from None
    return Output(text, pattern)
