"""What a start needs before its first fork: the sockets, and an init that hears. Why else it is refused, in one place.

A start raises the first reason, --explain tells them all.
"""

from cross_init.errors import Failure
from cross_init.kernel.linux import is_socket
from cross_init.model import MESSAGE, NOTHING, Init
from cross_init.plan import EXEC, HAND_OVER, SERVE, SUPERVISE, WATCH, is_one_contract, removes

# What has no effect with some inits or daemons (unused.py).
CHECKED = {"--notify-access", "--kill-mode", "--stop-timeout", "--stop-command", "--reload-command"}
CHECKED |= {"--rewrite-signal", "--success-exit-status"}
TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.plan import Plan
    from cross_init.request import Request
    from cross_init.sockets.listen import Kept
    from cross_init.sockets.passed import Passed


def refuse(request: "Request", plan: "Plan") -> None:
    """Raise Failure if what was asked for does not go with the daemon or with the plan."""
    target = request.target
    if plan.shape != EXEC and (reason := request.init.why_no_fork(request.environ)):
        raise Failure(reason)
    if request.between is not None and request.waits:
        from cross_init.unused import refuse_between

        refuse_between(request)
    if request.need_resident and plan.shape not in (EXEC, WATCH):
        raise Failure(f"--need-resident: {plan.reason}, and a resident watches from beside: leave it out")
    if request.end_after_ready and plan.shape in (SUPERVISE, SERVE):
        raise Failure(f"--end-after-ready: {plan.reason}, so the bridge has to stay: leave it out")
    if request.watchdog[0] and "watchdog" not in target.news:
        raise Failure(f"--watchdog: a daemon for {target.name} gives no signs of life: leave it out")
    if request.notify_socket and not (target.says == MESSAGE or target.speaks):
        raise Failure(f"--notify-socket: a daemon for {target.name} is given no notification socket: leave it out")
    if request.notify_socket == "path" and (request.end_after_ready or plan.shape == HAND_OVER):
        raise Failure("--notify-socket path: nobody of ours stays to remove the path: leave it out, or --supervise")
    if request.end_after_ready and removes(request):
        raise Failure("--end-after-ready: somebody has to stay and remove the socket's path (remove-on-stop)")
    if request.ready_when and plan.shape == SERVE:
        raise Failure(
            "--ready-when: it observes one daemon, and here each client gets its own: leave it out; with -N the "
            "service is ready when it listens"
        )
    if request.notify and not request.ready_when and plan.shape != SERVE and target.says == NOTHING:
        shown = f"{target.name}:{target.option}" if target.option else target.name
        raise Failure(
            f"a daemon for {shown} does not say when it is ready (-N){target.silence}; say what to observe, with "
            "--ready-when"
        )


def refuse_unused(request: "Request", plan: "Plan") -> None:
    """Raise Failure if something was asked for that has no effect here."""
    told_otherwise = request.daemonize or request.pid_file or request.ready_fd
    if told_otherwise and plan.shape == EXEC and not is_one_contract(request):
        raise Failure(f"{plan.reason}: leave out --daemonize, --pid-file and --ready-fd, or ask for readiness (-N)")
    if ":" in request.init_words or request.all_sockets or request.given.keys() & CHECKED:
        from cross_init.unused import refuse

        refuse(request, plan)


def warnings(request: "Request") -> list[str]:
    """What the init expects of this service, or makes of this start, that will not come as it is meant."""
    init = request.init
    found = init.warnings(request.environ)
    if request.between is not None:
        from cross_init.unused import beside

        found += beside(request)
    if not (request.waits or request.ready_fd or request.daemonize) and (seen := init.waits_for_it(request.environ)):
        found.append(f"{seen}, and nobody tells it: add -N if the daemon says when it is ready, or --ready-when")
    return found


def hearing(request: "Request") -> Init:
    """The init, as it is told that the daemon is ready. Raises Failure if it does not hear that."""
    init = request.init
    if request.ready_fd:
        from cross_init.notify.descriptor import ByDescriptor

        return ByDescriptor(init, request.ready_fd)
    if deaf := init.why_unnotified(request.environ):
        if request.of_unit:
            from cross_init.notify.unheard import Unheard

            return Unheard(init, deaf)
        raise Failure(f"telling {init.called} that the daemon is ready: {deaf}")
    return init


def sockets(request: "Request", kept: "Kept | None" = None) -> "list[Passed]":
    """The sockets for the daemon: what the init passed, the one chosen by name, and what --listen opens.

    kept: those that are open from an earlier start.
    Raises Failure before anything is opened if the daemon cannot be given them.
    """
    passed, left_out = select(request)
    if request.adopt_socket and not passed:
        from cross_init.sockets.adopt import adopt

        passed = [adopt(request.adopt_socket)]
    refuse_sockets(request, passed)
    if request.listen:
        from cross_init.sockets.listen import open_all

        passed = passed + open_all(request.listen, kept)
    if left_out:
        from cross_init.sockets.passed import close

        close(left_out)
    return passed


def refuse_sockets(request: "Request", passed: "list[Passed]") -> None:
    """Raise Failure if the daemon cannot be given these and those of --listen, or is to be observed by them."""
    announced = passed + [address.announced() for address in request.listen]
    request.target.refuse(announced, request.all_sockets)
    if request.ready_when:
        from cross_init.readiness.own_sockets import refuse as refuse_own

        conditions = [each for each in request.conditions if not (request.of_unit and each.text == "started")]
        refuse_own(conditions, announced, request.health_listen)


def is_listening(request: "Request") -> bool:
    """Whether the daemon's socket is one that listens, so that somebody has to accept connections."""
    try:
        passed, _ = select(request)
    except Failure:
        return False  # which is said when they are taken
    return bool(request.listen or (request.adopt_socket and not passed)) or any(each.listening for each in passed)


def passed_by_init(request: "Request") -> "list[Passed]":
    """What the init passed, and whoever stands between it and us: one that listens may be standard input on any.

    That has no place but this one. A daemon that is made for this init is left what it is given. Raises Failure.
    """
    init, target = request.init, request.target
    passed = init.sockets(request.environ, request.pid)
    if is_socket(0) and target.takes and init.name != target.name and all(each.fd for each in passed):
        from cross_init.sockets.passed import standard_input

        if found := standard_input():
            from cross_init.sockets.stdio import free_errors

            free_errors()  # nobody would ever read them there
            return found + passed
    return passed


def select(request: "Request") -> "tuple[list[Passed], list[Passed]]":
    """What the init passed: the sockets that were asked for, and the rest. Raises Failure if there are none such."""
    init = request.init
    passed = passed_by_init(request)
    if not request.socket:
        return passed, []
    chosen = [each for each in passed if each.name == request.socket]
    if not chosen:
        names = ", ".join(str(each) for each in passed) or "nothing"
        raise Failure(f"--socket {request.socket}: {init.called} passed no socket of this name; it passed: {names}")
    return chosen, [each for each in passed if each not in chosen]
