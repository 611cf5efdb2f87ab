"""The shape "hand over": the daemon is a descendant until it is ready, then the main process; then we are gone.

Three processes, while the daemon starts:

    bridge     the main process, as the init knows it; it alone may tell the init anything
      keeper   the daemon's parent, since only a parent sees a process stop
        daemon

When the daemon is ready the keeper is let go. So the daemon is the init's own child *before* the init is told that it
is the main process: systemd takes it as one of its own, and sees its end. A daemon that said so by stopping itself is
continued only when the init knows.

The keeper is also the canary for signals. It shares the daemon's process group and control group, and blocks what it
gets: what waits at the keeper was sent to all, so the daemon has it too, and need not get it twice.
"""

import _signal
import posix
from select import POLLIN, poll
from time import monotonic

from cross_init.cli import complain, complain_of_mistake
from cross_init.engine import Engine
from cross_init.linux import fork, why
from cross_init.model import FAILED, STOP, Channel, Failure
from cross_init.shapes.processes import Given, Signals, block, end_like, fork_daemon, send
from cross_init.watched import Watched

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.bridge import Start

STOPPED, ENDED = b"stopped", b"ended"  # the keeper's news
LET_GO = b"l"  # what the keeper is told


class HandOver:
    """The bridge's part. status: the daemon's wait status, if it has ended before it was ready."""

    def __init__(
        self, engine: Engine, start: "Start", keeper: "Keeper", pid: int, channel: Channel, began: float
    ) -> None:
        self.engine = engine
        self.start = start
        self.keeper = keeper
        self.channel = channel
        self.status: int | None = None
        self.is_stopped = False
        try:
            pidfd = posix.pidfd_open(pid)
        except ProcessLookupError:  # ended already, and the keeper has seen it; any process that ends soon will do
            pidfd = posix.pidfd_open(keeper.pid)
        self.watched = Watched(engine, start, pid, pidfd, began, engine.stop)
        stops = start.wish.notify and start.target.says == STOP
        self.stops = self.watched.expect("the daemon to stop itself") if stops else None
        channel.attach(self.watched)
        self.watched.observe()
        engine.watch(keeper.news, self._hear_keeper)
        Signals(engine, self._signalled)

    def _hear_keeper(self) -> None:
        line = self.keeper.read_line()
        if line.startswith(STOPPED):
            if self.stops is not None:
                self.is_stopped = True
                stops, self.stops = self.stops, None
                stops()
                if not self.watched.ready:  # something else has to hold as well, for which it has to run
                    self.is_stopped = False
                    send(self.watched.pidfd, _signal.SIGCONT)
        elif line.startswith(ENDED):
            self.status = int(line.removeprefix(ENDED))
            self.engine.stop()
        else:
            send(self.watched.pidfd, _signal.SIGKILL)
            raise Failure(
                f"watching the daemon (PID {self.watched.pid}): the process that watched it was killed; "
                "so the daemon was, too"
            )

    def _signalled(self, number: int, code: int) -> None:
        """What is sent to the main process is meant for the daemon."""
        if number == _signal.SIGCHLD:
            return  # the keeper's end is seen by its pipe
        from cross_init.kernel_knows import pending_signals

        try:
            # An init that ends a whole group does so one by one; when it is done, the canary has it or has it not.
            self.start.init.settle(self.start.original)
        except OSError:
            pass  # then the daemon may get it twice, which is better than never
        if not pending_signals(self.keeper.pid) >> (number - 1) & 1:
            send(self.watched.pidfd, number)

    def finish(self) -> int:
        """The daemon is ready, or has ended: hand it over, or end as it did. Raises Failure."""
        if self.status is not None:
            self.channel.discard()
            return FAILED if self.watched.timed_out else end_like(self.status)
        init, pid, pidfd = self.start.init, self.watched.pid, self.watched.pidfd
        self.keeper.let_go()
        try:
            init.hand_over(self.start.original, pid)
        except OSError as error:
            send(pidfd, _signal.SIGKILL)
            raise Failure(f"telling {init.called} that the daemon is ready: {why(error)}; it was ended") from None
        poller = poll()
        poller.register(pidfd, POLLIN)
        if poller.poll(0):
            raise Failure(f"handing the daemon (PID {pid}) over to {init.called}: it was killed meanwhile")
        if self.is_stopped:
            send(pidfd, _signal.SIGCONT)
        self.channel.leave()
        return 0


