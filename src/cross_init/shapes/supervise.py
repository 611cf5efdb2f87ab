"""The shape "supervise": this process stays the main process, with the daemon as its child.

It passes signals on, ends as the daemon ends, and tells the init of readiness itself.
"""

import _signal
import posix
from time import monotonic

from cross_init.engine import Engine
from cross_init.model import STOP
from cross_init.shapes.processes import SI_KERNEL, Signals, block, end_like, fork_daemon, send
from cross_init.watched import Watched

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.bridge import Start
    from cross_init.model import Channel

TERMINAL_STOPS = (_signal.SIGTSTP, _signal.SIGTTIN, _signal.SIGTTOU)


class Supervisor:
    """The parent of one daemon. status: the daemon's wait status, when it has ended."""

    def __init__(self, engine: Engine, start: "Start", pid: int, channel: "Channel", began: float) -> None:
        self.engine = engine
        self.pid = pid
        self.status = 0
        self.says_by_stopping = start.target.says == STOP
        self.watched = Watched(engine, start, pid, posix.pidfd_open(pid), began, self._tell)
        self.stops = self.watched.expect("the daemon stops itself") if self.says_by_stopping else None
        channel.attach(self.watched)
        Signals(engine, self._signalled)

    def _tell(self) -> None:
        watched = self.watched
        try:
            watched.init.ready(watched.service, self.pid, posix.pidfd_open(posix.getpid()), watched.seconds)
        except OSError as error:
            watched.reporter.say(f"telling {watched.init.name} that the daemon is ready failed: {error.strerror}")

    def _signalled(self, number: int, code: int) -> None:
        if number == _signal.SIGCHLD:
            self._look_at_daemon()
        elif code != SI_KERNEL:
            # What the kernel sends is a terminal's, and the daemon has it too, as it is in our process group.
            send(self.watched.pidfd, number)

    def _look_at_daemon(self) -> None:
        while True:
            ended, status = posix.waitpid(self.pid, posix.WNOHANG | posix.WUNTRACED)
            if not ended:
                return
            if not posix.WIFSTOPPED(status):
                self.status = status
                self.engine.stop()
                return
            if posix.WSTOPSIG(status) in TERMINAL_STOPS:
                _signal.raise_signal(_signal.SIGSTOP)  # for the shell's job control; its "fg" continues both
                send(self.watched.pidfd, _signal.SIGCONT)
            elif self.stops is not None:
                stops, self.stops = self.stops, None
                stops()
                send(self.watched.pidfd, _signal.SIGCONT)


def run(start: "Start") -> int:
    """Run the daemon as a child until it ends; returns the exit code to end with. Raises OSError."""
    began = monotonic()
    given = block()
    channel = start.target.channel(False)
    try:
        pid = fork_daemon(start, given, channel)
    except BaseException:
        channel.discard()
        raise
    start.close_sockets()
    try:
        engine = Engine()
        supervisor = Supervisor(engine, start, pid, channel, began)
    except BaseException:  # the limit on open files; a daemon that nobody supervises must not remain
        posix.kill(pid, _signal.SIGKILL)  # our child, not waited for: the PID is still its own
        channel.discard()
        raise
    engine.run()
    channel.close()
    start.init.ended()
    supervisor.watched.close()
    return end_like(supervisor.status)
