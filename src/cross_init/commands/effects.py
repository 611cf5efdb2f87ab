"""What a plan translates and what gets lost, in words for people. Pure; made only when it is asked for."""

from cross_init.model import ASKED, DESCRIPTOR, EVENT, EXIT, FILE, KILLS, MESSAGE, MIXED, NOTHING, STOP, TEXT
from cross_init.plan import EXEC, HAND_OVER, SERVE, SUPERVISE, WATCH, Plan
from cross_init.watch.leftovers import CRASH_S

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.request import Request

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
    EXIT: "the end of the command that was started",
    EVENT: "an event for the init's listeners",
    FILE: "the PID file",
    ASKED: "the answer of cross-init check, for whoever asks",
}


# News that goes to people where the init has no ear for it.
FOR_PEOPLE = ("status", "stopping", "reloading", "errno")
# News that we can heed ourselves where the init cannot, and what has to be asked for.
HEEDED = {"watchdog": "--watchdog", "main PID": "--supervise", "descriptors to keep": "--fd-store"}


def effects(plan: Plan, request: "Request") -> tuple[list[str], list[str]]:
    """What is translated, and what gets lost."""
    init, target = request.init, request.target
    said: list[str] = []
    lost: list[str] = []
    if plan.same:
        return ["nothing: the daemon talks to the init itself"], lost
    said.append(f"sockets: as a daemon for {target.name} expects them")
    if is_native(plan, request):
        said.append("news: the daemon talks to the init itself")
        return said, lost
    if request.waits:
        if init.hears == NOTHING:
            lost.append(f"readiness: {init.without_readiness}")
        else:
            if plan.shape == SERVE:
                by = ["listening for clients"]
            else:
                by = ([SAID_BY[target.says]] if request.notify and target.says != NOTHING else []) + request.ready_when
            if by:  # else it is refused
                said.append(f"readiness: {' and '.join(by)} becomes {TOLD_BY[init.hears]}")
        if init.job_type:
            said.append(f"the job needs: {init.job_type}")
        if request.end_after_ready and plan.shape == WATCH:
            said.append("after readiness no process of ours remains; the kernel drops what the daemon sends")
    if request.health_listen:
        said.append(f"probes: GET /readyz and /livez are answered on {request.health_listen.text}")
    if request.talks:
        for word in target.news:
            text, kept = fate(word, plan, request)
            (said if kept else lost).append(f"{word}: {text}")
    elif target.says != NOTHING and not request.ready_when:
        lost.append("readiness: not asked for (-N)")
    if plan.shape in (SUPERVISE, SERVE):
        said.append(f"PID: {init.called} sees, shows and signals the bridge's, not the daemon's")
    if plan.shape == SUPERVISE:
        if request.stop_command:
            said.append(f"stop: {' '.join(request.stop_command)} is run, then what still runs is sent SIGTERM")
        if request.reload_command:
            said.append(f"reload: {' '.join(request.reload_command)} is run instead of SIGHUP")
        said.append("signals: passed on, but SIGSTOP, which stops us alone; SIGKILL ends the service with us")
    if plan.shape != EXEC:
        text, is_ended = leftovers(plan, request)
        (said if is_ended else lost).append(text)
    if init.untested:
        lost.append(f"certainty: {init.name} was written to its manual, and never tried")
    return said, lost


