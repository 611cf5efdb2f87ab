"""The PID file by which a daemon names its main process, for who follows that; as a condition of readiness, too.

A daemon that forks away is ready when its file names it. While it does not, what is waited for says why not.
"""

from cross_init.notify.pid_file import Foreign

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cross_init.bounds import Pid
    from cross_init.watch.watched import Watched


class NamedMain(Foreign):
    """The file. is_awaited: the service is not ready before it names a process of the service."""

    def __init__(self, path: str, watched: "Watched", is_awaited: bool) -> None:
        super().__init__(path, watched.reporter.say)
        self.watched = watched
        self.words = ""  # what is waited for
        self.held: Callable[[], None] | None = None
        if is_awaited:
            self._expect("")

    def is_followed(self) -> None:
        """It names the main process, which is followed now."""
        if self.held is not None:
            self.held()
            self.held = None

    def is_in_vain(self, pid: "Pid | None") -> None:
        """It names this process, which is not one to be followed; or nobody."""
        if self.held is not None:
            self._expect(
                " (nothing does yet)" if pid is None else f" (it names {pid}, which is no process of the service)"
            )

    def _expect(self, why_not: str) -> None:
        words = f"the PID file {self.path} to name the daemon{why_not}"
        if words != self.words:
            before, self.words, self.held = self.held, words, self.watched.expect(words)
            if before is not None:
                before()  # only now, as nothing else may be waited for
