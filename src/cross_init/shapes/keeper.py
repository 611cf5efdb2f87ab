"""The keeper (hand_over.py), the daemon's parent until that is the init's child: our side of it, and its own life."""

import _signal
import posix

from cross_init.errors import Failure, print_error, print_unexpected, why
from cross_init.kernel.linux import fork, pending_signals, retry_transient
from cross_init.model import Channel
from cross_init.plan import stops
from cross_init.shapes.processes import PASSED_ON, Given, fork_daemon

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.launch import Start

STOPPED, ENDED = b"stopped", b"ended"  # the keeper's news
LET_GO = b"l"  # what the keeper is told
GONE_MS = 1000  # the witness has nothing to do but to go


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
        self.say(LET_GO)
        posix.waitpid(self.pid, 0)

    def say(self, word: bytes) -> None:
        """Tell it, or the witness that it has left."""
        try:
            posix.write(self.lifeline, word)
        except BrokenPipeError:
            pass  # it was killed

    def dismiss(self) -> None:
        """It is all done: let the witness go, and see that it has."""
        from select import poll

        from cross_init.watch.witness import DONE

        self.say(DONE)
        hangs_up = poll()
        hangs_up.register(self.news, 0)
        hangs_up.poll(GONE_MS)


def keep(start: "Start", given: Given, channel: Channel, tell: int, bridge: int, laid_out: bool) -> None:
    """The keeper's whole life: the daemon's parent until it is let go or the daemon ends. Does not return.

    If the bridge goes without letting go, the start has failed, and the daemon is ended.
    """
    pid = 0
    try:
        posix.setsid()
        keeper = posix.getpid()

        def enrol() -> None:
            # It names itself: a keeper that is killed behind the fork could not, and nobody would know of it.
            _say(tell, b"%d" % posix.getpid())
            _take_missed(keeper)

        pid = fork_daemon(start, given, channel, laid_out=laid_out, enrol=enrol)
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
            for fd, _ in retry_transient(poller.poll):
                if fd == woken:
                    posix.read(woken, 64)
                else:
                    if posix.read(bridge, 1) != LET_GO:
                        posix.kill(pid, _signal.SIGKILL)  # our child, not waited for: the PID is still its own
                    else:
                        _leave_witness(start, pid, bridge)
                    return
    except Failure as failure:
        print_error(str(failure), 0)
    except BrokenPipeError:  # the bridge is gone
        if pid:
            posix.kill(pid, _signal.SIGKILL)
    except Exception as error:
        if pid:
            posix.kill(pid, _signal.SIGKILL)  # whatever happens to us, it is not left to itself
        if isinstance(error, OSError):
            print_error(f"watching the daemon (PID {pid}): {why(error)}; it was ended", 0)
        else:
            print_unexpected(error)
    finally:
        posix._exit(0)


def _take_missed(keeper: int) -> None:
    """In the process that is about to become the daemon: get what the keeper was sent before there was this process.

    What waits at the keeper is taken to have been sent to all, and is not passed on. Once more does no harm.
    """
    for number in pending_signals(keeper).intersection(PASSED_ON):
        posix.kill(posix.getpid(), number)


def _leave_witness(start: "Start", pid: int, bridge: int) -> None:
    """Fork it, in the keeper. Raises Failure, OSError."""
    from cross_init.watch.witness import see_hand_over

    pidfd = posix.pidfd_open(pid)  # our child, not waited for
    if fork("seeing that the daemon is handed over") == 0:
        see_hand_over(start, pid, pidfd, bridge, stops(start.request))


def _say(tell: int, line: bytes) -> None:
    """News for the bridge. Raises OSError, BrokenPipeError if it is gone: then the daemon is not to live on."""
    posix.write(tell, line + b"\n")
