"""One way through: plan, gather the sockets, and run in the shape that the plan has chosen."""

import posix

from cross_init.errors import Failure, print_error, why
from cross_init.gather import hearing, is_listening, refuse, refuse_unused, sockets, warnings
from cross_init.kernel.linux import absolute, need_descriptors, need_pidfds
from cross_init.launch import Start, find_program
from cross_init.model import EXIT, NOTHING
from cross_init.plan import EXEC, HAND_OVER, SERVE, SUPERVISE, WATCH, choose, keeps, removes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cross_init.around import Around
    from cross_init.plan import Plan
    from cross_init.request import Request


# What a shape imports before its first fork, each behind those that it imports.
FILES = {
    EXEC: (),
    WATCH: ("shapes.watch", "readiness.notify_socket"),
    HAND_OVER: ("shapes.processes", "shapes.keeper", "shapes.hand_over"),
    SUPERVISE: ("shapes.guard", "shapes.processes", "shapes.supervise"),
    SERVE: (),
}


def run(request: "Request", load: "Callable[..., None]", unit: "Around | None" = None) -> int:
    """Do what was asked for. Returns an exit code only if this process does not become the daemon.

    load: imports modules of ours in a shorter way than import does. unit: what there is around the daemon, if
    a unit says so. Raises Failure, OSError, Stopped.
    """
    if request.misplaced:
        from cross_init.unused import misplaced

        print_error(misplaced(request.misplaced), 0)
    if request.lost:
        print_error(f"{request.lost}; it is left out, and nobody is told by it: unset it where it comes from", 0)
    for failure in request.refusals:
        raise failure
    plan = plan_of(request)
    refuse_unused(request, plan)
    if "--notify-access" in request.given:
        from cross_init.unused import without_effect

        if line := without_effect(request, plan):
            print_error(line, 0)
    if request.fd_store:
        from cross_init.store.client import refuse as refuse_store

        refuse_store(request.init, request.target)
    start = Start(request, unit)
    start.program = find_program(request.command[0], request.environ) if unit is None else unit.programs
    if request.pid == 1:
        from cross_init.shapes.pid1 import split as leave_process_1

        leave_process_1(request)
    if plan.same and unit is None:
        start.execute()
    if plan.shape != EXEC:
        need_pidfds()
    if plan.shape == SUPERVISE and (request.target.forks or request.pid_file):
        from cross_init.kernel.system_calls import need_library

        need_library("following a daemon that forks away")
        if request.pid_file:
            request.pid_file = absolute(request.pid_file, f"--pid-file {request.pid_file}")
    load(*FILES[plan.shape])
    try:
        prepare(start, plan)
    except BaseException:
        start.remove_sockets()
        if unit is not None:
            unit.after(None, False)
        raise
    if plan.shape == EXEC:
        keep_sockets(start)
        if unit is not None:
            unit.before(start)
        start.become()
    try:
        if unit is not None:
            if plan.shape == SUPERVISE and request.ends_rest:
                unit.stay()
            unit.before(start)
        need_descriptors()
        if request.init.hears == EXIT and request.waits:
            from cross_init.shapes.front import split

            split(start)
        keep_sockets(start)
        return run_shape(start, plan)
    except BaseException as error:
        if start.endpoint is not None:
            start.endpoint.remove()
        start.remove_sockets()
        if unit is not None:
            unit.after(None, False)
        if isinstance(error, OSError):
            where = f"{error.filename}: " if error.filename else ""
            raise Failure(f"running {start.service}: {where}{why(error)}") from None
        raise


def plan_of(request: "Request") -> "Plan":
    """The plan for this start."""
    return choose(request, bool(request.target.clients_at_a_time) and is_listening(request))


