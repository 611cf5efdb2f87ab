"""Leave what is the daemon's: what a process of ours does first that is to live beside it."""

import posix


def leave_surroundings(keep: set[int]) -> None:
    """Keep nothing of the daemon's but standard error: no folder busy, no port taken, no pipe held open.

    keep: the descriptors that are needed.
    """
    try:
        posix.chdir("/")
        null = posix.open("/dev/null", posix.O_RDWR | posix.O_CLOEXEC)
        posix.dup2(null, 0)
        posix.dup2(null, 1)
    except OSError:
        pass  # no /dev here, or no descriptor left: what is held open then is a pity, and no reason to end
    try:
        descriptors = [int(name) for name in posix.listdir("/proc/self/fd")]
    except OSError:  # no /proc here
        descriptors = list(range(posix.sysconf("SC_OPEN_MAX")))
    for fd in descriptors:
        if fd > 2 and fd not in keep:
            try:
                posix.close(fd)
            except OSError:
                pass  # the descriptor by which the folder was read
