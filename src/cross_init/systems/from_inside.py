"""A PID namespace that was entered before us (exec unshare -p ... cross-init-bridge): what tells of an init outside.

It looks like a container from here. A container's runtime starts it with an environment and descriptors of its own, so
what came down from an init was left by who entered.
"""

import posix

from cross_init.kernel.linux import Environment
from cross_init.kernel.process_stat import open_descriptors

BEHIND = "enter the namespace behind us: cross-init-bridge ... -- unshare ... DAEMON"


def warnings(environ: Environment) -> list[str]:
    """Who may wait outside, in words, with what to do."""
    found = []
    if b"SYSTEMD_EXEC_PID" in environ and b"NOTIFY_SOCKET" in environ:
        found.append(
            "systemd has started who entered this PID namespace, and hears this process only with NotifyAccess=all in "
            f"the unit: write that, or {BEHIND}"
        )
    elif b"UPSTART_JOB" in environ:
        found.append(
            "UPSTART_JOB is set, and Upstart cannot be told from within a PID namespace: if it has started this, "
            f"{BEHIND}"
        )
    elif posix.access("supervise/status", posix.F_OK):
        found.append(
            "this is a service directory, whose supervisor is not told from within a PID namespace, nor is cross-init "
            f"check there: {BEHIND}"
        )
    if pipes := pipes_left_open():
        found.append(
            f"descriptor {pipes[0]} is a pipe that was left open: if who started this waits for a newline there, say "
            f"--ready-fd {pipes[0]}"
        )
    return found


def pipes_left_open() -> list[int]:
    """Descriptors from 3 on that are the writing end of a pipe, and not ours."""
    opened = open_descriptors("self") or {}
    return sorted(fd for fd, link in opened.items() if fd > 2 and link.startswith("pipe:") and is_left_to_us(fd))


def is_left_to_us(fd: int) -> bool:
    """Whether it came over exec, for writing."""
    try:
        return posix.get_inheritable(fd) and bool(posix.lstat(f"/proc/self/fd/{fd}").st_mode & 0o200)
    except OSError:
        return False  # the descriptor by which the folder was read
