"""--ready-when file:PATH (it appears, or is written anew) and pid-file:PATH (it names the daemon)."""

import posix

from cross_init.errors import Failure, why
from cross_init.kernel.linux import Environment
from cross_init.notify.pid_file import Foreign
from cross_init.readiness.condition import Condition
from cross_init.readiness.path_watch import PathWatch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cross_init.readiness.subject import Subject
    from cross_init.watch.event_loop import Timer

PAUSE_S = 0.5  # until it is looked at again where nothing tells of a change
Identity = tuple[int, int, int, int]


class File(Condition):
    """A path. What was there before the start does not count: it may be a dead predecessor's."""

    travels = True

    def __init__(self, text: str, path: str) -> None:
        super().__init__(text)
        self.path = path
        self.before: Identity | None = None
        self.news: PathWatch | None = None
        self.held: Callable[[], None] | None = None
        self.timer: Timer | None = None
        self.is_said = False  # that it cannot be looked at
        self.watched: Subject | None = None

    def prepare(self, environ: Environment) -> None:
        """Remember what is there. Raises OSError."""
        try:
            self.before = identity(self.path)
        except PermissionError:
            pass  # it is looked at again when the daemon runs, which may change that

    def carry(self) -> tuple[str, ...]:
        """What was there."""
        return tuple(map(str, self.before or ()))

    def resume(self, words: list[str]) -> None:
        """The same. Raises ValueError."""
        if words:
            device, inode, modified, changed = map(int, words)
            self.before = device, inode, modified, changed

    def attach(self, watched: "Subject") -> None:
        """Look, and look again at every change."""
        self.watched = watched
        self.held = watched.expect(self.text)
        self.news = PathWatch(watched.loop, self.path, self._look)
        watched.loop.after(0, self._look)

    def _look(self) -> None:
        if self.held is None or self.watched is None:
            return
        try:
            if self.is_new():
                if self.holds():
                    held, self.held = self.held, None
                    self.stop()
                    held()
                else:
                    self._look_later()  # it may hold without a change of the file
        except OSError as error:
            if not self.is_said:
                self.is_said = True
                self.watched.reporter.say(f"--ready-when {self.text}: {self.path}: {why(error)}; trying again")
            self._look_later()

    def _look_later(self) -> None:
        def due() -> None:
            self.timer = None
            self._look()

        if self.timer is None and self.watched is not None:
            self.timer = self.watched.loop.after(PAUSE_S, due)

    def is_new(self) -> bool:
        """Whether it is there and new. Raises OSError if that cannot be known."""
        now = identity(self.path)
        return now is not None and now != self.before

    def holds(self) -> bool:
        """Whether a new one is all that was waited for. Raises OSError."""
        return True

    def stop(self) -> None:
        """Look no more."""
        self.held = None
        if self.news is not None:
            self.news.close()
        if self.watched is not None:
            self.watched.loop.cancel(self.timer)


class PidFile(File):
    """A file with a process number in it, which has to be the service's.

    It has to be new as well: in a container a dead predecessor had the same number.
    """

    @property
    def pid_file(self) -> str:
        """This one."""
        return self.path

    def attach(self, watched: "Subject") -> None:
        """Look, and look again at every change."""
        self.foreign = Foreign(self.path, lambda text: watched.reporter.say(f"--ready-when {self.text}: {text}"))
        super().attach(watched)

    def holds(self) -> bool:
        """Whether it names a process of the service."""
        pid = self.foreign.read()
        return pid is not None and self.watched is not None and self.watched.belongs(pid)


def identity(path: str) -> Identity | None:
    """What changes when a file is made or written anew; None if there is none. Raises OSError if that is not known."""
    try:
        status = posix.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns


def make(kind: str, rest: str, text: str, bus: str) -> Condition:
    """Raises Failure."""
    if not rest.startswith("/"):
        raise Failure(f"--ready-when {text}: {rest} is no absolute path")
    if rest.endswith("/"):
        raise Failure(f"--ready-when {text}: {rest} is a folder, not a file")
    return PidFile(text, rest) if kind == "pid-file" else File(text, rest)
