"""--ready-when exec:COMMAND: a shell command ends with 0. It is run again in steps that grow, never twice at once."""

import _signal
import posix

from cross_init.kernel.linux import Environment, open_null
from cross_init.readiness.condition import Condition
from cross_init.readiness.repeated import Repeated

SHELL = "/bin/sh"


class Command(Repeated):
    """A command for the shell, with the daemon's variables, in the folder where we were started."""

    pid = 0
    pidfd = -1

    def __init__(self, text: str, command: str) -> None:
        super().__init__(text)
        self.command = command
        self.environ: Environment = {}
        self.folder = "/"

    def prepare(self, environ: Environment) -> None:
        """Remember how it is to be run. Raises OSError."""
        self.environ = dict(environ)
        try:
            self.folder = posix.getcwd()
        except FileNotFoundError:
            pass  # it was removed: nothing is in it, so no word of the command can lead to anything there

    def ask(self) -> None:
        """Start it."""
        try:
            self.pid = posix.fork()
        except OSError:
            self.answer(False)
            return
        if self.pid == 0:
            try:
                posix.setsid()  # nothing that is meant for us or the daemon is meant for it; and it is ended as a whole
                posix.chdir(self.folder)
                for number in (_signal.SIGTERM, _signal.SIGINT, _signal.SIGHUP, _signal.SIGPIPE, _signal.SIGXFSZ):
                    _signal.signal(number, _signal.SIG_DFL)
                _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
                posix.dup2(open_null(), 0)
                posix.dup2(2, 1)  # what it says is for people, not part of the daemon's output
                posix.execve(SHELL, ["sh", "-c", self.command], self.environ)
            finally:
                posix._exit(127)
        self.watched.helpers[self.pid] = None
        try:
            self.pidfd = posix.pidfd_open(self.pid)
        except OSError:  # the limit on open files
            posix.kill(self.pid, _signal.SIGKILL)  # our child, not waited for: the PID is still its own
            self._hear()
            return
        self.watched.loop.watch(self.pidfd, self._hear)

    def _hear(self) -> None:
        status = self._wait()
        self._forget()
        self.answer(status == 0)

    def _wait(self) -> int | None:
        """Its wait status; whoever waits for all children may have been first."""
        try:
            return posix.waitpid(self.pid, 0)[1]
        except ChildProcessError:
            return self.watched.helpers.get(self.pid)

    def _forget(self) -> None:
        self.watched.helpers.pop(self.pid, None)
        if self.pidfd >= 0:
            self.watched.loop.forget(self.pidfd)
            posix.close(self.pidfd)
        self.pid, self.pidfd = 0, -1

    def stop(self) -> None:
        """End the attempt that is under way. Its end is heard of as always, and not waited for."""
        super().stop()
        if self.pid and self.watched.helpers.get(self.pid) is None:  # not reaped by anybody: its number is its own
            posix.kill(self.pid, _signal.SIGKILL)
            try:
                posix.killpg(self.pid, _signal.SIGKILL)
            except ProcessLookupError:
                pass  # it had not come to lead its group


def make(kind: str, rest: str, text: str, bus: str) -> Condition:
    """Any command."""
    return Command(text, rest)