def prepare(start: Start, plan: "Plan") -> None:
    """Everything that comes before the first fork: what is told and observed, sockets, variables.

    Raises Failure, OSError, Stopped.
    """
    request, init, target, unit = start.request, start.init, start.target, start.unit
    refuse(request, plan)
    start.conditions = request.conditions
    if request.waits and plan.shape != EXEC:
        start.init = hearing(request)
        # No failure: a daemon that stops itself has to be continued all the same.
        if start.init.hears == NOTHING and not start.init.lost:
            print_error(f"telling that the daemon is ready: {init.without_readiness}", 0)
    if init.name != target.name:
        for warning in warnings(request):
            print_error(warning, 0)
    if plan.shape == WATCH:
        from cross_init.shapes.watch import await_predecessors

        await_predecessors(start)
    if keeps(request):
        from cross_init.store.kept_sockets import prepare as find_sockets

        start.kept_sockets = find_sockets(request)
    if removes(request) or (unit is not None and plan.shape == SUPERVISE):
        start.hold_stops()
    if unit is None:
        open_sockets(start)
    else:
        unit.listening(start, open_sockets)
    if any(0 <= passed.fd < 3 for passed in start.sockets):
        from cross_init.sockets.stdio import free

        free(start.sockets)
    if request.ready_when:
        start.passed_inodes = [posix.fstat(passed.fd).st_ino for passed in start.sockets]
    if request.wait_for_client:
        from cross_init.sockets.wait_for_client import wait_for_client

        def wait() -> None:
            wait_for_client(start.sockets, start.init, request.environ, request.waits)

        if start.mask is None:
            wait()
        else:
            from cross_init.shapes.stops import interruptible

            interruptible(wait)
    if plan.shape == SUPERVISE:
        from cross_init.shapes.supervise import mark

        mark(start)
        start.watchdog_usec = init.watchdog_usec(request.environ)
        start.kept = start.kept or init.fd_store_max(request.environ)
    if request.watchdog[0]:
        start.watchdog_usec = int(request.watchdog[0] * 1e6)
    if request.fd_store:
        from cross_init.store.client import open_store

        start.store, kept = open_store(request, init)
        start.sockets = start.sockets + kept  # behind them, as systemd passes it
    if unit is not None and plan.shape != SERVE:  # else each client's daemon gets its own
        start.sockets = start.sockets + unit.opened()
    if start.sockets and target.first_fd:
        from cross_init.sockets.passed import place

        place(start.sockets, target.first_fd)  # before we open anything of our own, which would stand in their way
    if init.name != target.name or plan.shape != EXEC:  # else the daemon goes on talking to the init itself
        init.strip(start.environ)
        target.strip(start.environ)
    for condition in start.conditions:
        try:
            condition.prepare(start.environ)
        except OSError as error:
            raise Failure(f"--ready-when {condition.text}: {why(error)}") from None
    if request.health_listen:
        from cross_init.watch.health import Endpoint

        start.endpoint = Endpoint(request.health_listen)


def open_sockets(start: Start) -> None:
    """All those of the daemon, and what is to be removed of them at the end. Raises Failure, OSError."""
    start.sockets = sockets(start.request, start.kept_sockets)
    if removes(start.request):
        from cross_init.sockets.placing import removals

        start.removals = removals(start.request.listen)


def keep_sockets(start: Start) -> None:
    """Have those sockets kept over a restart that are to be, now that this process is the one whose end counts."""
    if start.kept_sockets is not None:
        from cross_init.store.kept_sockets import keep

        keep(start.kept_sockets)


def run_shape(start: Start, plan: "Plan") -> int:
    """The processes as the plan has them; returns as run() does. Raises Failure, OSError."""
    if plan.shape == WATCH:
        from cross_init.shapes.watch import run as run_it
    elif plan.shape == HAND_OVER:
        from cross_init.shapes.hand_over import run as run_it
    elif plan.shape == SERVE:
        from cross_init.shapes.serve import run as run_it
    else:
        from cross_init.shapes.supervise import run as run_it
    return run_it(start)
