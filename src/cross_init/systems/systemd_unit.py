"""What a unit's file says, as systemctl(1) tells it: asked only where it matters, as it takes a process."""

import posix
from _signal import SIGKILL
from time import monotonic

from cross_init.kernel.linux import Environment

ASKED_S = 2.0  # how long an answer may take
ASKED_MOST = 4096  # bytes of it


def notify_access(unit: str, of_user: bool, environ: Environment) -> str:
    """Whose messages the manager hears of this unit (systemd.service(5), NotifyAccess=), as systemctl(1) says it.

    "" if that cannot be known in time.
    """
    from select import POLLHUP, POLLIN, poll

    if not unit:
        return ""
    words = ["systemctl", *(["--user"] if of_user else []), "show", "--property=NotifyAccess", "--", unit]
    ours, theirs = posix.pipe2(posix.O_CLOEXEC)
    try:
        actions = [(posix.POSIX_SPAWN_DUP2, theirs, 1), (posix.POSIX_SPAWN_OPEN, 2, "/dev/null", posix.O_WRONLY, 0)]
        pid = posix.posix_spawnp(words[0], words, environ, file_actions=actions)
    except OSError:
        posix.close(ours)
        return ""
    finally:
        posix.close(theirs)
    said, end = b"", monotonic() + ASKED_S
    poller = poll()
    poller.register(ours, POLLIN | POLLHUP)
    while len(said) < ASKED_MOST and poller.poll(max(0.0, end - monotonic()) * 1000):
        part = posix.read(ours, ASKED_MOST)
        if not part:
            break
        said += part
    posix.close(ours)
    if posix.waitpid(pid, posix.WNOHANG)[0] == 0:
        posix.kill(pid, SIGKILL)
        posix.waitpid(pid, 0)
    return said.decode("utf-8", "replace").strip().removeprefix("NotifyAccess=")
