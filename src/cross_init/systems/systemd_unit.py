"""What a unit's file says, as systemctl(1) tells it: asked only where it matters, as it takes a process."""

import posix
from _signal import SIGKILL
from time import monotonic

from cross_init.bounds import PID_MAX, number
from cross_init.kernel.linux import Environment
from cross_init.model import DOWN, READY, RELOADING, STARTING, STOPPING

ASKED_S = 2.0  # how long an answer may take
ASKED_MOST = 4096  # bytes of it


def notify_access(unit: str, of_user: bool, environ: Environment) -> str:
    """Whose messages the manager hears of this unit (systemd.service(5), NotifyAccess=); "" if that is not known."""
    return show(unit, of_user, environ, "NotifyAccess").get("NotifyAccess", "") if unit else ""


def show(unit: str, of_user: bool, environ: Environment, *properties: str) -> dict[str, str]:
    """These properties of a unit, as systemctl(1) says them; none if it does not in time."""
    from select import POLLHUP, POLLIN, poll

    words = ["systemctl", *(["--user"] if of_user else []), "show", f"--property={','.join(properties)}", "--", unit]
    ours, theirs = posix.pipe2(posix.O_CLOEXEC)
    try:
        actions = [(posix.POSIX_SPAWN_DUP2, theirs, 1), (posix.POSIX_SPAWN_OPEN, 2, "/dev/null", posix.O_WRONLY, 0)]
        pid = posix.posix_spawnp(words[0], words, environ, file_actions=actions)
    except OSError:
        posix.close(ours)
        return {}
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
    if posix.waitpid(pid, posix.WNOHANG)[0] == 0:  # it has said all, or takes too long
        posix.kill(pid, SIGKILL)
        posix.waitpid(pid, 0)
    lines = said.decode("utf-8", "replace").split("\n")
    return {key: value for key, equals, value in (line.partition("=") for line in lines) if equals}


# What a unit's ActiveState means of whether it is ready (systemd(1)), where its type has systemd wait for that.
STATES = {"active": READY, "reloading": RELOADING, "activating": STARTING, "deactivating": STOPPING}
WAITED_FOR = ("notify", "notify-reload", "dbus", "forking")


def state_of(service: str) -> tuple[str, int] | None:
    """How a service of the system's manager is, and its main process; None if it is none of which that is known."""
    unit = service if service.endswith(".service") else f"{service}.service"
    said = show(unit, False, dict(posix.environ), "LoadState", "ActiveState", "MainPID", "Type")
    state = STATES.get(said.get("ActiveState", ""), DOWN)
    if said.get("LoadState") != "loaded" or (state != DOWN and said.get("Type") not in WAITED_FOR):
        return None
    return state, number(said.get("MainPID", ""), 0, PID_MAX) or 0
