"""What the shapes that keep the daemon as their child have in common: fork, pass signals on, end as it ended."""

import _signal
import posix

from cross_init.model import Failure
from cross_init.shapes import fork

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.bridge import Start

# Never passed on: the kernel does not let them be caught, or they are about our own children.
KEPT = (_signal.SIGKILL, _signal.SIGSTOP, _signal.SIGCHLD)
# Sent by the kernel to the process that did something wrong: ours, if we get one.
FAULTS = (_signal.SIGSEGV, _signal.SIGBUS, _signal.SIGFPE, _signal.SIGILL, _signal.SIGTRAP, _signal.SIGSYS)
PASSED_ON = tuple(number for number in sorted(_signal.valid_signals()) if number not in KEPT and number not in FAULTS)
SI_USER_MAX = 0  # si_code of a signal that a process sent is at most this (sigaction(2)); the kernel's own are higher


def block() -> set[int]:
    """Block what is passed on, and news of children, to be waited for; returns the mask for the daemon."""
    _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)  # ignored, it would take the exit status away from us
    return _signal.pthread_sigmask(_signal.SIG_BLOCK, (*PASSED_ON, _signal.SIGCHLD))


def send(pidfd: int, number: int) -> None:
    """Send the daemon a signal; that it has ended is no error here, as its end is looked for elsewhere."""
    try:
        _signal.pidfd_send_signal(pidfd, number)
    except OSError:
        pass


def fork_daemon(start: "Start", mask: set[int]) -> int:
    """Fork the daemon; returns its PID. mask: its signal mask. Raises Failure."""
    pid = fork("starting the daemon")
    if pid:
        return pid
    code = 125
    try:
        from cross_init.cli import complain

        try:
            start.lay_out()
            _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)
            start.execute()
        except Failure as failure:
            code = complain(str(failure), failure.code)
        except OSError as error:
            code = complain(f"preparing the daemon's sockets: {error.strerror}", 125)
    finally:
        posix._exit(code)


def end_like(status: int) -> int:
    """End as the process with this wait status did: returns the exit code, or dies of its signal."""
    if posix.WIFEXITED(status):
        return posix.WEXITSTATUS(status)
    number = posix.WTERMSIG(status)
    try:
        from resource import RLIMIT_CORE, setrlimit

        # The daemon's core tells what went wrong; one of ours would tell nothing. 1 means "none" even where cores go to
        # a program, which 0 does not (core(5): the limit is not enforced there).
        setrlimit(RLIMIT_CORE, (1, 1))
    except (ImportError, ValueError, OSError):
        pass  # a core too many is better than a wrong status
    try:
        _signal.signal(number, _signal.SIG_DFL)
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, (number,))
    except (ValueError, OSError):
        pass  # SIGKILL, and the two that the C library keeps for itself, are never caught or blocked
    posix.kill(posix.getpid(), number)
    return 128 + number  # not reached: the signal's default is to end us
