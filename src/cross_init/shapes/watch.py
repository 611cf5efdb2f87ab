"""The shape "watch": this process becomes the daemon; a watcher beside it hears the daemon and tells the init.

The init goes on tracking the PID that it started. The watcher is forked twice, so that the daemon has no child that
it did not make, and no zombie; it leads a session of its own, so that a signal to the daemon's process group does not
reach it; it knows of the daemon's end by a pidfd, whatever user the daemon has become.
"""

import _signal
import _socket
import posix
from fcntl import F_DUPFD, fcntl
from time import monotonic

from cross_init.model import Failure
from cross_init.notify_socket import Address, make
from cross_init.shapes import NO_PROCESS, fork
from cross_init.sockets import close

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.bridge import Start

OUT_OF_THE_WAY = 200  # where the daemon holds the socket for --end-after-ready: above what daemons use by number


def run(start: "Start") -> int:
    """Start the watcher and become the daemon. Does not return; raises Failure, OSError."""
    began = monotonic()
    start.lay_out()
    pid = posix.getpid()
    pidfd = posix.pidfd_open(pid)  # taken before the first fork, so it cannot name another process
    sock, address = make(start.wish.end_after_ready)
    try:
        start.environ[b"NOTIFY_SOCKET"] = address.variable
        # Ignored (as nohup-like wrappers may leave it), it would take the helper's status away from us.
        children = _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
        helper = fork("starting the watcher")
        if helper == 0:
            _in_helper(start, pid, pidfd, sock, address, began)
        if posix.waitpid(helper, 0)[1] != 0:
            raise Failure(f"starting the watcher: {NO_PROCESS}")
        assert isinstance(children, int)
        _signal.signal(_signal.SIGCHLD, children)  # also drops the helper's SIGCHLD if that is blocked (sigaction(2))
        if start.wish.end_after_ready:
            _hold(sock)
        start.execute()
    except BaseException:
        # Failed before the daemon was there. A watcher that is there already does this again when it sees our end.
        address.remove()
        raise
    return 0


def _hold(sock: _socket.socket) -> None:
    """Let the daemon itself keep the socket, so that it outlives the watcher; the kernel frees it with the daemon."""
    try:
        fcntl(sock.fileno(), F_DUPFD, OUT_OF_THE_WAY)
    except OSError:  # the limit on open files is lower than that
        fcntl(sock.fileno(), F_DUPFD, 3)


def _in_helper(start: "Start", pid: int, pidfd: int, sock: _socket.socket, address: Address, began: float) -> None:
    """Between the two forks. Does not return."""
    code = 1
    try:
        posix.setsid()
        if posix.fork() == 0:
            close(start.sockets)  # a port must be free when the daemon is gone, not when we are
            from cross_init.watcher import run as run_watcher

            run_watcher(start, pid, pidfd, sock, address, began)
        code = 0
    finally:
        posix._exit(code)
