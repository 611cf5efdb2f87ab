"""The variables of a process of another user's, which that one can make wait for ever: a process of its own reads them.

They are read from the process's memory, and what stands there may have to come from a file system that a user's process
serves (fuse(4)), or from who handles that process's page faults (userfaultfd(2)).
"""

import _signal
import posix
from select import POLLIN, poll

from cross_init.kernel.linux import Environment
from cross_init.kernel.procfs import VARIABLES_MAX, variables

PATIENCE_MS = 100
OURS = b"NOTIFY_SOCKET"  # what led to us says nothing of the init
left: set[int] = set()  # processes that have not ended yet, though they were killed


def environment_of(pid: int, users: list[str]) -> Environment:
    """As it was started, but for what led it to us; none if they are not to be had. users: whose it is, by number."""
    try:
        own = str(posix.geteuid())
        text = variables(pid) if all(user == own for user in users) else _read_elsewhere(pid)
    except OSError:
        return {}
    pairs = [each.partition(b"=") for each in text.split(b"\0")]
    return {key: value for key, equals, value in pairs if equals and key != OURS}


def _read_elsewhere(pid: int) -> bytes:
    """The same, read by a process that may be lost. Raises OSError."""
    reap()
    ours, theirs = posix.pipe2(posix.O_CLOEXEC)
    try:
        child = posix.fork()
        if child == 0:
            _write(pid, theirs)
    finally:
        posix.close(theirs)
    text, is_lost = b"", True
    try:
        come = poll()
        come.register(ours, POLLIN)
        while len(text) <= VARIABLES_MAX and come.poll(PATIENCE_MS):
            part = posix.read(ours, VARIABLES_MAX)
            if not part:
                is_lost = False
                break
            text += part
    finally:
        posix.close(ours)
        posix.kill(child, _signal.SIGKILL)  # our child, not waited for: the number is still its own
        left.add(child)
        if not is_lost:
            _let_end(child)
        reap()
    return text


def _let_end(child: int) -> None:
    """A moment for it, which has done its work: as a zombie it would stay until the next one is looked for."""
    pidfd = posix.pidfd_open(child)
    try:
        ends = poll()
        ends.register(pidfd, POLLIN)
        ends.poll(PATIENCE_MS)
    finally:
        posix.close(pidfd)


def _write(pid: int, pipe: int) -> None:
    """In that process, which ends then."""
    try:
        text = variables(pid)
        while text:
            text = text[posix.write(pipe, text) :]
    finally:
        posix._exit(0)


def reap() -> None:
    """Wait for those that have ended."""
    for child in [*left]:
        try:
            if posix.waitpid(child, posix.WNOHANG)[0]:
                left.discard(child)
        except ChildProcessError:
            left.discard(child)
