"""The pipe on which a supervisor waits for a word from its service, found among what both have open (proc_pid_fd(5)).

Nothing else tells where it is: dinit says no number to a service. Whoever is beside the service can write there as
well, by opening anew what the service has open. That it is that process all the time its caller sees to, by a pidfd.
"""

import posix

from cross_init.kernel.process_stat import open_descriptors

READING, WRITING = 0o400, 0o200  # the mode of a link in /proc/PID/fd
AGAIN = posix.O_WRONLY | posix.O_NONBLOCK | posix.O_NOCTTY | posix.O_CLOEXEC


def readiness_pipes(service: int | str, supervisor: int) -> list[int]:
    """The descriptors of a service from 3 on that are pipes to its supervisor: one, if that waits for readiness.

    Supervisors leave no other pipe open, but whoever started the supervisor may have done so; such a pipe it does not
    read. Where we may not look at its descriptors (it has given the service to another user), each pipe may be it.
    """
    return _between(_pipes(service, WRITING), _pipes(supervisor, READING))


def opened_anew(service: int, supervisor: int) -> int | None:
    """A descriptor of our own on that pipe, for writing; None if there is not exactly one, or it is not for us to see.

    What is opened is a pipe that the supervisor reads, whatever the service does meanwhile. Raises OSError.
    """
    theirs = _pipes(supervisor, READING)
    found = _between(_pipes(service, WRITING), theirs) if theirs else []
    if len(found) != 1:
        return None
    seen = posix.open(f"/proc/{service}/fd/{found[0]}", posix.O_PATH | posix.O_CLOEXEC)
    try:
        link = f"/proc/self/fd/{seen}"  # the very thing that was looked at, which is a pipe by its link
        return posix.open(link, AGAIN) if theirs and posix.readlink(link) in theirs.values() else None
    finally:
        posix.close(seen)


def _between(ours: dict[int, str] | None, theirs: dict[int, str] | None) -> list[int]:
    """The descriptors from 3 on of pipes that both have; of all pipes where those of the other are not to be seen."""
    return sorted(fd for fd, pipe in (ours or {}).items() if fd > 2 and (theirs is None or pipe in theirs.values()))


def _pipes(process: int | str, mode: int) -> dict[int, str] | None:
    """The process's pipes that are open in this mode; None if we may not look."""
    opened = open_descriptors(process)
    if opened is None:
        return None
    return {fd: link for fd, link in opened.items() if link.startswith("pipe:") and _is_open(process, fd, mode)}


def _is_open(process: int | str, fd: int, mode: int) -> bool:
    try:
        return bool(posix.lstat(f"/proc/{process}/fd/{fd}").st_mode & mode)
    except OSError:
        return False  # it was closed
