"""What a plan translates and what gets lost, in words for people. Pure; made only when it is asked for."""

from cross_init.model import ASKED, DESCRIPTOR, EVENT, EXIT, MESSAGE, NOTHING, STOP, TEXT, Init, Target
from cross_init.plan import WATCH, Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.cli import Wish

SAID_BY = {
    MESSAGE: "a message on NOTIFY_SOCKET",
    STOP: "stopping itself with SIGSTOP",
    DESCRIPTOR: "a write to its descriptor",
    EXIT: "forking and exiting",
    NOTHING: "what --ready-when observes",
}
TOLD_BY = {
    MESSAGE: "a message on NOTIFY_SOCKET",
    STOP: "the main process being stopped",
    DESCRIPTOR: "a write to its descriptor",
    TEXT: "a line on standard error",
    EXIT: "the end of the command that was started, with a PID file",
    EVENT: "an event for the init's listeners",
    ASKED: "a state file, for whoever asks",
}


def unheard(init: Init) -> str:
    """What -N means on an init that hears nothing."""
    return f"{init.name} waits for no daemon to be ready; it goes to syslog{f'; {init.instead}' * bool(init.instead)}"


def effects(plan: Plan, init: Init, target: Target, wish: "Wish") -> tuple[list[str], list[str]]:
    """What is translated, and what gets lost."""
    said: list[str] = []
    lost: list[str] = []
    if plan.same:
        return ["nothing: the daemon talks to the init itself"], lost
    said.append(f"sockets: as a daemon for {target.name} expects them")
    if init.name == target.name:
        said.append("news: the daemon talks to the init itself")
        return said, lost
    if wish.notify:
        if init.hears == NOTHING:
            lost.append(f"readiness: {unheard(init)}")
        else:
            said.append(f"readiness: {SAID_BY[target.says]} becomes {TOLD_BY[init.hears]}")
        if init.job_type:
            said.append(f'the job has to say "{init.job_type}"')
        if wish.end_after_ready and plan.shape == WATCH:
            said.append("after readiness no process of ours remains; the kernel drops what the daemon sends")
        where = "standard error" if init.hears == TEXT else "syslog"
        for word in target.news:
            if word in init.news and plan.shape != WATCH:
                said.append(f"{word}: passed on")
            elif wish.end_after_ready:
                lost.append(f"{word}: dropped after readiness")
            elif word in ("status", "stopping", "reloading", "errno"):
                said.append(f"{word}: goes to {where}")
            else:
                lost.append(f"{word}: {init.name} has no ear for it")
    elif target.says != NOTHING:
        lost.append("readiness: not asked for (-N)")
    return said, lost
