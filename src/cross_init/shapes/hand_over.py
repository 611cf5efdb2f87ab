"""The shape "hand over": the daemon is a descendant until it is ready, then the main process; then we are gone.

Three processes, while the daemon starts:

    bridge     the main process, as the init knows it; it alone may tell the init anything
      keeper   the daemon's parent, since only a parent sees a process stop
        daemon

When the daemon stops itself, the keeper says so and ends. So the daemon is the init's own child *before* the init is
told that it is the main process: systemd takes it as one of its own, and sees its end. Then the daemon is continued.

The keeper is also the canary for signals. It shares the daemon's process group and control group, and blocks what it
gets: what waits at the keeper was sent to all, so the daemon has it too, and need not get it twice.
"""

import _signal
import posix
from select import POLLHUP, poll

from cross_init.linux import pending_signals
from cross_init.model import Failure
from cross_init.shapes import NO_PROCESS, fork
from cross_init.shapes.processes import PASSED_ON, block, end_like, fork_daemon, send
from cross_init.sockets import close

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.bridge import Start

STOPPED, ENDED = b"s", b"e"


def run(start: "Start") -> int:
    """Run the daemon until it is ready and the init's; returns the exit code to end with. Raises Failure, OSError."""
    mask = block()
    news, tell = posix.pipe2(posix.O_CLOEXEC)
    # Nobody ever writes here: that the bridge is gone, however it ended, is seen by this pipe's hanging up.
    bridge_gone, bridge_lives = posix.pipe2(posix.O_CLOEXEC)
    keeper = fork("starting the daemon")
    if keeper == 0:
        _keep(start, mask, tell, news, bridge_gone, bridge_lives)
    posix.close(tell)
    posix.close(bridge_gone)
    close(start.sockets)
    said = b""
    while b"\n" not in said:
        part = posix.read(news, 64)
        if not part:
            raise Failure(f"starting the daemon: {NO_PROCESS}")
        said += part
    number, _, report = said.partition(b"\n")
    pid = int(number)
    try:
        pidfd = posix.pidfd_open(pid)
    except ProcessLookupError:  # ended and reaped already; there is nobody to pass signals to
        pidfd = -1
    _pass_signals_on(start, keeper, pidfd)
    report += posix.read(news, 64)
    if report.startswith(ENDED):
        return end_like(int(report[1:]))
    if not report.startswith(STOPPED):
        send(pidfd, _signal.SIGKILL)
        raise Failure(
            f"watching the daemon (PID {pid}): the process that watched it was killed; so the daemon was, too"
        )
    try:
        start.init.hand_over(start.original, pid)
    except OSError as error:
        send(pidfd, _signal.SIGKILL)
        raise Failure(f"telling {start.init.name} that the daemon is ready: {error.strerror}; it was ended") from None
    poller = poll()
    poller.register(pidfd)
    if poller.poll(0):
        raise Failure(f"handing the daemon (PID {pid}) over to {start.init.name}: it was killed meanwhile")
    send(pidfd, _signal.SIGCONT)
    return 0


def _pass_signals_on(start: "Start", keeper: int, pidfd: int) -> None:
    """Until the keeper has ended: what is sent to the main process is meant for the daemon."""
    while True:
        got = _signal.sigwaitinfo((*PASSED_ON, _signal.SIGCHLD))
        if got.si_signo == _signal.SIGCHLD:
            if posix.waitpid(keeper, posix.WNOHANG)[0]:
                return
            continue
        try:
            # An init that ends a whole group does so one by one; when it is done, the canary has it or has it not.
            start.init.settle(start.original)
        except OSError:
            pass  # then the daemon may get it twice, which is better than never
        if not pending_signals(keeper) >> (got.si_signo - 1) & 1:
            send(pidfd, got.si_signo)


def _keep(start: "Start", mask: set[int], tell: int, news: int, bridge_gone: int, bridge_lives: int) -> None:
    """The keeper's whole life: the daemon's parent until that stops or ends, or the bridge is gone. Does not return."""
    try:
        posix.setsid()
        posix.close(news)
        posix.close(bridge_lives)
        pid = fork_daemon(start, mask)
        posix.write(tell, b"%d\n" % pid)
        close(start.sockets)
        woken, wake = posix.pipe2(posix.O_CLOEXEC | posix.O_NONBLOCK)
        _signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        _signal.signal(_signal.SIGCHLD, lambda number, frame: None)
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, (_signal.SIGCHLD,))
        poller = poll()
        poller.register(woken)
        poller.register(bridge_gone, POLLHUP)
        while True:
            ended, status = posix.waitpid(pid, posix.WNOHANG | posix.WUNTRACED)
            if ended and posix.WIFSTOPPED(status):
                posix.write(tell, STOPPED)
                return
            if ended:
                posix.write(tell, ENDED + b"%d" % status)
                return
            for fd, _ in poller.poll():
                if fd == woken:
                    posix.read(woken, 64)
                else:
                    posix.kill(pid, _signal.SIGKILL)  # our child, not waited for: the PID is still its own
                    return
    finally:
        posix._exit(0)