class Keeper:
    """The daemon's parent, as the bridge sees it."""

    def __init__(self, pid: int, news: int, lifeline: int) -> None:
        self.pid = pid
        self.news = news
        self.lifeline = lifeline
        self.said = b""

    def read_line(self) -> bytes:
        """What it says next; nothing if it has ended."""
        while b"\n" not in self.said:
            part = posix.read(self.news, 64)
            if not part:
                return b""
            self.said += part
        line, _, self.said = self.said.partition(b"\n")
        return line

    def let_go(self) -> None:
        """Let it end without the daemon, and wait for that: then the daemon is the init's child."""
        try:
            posix.write(self.lifeline, LET_GO)
        except BrokenPipeError:
            pass  # it was killed
        posix.waitpid(self.pid, 0)


def run(start: "Start") -> int:
    """Run the daemon until it is ready and the init's; returns the exit code to end with. Raises Failure, OSError."""
    began = monotonic()
    given = block()
    channel = start.channel(True)
    news, tell = posix.pipe2(posix.O_CLOEXEC)
    # That the bridge is gone, however it ended, is seen by this pipe's hanging up.
    bridge, lifeline = posix.pipe2(posix.O_CLOEXEC)
    pid = fork("starting the daemon")
    if pid == 0:
        posix.close(news)
        posix.close(lifeline)
        _keep(start, given, channel, tell, bridge)
    posix.close(tell)
    posix.close(bridge)
    start.close_sockets()
    keeper = Keeper(pid, news, lifeline)
    line = keeper.read_line()
    if not line:
        channel.discard()
        return 125  # the keeper has said why
    engine = Engine()
    hand_over = HandOver(engine, start, keeper, int(line), channel, began)
    engine.run()
    return hand_over.finish()


def _keep(start: "Start", given: Given, channel: Channel, tell: int, bridge: int) -> None:
    """The keeper's whole life: the daemon's parent until it is let go or the daemon ends. Does not return.

    If the bridge goes without letting go, the start has failed, and the daemon is ended.
    """
    pid = 0
    try:
        posix.setsid()
        pid = fork_daemon(start, given, channel)
        _say(tell, b"%d" % pid)
        start.close_sockets()
        woken, wake = posix.pipe2(posix.O_CLOEXEC | posix.O_NONBLOCK)
        _signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        _signal.signal(_signal.SIGCHLD, lambda number, frame: None)
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, (_signal.SIGCHLD,))
        poller = poll()
        poller.register(woken, POLLIN)
        poller.register(bridge, POLLIN)
        while True:
            ended, status = posix.waitpid(pid, posix.WNOHANG | posix.WUNTRACED)
            if ended and posix.WIFSTOPPED(status):
                _say(tell, STOPPED)
            elif ended:
                pid = 0
                _say(tell, ENDED + b"%d" % status)
                return
            for fd, _ in poller.poll():
                if fd == woken:
                    posix.read(woken, 64)
                else:
                    if posix.read(bridge, 1) != LET_GO:
                        posix.kill(pid, _signal.SIGKILL)  # our child, not waited for: the PID is still its own
                    return
    except Failure as failure:
        complain(str(failure), 0)
    except Exception as error:
        if pid:
            posix.kill(pid, _signal.SIGKILL)  # whatever happens to us, it is not left to itself
        if isinstance(error, OSError):
            complain(f"watching the daemon (PID {pid}): {why(error)}; it was ended", 0)
        else:
            complain_of_mistake(error)
    finally:
        posix._exit(0)


def _say(tell: int, line: bytes) -> None:
    """News from the keeper. That the bridge is gone is no error here: its own pipe says that, too."""
    try:
        posix.write(tell, line + b"\n")
    except BrokenPipeError:
        pass
