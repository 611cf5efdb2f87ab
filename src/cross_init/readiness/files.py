"""--ready-when file:PATH (it appears, or is written anew) and pid-file:PATH (it names the daemon)."""

import posix

from cross_init.errors import Failure
from cross_init.kernel.linux import Environment, absolute
from cross_init.notify.pid_file import Foreign
from cross_init.readiness.condition import Condition
from cross_init.readiness.path_watch import PathWatch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cross_init.readiness.subject import Subject

Identity = tuple[int, int, int, int]


class File(Condition):
    """A path. What was there before the start does not count: it may be a dead predecessor's."""

    def __init__(self, text: str, path: str) -> None:
        super().__init__(text)
        self.path = path
        self.before: Identity | None = None
        self.news: PathWatch | None = None
        self.held: Callable[[], None] | None = None
        self.watched: Subject | None = None

    def prepare(self, environ: Environment) -> None:
        """Remember what is there. Relative paths count from here, as the watcher is elsewhere. Raises Failure."""
        self.path = absolute(self.path, f"--ready-when {self.text}")
        self.before = identity(self.path)

    def attach(self, watched: "Subject") -> None:
        """Look, and look again at every change."""
        self.watched = watched
        self.held = watched.expect(self.text)
        self.news = PathWatch(watched.loop, self.path, self._look)
        watched.loop.after(0, self._look)

    def _look(self) -> None:
        if self.held is not None and self.holds():
            held, self.held = self.held, None
            self.stop()
            held()

    def holds(self) -> bool:
        """Whether it is there and new."""
        now = identity(self.path)
        return now is not None and now != self.before

    def stop(self) -> None:
        """Look no more."""
        self.held = None
        if self.news is not None:
            self.news.close()


class PidFile(File):
    """A file with a process number in it, which has to be the service's.

    It has to be new as well: in a container a dead predecessor had the same number.
    """

    def attach(self, watched: "Subject") -> None:
        """Look, and look again at every change."""
        self.foreign = Foreign(self.path, lambda text: watched.reporter.say(f"--ready-when {self.text}: {text}"))
        super().attach(watched)

    def holds(self) -> bool:
        """Whether it was written and names a process of the service."""
        if not super().holds() or self.watched is None:
            return False
        pid = self.foreign.read()
        return pid is not None and self.watched.belongs(pid)


def identity(path: str) -> Identity | None:
    """What changes when a file is made or written anew; None if there is none."""
    try:
        status = posix.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns


def make(kind: str, rest: str, text: str, bus: str) -> Condition:
    """Raises Failure."""
    if rest.endswith("/"):
        raise Failure(f"--ready-when {text}: {rest} is a folder, not a file")
    return PidFile(text, rest) if kind == "pid-file" else File(text, rest)
