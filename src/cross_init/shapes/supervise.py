"""The shape "supervise": this process stays the main process, with the daemon as its child.

It passes signals on, ends as the daemon ends, and tells the init of readiness itself.
"""

import _signal
import posix
from time import monotonic

from cross_init.cli import complain
from cross_init.shapes.processes import PASSED_ON, SI_USER_MAX, block, end_like, fork_daemon, send
from cross_init.sockets import close

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.bridge import Start

TERMINAL_STOPS = (_signal.SIGTSTP, _signal.SIGTTIN, _signal.SIGTTOU)


def run(start: "Start") -> int:
    """Run the daemon as a child until it ends; returns the exit code to end with. Raises OSError."""
    began = monotonic()
    pid = fork_daemon(start, block())
    try:
        pidfd = posix.pidfd_open(pid)
    except OSError:  # the limit on open files; a daemon that nobody supervises must not remain
        posix.kill(pid, _signal.SIGKILL)  # our child, not waited for: the PID is still its own
        raise
    close(start.sockets)
    ready = False
    while True:
        got = _signal.sigwaitinfo((*PASSED_ON, _signal.SIGCHLD))
        if got.si_signo != _signal.SIGCHLD:
            # The terminal's signals come from the kernel, to the daemon as well, as it is in our process group.
            if got.si_code <= SI_USER_MAX:
                send(pidfd, got.si_signo)
            continue
        while True:
            ended, status = posix.waitpid(pid, posix.WNOHANG | posix.WUNTRACED)
            if not ended:
                break
            if not posix.WIFSTOPPED(status):
                return end_like(status)
            if posix.WSTOPSIG(status) in TERMINAL_STOPS:
                posix.kill(posix.getpid(), _signal.SIGSTOP)  # for the shell's job control; its "fg" continues both
                send(pidfd, _signal.SIGCONT)
            elif not ready:
                ready = True
                try:
                    start.init.ready(start.service, pid, pidfd, monotonic() - began)
                except OSError as error:
                    complain(f"telling {start.init.name} that the daemon is ready: {error.strerror}", 0)
                send(pidfd, _signal.SIGCONT)
