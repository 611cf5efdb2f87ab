"""The shape "watch": this process becomes the daemon; a watcher beside it hears the daemon and tells the init.

The init goes on tracking the PID that it started. The watcher is forked twice, so that the daemon has no child that
it did not make, and no zombie; it leads a session of its own, so that a signal to the daemon's process group does not
reach it; it knows of the daemon's end by a pidfd, whatever user the daemon has become.
"""

import _signal
import posix
from time import monotonic

from cross_init.complaints import complain
from cross_init.linux import NO_PROCESS, fork, reason
from cross_init.model import Channel, Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.launch import Start


def run(start: "Start") -> int:
    """Start the watcher and become the daemon. Does not return; raises Failure, OSError."""
    began = monotonic()
    start.lay_out()
    pid = posix.getpid()
    pidfd = posix.pidfd_open(pid)  # taken before the first fork, so it cannot name another process
    channel = start.channel(start.wish.end_after_ready)
    try:
        # Ignored (as nohup-like wrappers may leave it), it would take the helper's status away from us.
        children = _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
        helper = fork("starting the watcher")
        if helper == 0:
            _in_helper(start, pid, pidfd, channel, began)
        if posix.waitpid(helper, 0)[1] != 0:
            raise Failure(f"starting the watcher: {NO_PROCESS}")
        assert isinstance(children, int)
        _signal.signal(_signal.SIGCHLD, children)  # also drops the helper's SIGCHLD if that is blocked (sigaction(2))
        start.expose(channel)
        start.execute()
    except BaseException:
        # Failed before the daemon was there. A watcher that is there already does this again when it sees our end.
        channel.discard()
        raise
    return 0


def _in_helper(start: "Start", pid: int, pidfd: int, channel: Channel, began: float) -> None:
    """Between the two forks. Does not return."""
    code = 1
    try:
        posix.setsid()
        if posix.fork() == 0:
            try:
                from cross_init.watcher import run as run_watcher
            except Exception as error:
                # An upgrade is under way, say. Unsaid, nobody would know why it never gets ready.
                complain(
                    f"starting the watcher: {reason(error)}; nobody hears whether the daemon is ready: start it anew", 0
                )
                channel.discard()
                raise
            run_watcher(start, pid, pidfd, channel, began)
        code = 0
    finally:
        posix._exit(code)
