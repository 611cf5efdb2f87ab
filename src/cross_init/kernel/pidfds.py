"""Signals to a process by its pidfd, and whether it has ended (pidfd_open(2)): its PID may be another's by then."""

import _signal
import posix

from cross_init.kernel.linux import retry_transient


def send(pidfd: int, number: int) -> None:
    """Send the daemon a signal; that it has ended is no error here, as its end is looked for elsewhere."""
    try:
        _signal.pidfd_send_signal(pidfd, number)
    except OSError:
        pass


def send_group(pid: int, pidfd: int, number: int) -> None:
    """The same, to the process group that the daemon leads, if it does."""
    try:
        if posix.getpgid(pid) == pid:
            posix.killpg(pid, number)
        else:
            _signal.pidfd_send_signal(pidfd, number)
    except OSError:
        pass


def has_ended(pidfd: int) -> bool:
    """Whether the process has, be it waited for or not."""
    from select import POLLIN, poll

    look = poll()
    look.register(pidfd, POLLIN)
    return bool(retry_transient(look.poll, 0))
