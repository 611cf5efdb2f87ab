"""Leave what is the daemon's: what a process of ours does first that is to live beside it."""

import _signal
import posix

from cross_init.kernel.linux import open_null


def detach(keep: set[int]) -> None:
    """Keep nothing of the daemon's but standard error: no folder busy, no port taken, no pipe held open.

    keep: the descriptors that are needed.
    """
    try:
        descriptors = [int(name) for name in posix.listdir("/proc/self/fd")]
    except OSError:  # no /proc here; the limit may be a thousand million
        begin = 3
        for fd in sorted(fd for fd in (*keep, posix.sysconf("SC_OPEN_MAX")) if fd > 2):
            posix.closerange(begin, fd)  # in one go, since Linux 5.9 (close_range(2))
            begin = fd + 1
        descriptors = []
    for fd in descriptors:
        if fd > 2 and fd not in keep:
            try:
                posix.close(fd)
            except OSError:
                pass  # the descriptor by which the folder was read
    try:
        posix.chdir("/")
        null = open_null()  # only now that there is room for it
        posix.dup2(null, 0)
        posix.dup2(null, 1)
        posix.close(null)
    except OSError:
        pass  # what is held open then is a pity, and no reason to end


def set_name(name: bytes) -> None:
    """Be shown under this name by ps(1)."""
    try:
        fd = posix.open("/proc/self/comm", posix.O_WRONLY)
        posix.write(fd, name)
        posix.close(fd)
    except OSError:
        pass  # it is only a name


def ignore_stop_signals(name: bytes = b"cross-init") -> None:
    """Have a name of our own, and no part in what ends this machine's processes."""
    set_name(name)
    # Whoever ends all processes, as at shutdown, ends the daemon as well, and then we go; SIGKILL is for emergencies.
    for number in (_signal.SIGTERM, _signal.SIGINT, _signal.SIGHUP, _signal.SIGPIPE):
        _signal.signal(number, _signal.SIG_IGN)
