"""What a unit's file says, as systemctl(1) tells it: asked only where it matters, as it takes a process."""

import posix

from cross_init.bounds import PID_MAX, number
from cross_init.kernel.called import call
from cross_init.kernel.linux import Environment
from cross_init.model import DOWN, READY, RELOADING, STARTING, STOPPING


def notify_access(unit: str, of_user: bool, environ: Environment) -> str:
    """Whose messages the manager hears of this unit (systemd.service(5), NotifyAccess=); "" if that is not known."""
    return show(unit, of_user, environ, "NotifyAccess").get("NotifyAccess", "") if unit else ""


def show(unit: str, of_user: bool, environ: Environment, *properties: str) -> dict[str, str]:
    """These properties of a unit, as systemctl(1) says them; none if it does not in time."""
    words = ("systemctl", *(["--user"] if of_user else []), "show", f"--property={','.join(properties)}", "--", unit)
    try:
        lines = call(*words, environ=environ, complaints=False).split("\n")
    except OSError:
        return {}
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
