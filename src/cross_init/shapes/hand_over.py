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

What the bridge does then is handing_over.py, which is imported when the daemon has been forked, so it delays no start.
"""

import _signal
import posix
from time import monotonic

from cross_init.complaints import complain, complain_of_mistake
from cross_init.linux import fork, patiently, why
from cross_init.model import Channel, Failure
from cross_init.shapes.processes import Given, block, fork_daemon

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.launch import Start

STOPPED, ENDED = b"stopped", b"ended"  # the keeper's news
LET_GO = b"l"  # what the keeper is told


class Keeper:
    """The daemon's parent, as the bridge sees it."""

    def __init__(self, pid: int, news: int, lifeline: int) -> None:
        self.pid = pid
        self.news = news
        self.lifeline = lifeline

    def read_line(self) -> bytes:
        """What it says next; nothing if it has ended. Not a byte more is read: nobody would hear of the next line."""
        line = b""
        while not line.endswith(b"\n"):
            part = posix.read(self.news, 1)
            if not part:
                return b""
            line += part
        return line[:-1]

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
    from cross_init.engine import Engine  # not earlier: on a small machine the daemon's start would wait for it
    from cross_init.shapes.handing_over import HandOver

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
        from select import POLLIN, poll

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
            for fd, _ in patiently(poller.poll):
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