def leftovers(plan: Plan, request: "Request") -> tuple[str, bool]:
    """What becomes of what the main process leaves when it ends, in words, and whether it is ended."""
    init, what = request.init, "what the main process leaves"
    if init.ends_all and not request.ends_rest:
        return f"{what}: {init.called} ends it", True
    if request.kill_mode not in KILLS:
        return f"{what}: stays (--kill-mode {request.kill_mode})", False
    stays = plan.shape == SUPERVISE or (plan.shape == WATCH and request.ends_rest)
    if plan.shape == SERVE:
        return f"{what}: each client's daemon is told to end, and waited for", True
    if not stays:
        return (
            f"{what}: {init.called} does not end it, and nobody of ours is there then (--supervise, --kill-mode)",
            False,
        )
    soon = "" if "--stop-timeout" in request.given else f", {CRASH_S:g} s after a crash"
    how = "SIGTERM to all at a stop, then" if plan.shape == SUPERVISE else "SIGTERM, then"
    how = "SIGKILL" if request.kill_mode == MIXED else f"{how} SIGKILL after {request.stop_timeout:g} s{soon}"
    how = "as its unit says" if request.ends_as_unit else how
    return f"{what}: is ended ({request.kill_mode}): {how}{by_group(plan, request)}", True


def by_group(plan: Plan, request: "Request") -> str:
    """That all of it is known, in words, if it is."""
    if not (request.of_unit and plan.shape == SUPERVISE):
        return ""
    from cross_init.kernel.control_group import own_folder

    return "; all of it, by a control group of its own" if own_folder() else ""


def is_native(plan: Plan, request: "Request") -> bool:
    """Whether the daemon talks to its own init itself."""
    return plan.shape == EXEC and request.init.name == request.target.name


def fate(word: str, plan: Plan, request: "Request") -> tuple[str, bool]:
    """What becomes of this piece of news, in words, and whether anybody heeds it."""
    init = request.init
    if word == "main PID" and plan.shape == SUPERVISE:
        return "followed here", True
    if word in init.news and plan.shape == SUPERVISE:
        return "passed on", True
    if word == "watchdog" and request.watchdog[0]:
        return f"counted here, {request.watchdog[0]:g} s", True
    if word == "descriptors to keep" and request.fd_store:
        return f"kept here over a restart, {request.fd_store} at most", True
    if request.end_after_ready or plan.shape == HAND_OVER:
        return "dropped after readiness", False
    if word in FOR_PEOPLE:
        return f"goes to {'standard error' if init.hears == TEXT else 'syslog'}", True
    is_heeded = word in HEEDED and not (word == "descriptors to keep" and init.ends_all)  # there it is refused
    help_is_here = f"; {HEEDED[word]} heeds it here" if is_heeded else ""
    return f"{init.called} has no ear for it{help_is_here}", False


def carried(plan: Plan, request: "Request") -> dict[str, str]:
    """What a pair brings through, in a few words for each thing: the rows of docs/compatibility.md."""
    init, target = request.init, request.target
    native = is_native(plan, request)

    def news(word: str) -> str:
        if word not in target.news:
            return "–"
        return "native" if native else fate(word, plan, request)[0].partition(";")[0]

    if native:
        readiness = "native"
    elif init.hears == NOTHING:
        readiness = "nobody waits"
    else:
        says = "listening" if plan.shape == SERVE else SHORT[target.says]
        readiness = f"{says} → {SHORT[init.hears]}"
    return {
        "shape": plan.shape,
        "readiness": readiness,
        "sockets": "native" if native else f"{init.passes or '--listen'} → {target.takes}" if target.takes else "–",
        "status": news("status"),
        "reload": news("reloading"),
        "watchdog": news("watchdog"),
        "main PID": MAIN_PID[plan.shape],
        "exit status": EXIT_STATUS.get(plan.shape, "the daemon's"),
    }


SHORT = {
    MESSAGE: "message",
    STOP: "stop",
    DESCRIPTOR: "descriptor",
    TEXT: "standard error",
    EXIT: "exit",
    EVENT: "event",
    FILE: "PID file",
    ASKED: "asked",
    NOTHING: "observed",
}
MAIN_PID = {
    EXEC: "the daemon's",
    WATCH: "the daemon's",
    HAND_OVER: "handed over when ready",
    SUPERVISE: "ours",
    SERVE: "ours",
}
EXIT_STATUS = {SUPERVISE: "mirrored", SERVE: "0"}
