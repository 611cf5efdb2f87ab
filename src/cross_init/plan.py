"""request -> Plan: which shape, and why. Pure: no I/O. What is translated and lost: effects.py.

The shapes, from the cheapest on (docs/design.md):

exec        nothing has to be watched: become the daemon.
watch       the process that the init started becomes the daemon; a watcher beside it hears the daemon and tells the
            init. Needs a daemon that can be heard, and an init that can be told, by somebody else.
hand over   the daemon is a child until it is ready, then the main process. Needs an init that can be told that.
supervise   the bridge stays the main process, with the daemon as its child. Works everywhere and costs a process.
serve       the bridge stays the main process and starts a daemon for each client. For daemons that get a connection
            where the init passes the socket that listens.
"""

from cross_init.model import ANYONE, EXIT, FILE, STOP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.request import Request

EXEC, WATCH, HAND_OVER, SUPERVISE, SERVE = "exec", "watch", "hand over", "supervise", "serve"


class Plan:
    """What the bridge will do. same: init and target are one system and nothing is to be changed."""

    __slots__ = ("reason", "same", "shape")

    def __init__(self, shape: str, reason: str, same: bool) -> None:
        self.shape = shape
        self.reason = reason
        self.same = same


def choose(request: "Request", listens: bool = False) -> Plan:
    """The cheapest shape that translates what was asked for. listens: the daemon's socket is one that listens."""
    init, target = request.init, request.target
    if listens and target.clients_at_a_time:
        return Plan(SERVE, f"each client gets a daemon of its own, as {target.name} has it", False)
    needed = why_supervise(request)
    native = init.name == target.name and not target.option
    if native and not (asks_for_more(request) or needed):
        changes = request.listen or request.selects or request.wait_for_client
        return Plan(EXEC, f"{init.called} is what the daemon was written for", not changes)
    if needed:
        return Plan(SUPERVISE, needed, False)
    if is_one_contract(request):
        return Plan(EXEC, f"{init.called} waits for a command that forks away, and so does the daemon", False)
    if not request.waits:
        return Plan(EXEC, "without -N nothing has to be watched", False)
    if not stops(request) and init.from_whom == ANYONE:
        return Plan(WATCH, f"{init.called} can be told from beside the daemon, which keeps the PID it tracks", False)
    why = "only its parent sees a daemon stop" if stops(request) else f"{init.called} hears only the main process"
    if init.moves_main:
        return Plan(HAND_OVER, f"{why}, and {init.called} can be given another main process", False)
    return Plan(SUPERVISE, f"{why}, and {init.called} cannot be given another main process", False)


def stops(request: "Request") -> bool:
    """Whether the daemon says that it is ready by stopping itself."""
    return request.notify and request.target.says == STOP


def removes(request: "Request") -> bool:
    """Whether a socket's path is to be removed at the service's end."""
    return any(address.options.remove_on_stop for address in request.listen)


def keeps(request: "Request") -> bool:
    """Whether a socket is to be kept over a restart."""
    return any(address.options.keep for address in request.listen)


def is_one_contract(request: "Request") -> bool:
    """Whether the init waits for the very thing that the daemon does, to fork away and exit, and for nothing else."""
    is_told = request.init.hears in (EXIT, FILE) and request.followed is None
    return is_told and request.target.forks and not (asks_for_more(request) or request.target.speaks)


def asks_for_more(request: "Request") -> str:
    """The option that asks for what init and daemon do not have in common even if they are made for each other."""
    asked = {
        "--ready-when": request.ready_when,
        "--ready-timeout": request.ready_timeout,
        "--health-listen": request.health_listen,
        "--state-file": request.state_file,
    }
    return next((option for option, value in asked.items() if value), "")


def why_supervise(request: "Request") -> str:
    """Why the bridge has to stay the main process, whatever would be cheaper; "" if it need not."""
    init, target = request.init, request.target
    if request.supervise:
        return "--supervise says so"
    if init.stays and request.waits:
        return init.stays
    if request.stays:
        return request.stays
    if target.forks and not is_one_contract(request):
        if init.hears in (EXIT, FILE):
            more = asks_for_more(request) or ("what it says beside that" if target.speaks else "--pid-file")
            return f"{init.called} sees a daemon leave, and not what else was asked for ({more})"
        return f"only a parent can follow a daemon that leaves it, and {init.called} follows one process"
    if any(condition.lasting for condition in request.conditions) and init.from_whom != ANYONE:
        return "the daemon's output goes through us for as long as it lives (--ready-when log:)"
    if keeps(request) and (stops(request) or init.from_whom != ANYONE):
        return "somebody has to stay for whom the daemon's sockets are kept (keep)"
    if removes(request) and (not request.waits or stops(request) or init.from_whom != ANYONE):
        return "somebody has to stay and remove the socket's path (remove-on-stop)"
    if request.instead:
        return "only the main process is sent the init's signals (--stop-signal, --reload-signal, --rewrite-signal)"
    if request.success:
        return "only the main process can end with an exit code of ours (--success-exit-status)"
    if request.stop_command or request.reload_command:
        return "only the main process is sent the init's signals (--stop-command, --reload-command)"
    if request.asks_to_end and (not request.waits or stops(request) or init.from_whom != ANYONE):
        return f"somebody has to stay and end what the daemon leaves ({request.asks_to_end})"
    if init.from_whom != ANYONE or stops(request):
        if request.watchdog[0]:
            return "somebody has to stay and count the daemon's signs of life (--watchdog)"
        if request.fd_store:
            return "somebody has to stay and keep the daemon's descriptors (--fd-store)"
        if request.health_listen:
            return "somebody has to stay and answer (--health-listen)"
    if request.ready_timeout and not init.moves_main:
        return "only the main process can end with an exit code of ours when the time is over (--ready-timeout)"
    return ""
