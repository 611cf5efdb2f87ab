"""A pipe by which a daemon says that it is ready: a newline on it (s6), or any byte (dinit)."""

import posix

from cross_init.errors import Failure
from cross_init.kernel.linux import Environment
from cross_init.model import Channel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.readiness.subject import Subject


ENDING_S = 0.5  # longer than a process takes from closing its descriptors to its end


class PipeChannel(Channel):
    """A pipe whose writing end is the daemon's.

    number: the descriptor that the daemon writes to; None: any, and variable names it in the environment.
    newline: only a newline says it, and what comes before it is ignored.
    """

    kind = "pipe"
    carried = ("newline",)

    def __init__(self, number: int | None, variable: bytes, newline: bool) -> None:
        self.number = number
        self.variable = variable
        self.newline: bool = newline
        self.ours, self.theirs = posix.pipe2(posix.O_CLOEXEC)
        self.descriptors = (self.ours,)
        self.watched: Subject | None = None

    @classmethod
    def again(cls, fd: int) -> "PipeChannel":
        """One that another process has made. fd: its reading end."""
        channel = cls.__new__(cls)
        channel.ours, channel.theirs, channel.newline, channel.watched = fd, -1, False, None
        channel.descriptors = (fd,)
        return channel

    def expose(self, environ: Environment) -> None:
        """Move the writing end to its number, to stay open over exec."""
        if self.number is None:
            posix.set_inheritable(self.theirs, True)
            environ[self.variable] = str(self.theirs).encode()
        elif self.theirs == self.number:
            posix.set_inheritable(self.theirs, True)
        else:
            try:
                posix.dup2(self.theirs, self.number, True)
            except OSError as error:
                raise Failure(
                    f"offering the daemon descriptor {self.number} to say that it is ready: {error.strerror}; "
                    "is the limit on open files (ulimit -n) above it?"
                ) from None

    def attach(self, watched: "Subject") -> None:
        """Read until it is said, or until nobody is left who could say it."""
        if is_same(self.theirs, self.ours):  # else the watcher has closed it, and its number may be another's now
            posix.close(self.theirs)  # or its end would never be seen
        self.watched = watched
        self.held = watched.expect("a newline on its descriptor" if self.newline else "a write to its descriptor")
        watched.loop.watch(self.ours, self._hear)

    def _hear(self) -> None:
        assert self.watched is not None
        data = posix.read(self.ours, 4096)
        if b"\n" in data or (data and not self.newline):
            self.held()
        elif not data:
            self.watched.loop.forget(self.ours)
            if not self.watched.ready:
                # A daemon that ends closes it too, just before it is gone; that is its init's to report.
                self.watched.loop.after(ENDING_S, self._complain)

    def _complain(self) -> None:
        assert self.watched is not None
        self.watched.reporter.say("closed its readiness descriptor without having said that it is ready")

    def leave(self) -> None:
        """Close our end; a daemon of this kind is done with its own."""
        self.close()

    def let_go(self) -> None:
        """Close our end."""
        self.close()

    def close(self) -> None:
        """Close our end."""
        if self.watched is not None:
            self.watched.loop.forget(self.ours)
        posix.close(self.ours)

    def discard(self) -> None:
        """Close both ends."""
        posix.close(self.ours)
        posix.close(self.theirs)


def is_same(one: int, other: int) -> bool:
    """Whether both descriptors are open, and ends of the same pipe."""
    try:
        return posix.fstat(one).st_ino == posix.fstat(other).st_ino
    except OSError:
        return False
