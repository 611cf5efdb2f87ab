"""(init, target, wish) -> Plan: which shape, why, what is translated, what gets lost. Pure: no I/O.

The four shapes, from the cheapest on (docs/design.md):

exec        nothing has to be watched: become the daemon.
watch       the process that the init started becomes the daemon; a watcher beside it hears the daemon and tells the
            init. Needs a daemon that can be heard, and an init that can be told, by somebody else.
hand over   the daemon is a child until it is ready, then the main process. Needs an init that can be told that.
supervise   the bridge stays the main process, with the daemon as its child. Works everywhere and costs a process.
"""

from cross_init.model import ANYONE, MESSAGE, NOTHING, STOP, TEXT, Init, Target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.cli import Wish

EXEC, WATCH, HAND_OVER, SUPERVISE = "exec", "watch", "hand over", "supervise"

SAID_BY = {
    MESSAGE: "a message on NOTIFY_SOCKET",
    STOP: "stopping itself with SIGSTOP",
    NOTHING: "nothing",
}
TOLD_BY = {
    MESSAGE: "a message on NOTIFY_SOCKET",
    STOP: "the main process being stopped",
    TEXT: "a line on standard error",
    NOTHING: "nothing",
}


class Plan:
    """What the bridge will do. same: init and target are one system and nothing is to be changed."""

    __slots__ = ("losses", "reason", "same", "shape", "translations")

    def __init__(self, shape: str, reason: str, same: bool) -> None:
        self.shape = shape
        self.reason = reason
        self.same = same
        self.translations: list[str] = []
        self.losses: list[str] = []


def choose(init: Init, target: Target, wish: "Wish") -> Plan:
    """The cheapest shape that translates what was asked for."""
    if init.name == target.name:
        changes = wish.listen or wish.selects or wish.wait_for_client
        return Plan(EXEC, f"{init.name} is what the daemon was written for", not changes)
    if not wish.notify:
        return Plan(EXEC, "without -N nothing has to be watched", False)
    heard_from_outside = target.says == MESSAGE
    if heard_from_outside and init.from_whom == ANYONE:
        return Plan(WATCH, f"{init.name} can be told from beside the daemon, which keeps the PID it tracks", False)
    if init.moves_main:
        who = (
            "only its parent sees a daemon stop" if target.says == STOP else f"{init.name} hears only the main process"
        )
        return Plan(HAND_OVER, f"{who}, and {init.name} can be given another main process", False)
    return Plan(
        SUPERVISE, f"only its parent sees a daemon stop, and {init.name} cannot be given another main PID", False
    )


def explain(plan: Plan, init: Init, target: Target, wish: "Wish") -> None:
    """Fill in what is translated and what gets lost: words for people, so only made when they are asked for."""
    said, lost = plan.translations, plan.losses
    if plan.same:
        said.append("nothing: the daemon talks to the init itself")
        return
    said.append(f"sockets: as a daemon for {target.name} expects them")
    if init.name == target.name:
        said.append("news: the daemon talks to the init itself")
        return
    if wish.notify:
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
