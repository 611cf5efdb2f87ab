"""One way through: detect, plan, gather the sockets, and run in the shape that the plan has chosen."""

import posix

from cross_init.complaints import complain
from cross_init.detect import Evidence, detect, init_named, target_named
from cross_init.launch import Start, find_program
from cross_init.linux import is_socket, need_pidfds, why
from cross_init.model import EXIT, MESSAGE, NOTHING, Claim, Environment, Failure, Init, Target
from cross_init.plan import EXEC, HAND_OVER, SERVE, SUPERVISE, WATCH, choose, is_one_contract, keeps, removes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.cli import Wish
    from cross_init.plan import Plan
    from cross_init.readiness.condition import Condition
    from cross_init.sockets import Passed


def run(wish: "Wish", environ: Environment) -> int:
    """Run the wish. Returns an exit code only if this process does not become the daemon. Raises Failure, OSError."""
    evidence = Evidence(environ)
    init, claim = init_of(wish, evidence)
    init.look(evidence)
    target = target_named(wish.target)
    if wish.daemonize or wish.pid_file or wish.ready_fd or wish.state_file:
        from cross_init.telling import adapt

        adapt(init, target, wish)
    listens = bool(target.clients_at_a_time) and is_listening(wish, init, target, environ, evidence.pid)
    plan = choose(init, target, wish, listens)
    told_otherwise = wish.daemonize or wish.pid_file or wish.ready_fd
    if told_otherwise and plan.shape == EXEC and not is_one_contract(init, target, wish):
        raise Failure(f"{plan.reason}: leave out --daemonize, --pid-file and --ready-fd, or ask for readiness (-N)")
    if wish.explain:
        from cross_init.explain import show

        return show(wish, evidence, init, claim, target, plan)
    if wish.fd_store:
        from cross_init.store.way import refuse

        refuse(init, target)
    start = Start(wish, init, target, init.service(evidence, wish.command[0]), environ)
    start.program = find_program(wish.command[0], environ)
    if evidence.pid == 1:
        from cross_init.first import split as leave_process_1

        leave_process_1()
    if plan.same:
        start.execute()
    if plan.shape != EXEC:
        need_pidfds()
    prepare(start, plan, evidence.pid)
    if plan.shape == EXEC:
        keep_sockets(start)
        start.become()
    try:
        if init.hears == EXIT and wish.waits:
            from cross_init.front import split

            split(start)
        keep_sockets(start)
        return run_shape(start, plan)
    except BaseException as error:
        if start.endpoint is not None:
            start.endpoint.remove()
        start.remove_sockets()
        if isinstance(error, OSError):
            where = f"{error.filename}: " if error.filename else ""
            raise Failure(f"running {start.service}: {where}{why(error)}") from None
        raise


def init_of(wish: "Wish", evidence: Evidence) -> tuple[Init, Claim]:
    """The init that the wish names, or that started us. Raises Failure."""
    if wish.init:
        return init_named(wish.init), Claim("--init says so", True)
    try:
        return detect(evidence)
    except Failure as failure:
        if not wish.explain:
            raise
        return init_named("none"), Claim(f"otherwise it is refused: {failure}", False)


def prepare(start: Start, plan: "Plan", pid: int) -> None:
    """Everything that comes before the first fork: what is told and observed, sockets, variables.

    pid: of the process that the init started. Raises Failure, OSError.
    """
    wish, init, target, environ = start.wish, start.init, start.target, start.original
    start.conditions = conditions(wish, target, plan)
    if wish.waits and plan.shape != EXEC:
        start.init = told(wish, init, environ)
        if start.init.hears == NOTHING:  # no failure: a daemon that stops itself has to be continued all the same
            from cross_init.effects import unheard

            complain(f"telling that the daemon is ready: {unheard(init)}", 0)
    if init.name != target.name:
        for warning in init.warnings(environ):
            complain(warning, 0)
    if keeps(wish):
        from cross_init.listen import parse
        from cross_init.store.kept_sockets import prepare as find_sockets

        find_sockets(start, init, [parse(text) for text in wish.listen])
    start.sockets = gather(start, init, pid)
    if removes(wish):
        from cross_init.placing import removals

        start.removals = removals(wish.listen)
    if any(0 <= passed.fd < 3 for passed in start.sockets):
        from cross_init.standard import free

        free(start.sockets)
    if wish.ready_when:
        start.passed_inodes = [posix.fstat(passed.fd).st_ino for passed in start.sockets]
    if wish.wait_for_client:
        from cross_init.waiting import wait_for_client

        wait_for_client(start)
    if plan.shape == SUPERVISE:
        start.watchdog_usec = init.watchdog_usec(environ)
        start.kept = start.kept or init.keeps(environ)
    if wish.watchdog[0]:
        start.watchdog_usec = int(wish.watchdog[0] * 1e6)
    if wish.fd_store:
        from cross_init.store.way import prepare as find_kept

        find_kept(start, init)
    if start.sockets and target.first_fd:
        from cross_init.sockets import place

        place(start.sockets, target.first_fd)  # before we open anything of our own, which would stand in their way
    if init.name != target.name or plan.shape != EXEC:  # else the daemon goes on talking to the init itself
        init.strip(start.environ)
        target.strip(start.environ)
    for condition in start.conditions:
        try:
            condition.prepare(start.environ)
        except OSError as error:
            raise Failure(f"--ready-when {condition.text}: {why(error)}") from None
    if wish.health_listen:
        from cross_init.health import Endpoint

        start.endpoint = Endpoint(wish.health_listen)


def keep_sockets(start: Start) -> None:
    """Have those sockets kept over a restart that are to be, now that this process is the one whose end counts."""
    if start.kept_sockets is not None:
        from cross_init.store.kept_sockets import keep

        keep(start)


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


def conditions(wish: "Wish", target: Target, plan: "Plan") -> "list[Condition]":
    """What --ready-when asks for. Raises Failure if what else was asked for does not go with the daemon or the plan."""
    if wish.end_after_ready and plan.shape in (SUPERVISE, SERVE):
        raise Failure(f"--end-after-ready: {plan.reason}, so the bridge has to stay: leave it out")
    if wish.watchdog[0] and "watchdog" not in target.news:
        raise Failure(f"--watchdog: a daemon for {target.name} gives no signs of life: leave it out")
    if wish.notify_socket and target.says != MESSAGE:
        raise Failure(f"--notify-socket: a daemon for {target.name} is given no notification socket: leave it out")
    if wish.notify_socket == "path" and (wish.end_after_ready or plan.shape == HAND_OVER):
        raise Failure("--notify-socket path: nobody of ours stays to remove the path: leave it out, or --supervise")
    if wish.end_after_ready and removes(wish):
        raise Failure("--end-after-ready: somebody has to stay and remove the socket's path (remove-on-stop)")
    if plan.shape == SERVE:
        if wish.ready_when:
            raise Failure(
                "--ready-when: it observes one daemon, and here each client gets its own: leave it out; with -N the "
                "service is ready when it listens"
            )
        return []
    if wish.ready_when:
        from cross_init.readiness.conditions import parse_all

        return parse_all(wish)
    if wish.notify and target.says == NOTHING:
        raise Failure(
            f"a daemon for {target.name} does not say when it is ready (-N): say what to observe, with --ready-when"
        )
    return []


def told(wish: "Wish", init: Init, environ: Environment) -> Init:
    """The init, as it is told that the daemon is ready. Raises Failure if it does not hear that."""
    if wish.ready_fd:
        from cross_init.descriptor import ByDescriptor

        return ByDescriptor(init, wish.ready_fd)
    if deaf := init.deaf(environ):
        raise Failure(f"telling {init.called} that the daemon is ready: {deaf}")
    return init


def gather(start: Start, init: Init, pid: int) -> "list[Passed]":
    """The sockets for the daemon: what the init passed, the one chosen by name, and what --listen opens.

    Raises Failure before anything is opened if the daemon cannot be given them.
    """
    wish, target = start.wish, start.target
    sockets, left_out = select(wish, init, target, start.original, pid)
    if wish.adopt_socket and not sockets:
        from cross_init.adopt import adopt

        sockets = [adopt(wish.adopt_socket)]
    if wish.listen:
        from cross_init.listen import open_all, parse

        addresses = [parse(text) for text in wish.listen]
        announced = sockets + [address.announced() for address in addresses]
        target.refuse(announced, wish.all_sockets)
        refuse_own(wish, announced)
        sockets = sockets + open_all(addresses, start.kept_sockets)
    else:
        target.refuse(sockets, wish.all_sockets)
        refuse_own(wish, sockets)
    if left_out:
        from cross_init.sockets import close

        close(left_out)
    return sockets


def refuse_own(wish: "Wish", sockets: "list[Passed]") -> None:
    """Raise Failure if what is to be observed are these sockets, which are there before the daemon is."""
    if wish.ready_when:
        from cross_init.readiness.own_sockets import refuse

        refuse(wish, sockets)


def is_listening(wish: "Wish", init: Init, target: Target, environ: Environment, pid: int) -> bool:
    """Whether the daemon's socket is one that listens, so that somebody has to accept connections."""
    try:
        sockets, _ = select(wish, init, target, environ, pid)
    except Failure:
        return False  # which is said when they are taken
    return bool(wish.listen or (wish.adopt_socket and not sockets)) or any(passed.listening for passed in sockets)


def passed_by(init: Init, target: Target, environ: Environment, pid: int) -> "list[Passed]":
    """What the init passed, and whoever stands between it and us: one that listens may be standard input on any.

    That has no place but this one. A daemon that is made for this init is left what it is given. Raises Failure.
    """
    sockets = init.sockets(environ, pid)
    if is_socket(0) and target.takes and init.name != target.name and all(passed.fd for passed in sockets):
        from cross_init.sockets import standard_input

        if found := standard_input():
            from cross_init.standard import free_errors

            free_errors()  # nobody would ever read them there
            return found + sockets
    return sockets


def select(
    wish: "Wish", init: Init, target: Target, environ: Environment, pid: int
) -> "tuple[list[Passed], list[Passed]]":
    """What the init passed: the sockets that were asked for, and the rest. Raises Failure if there are none such."""
    sockets = passed_by(init, target, environ, pid)
    if not wish.socket:
        return sockets, []
    chosen = [passed for passed in sockets if passed.name == wish.socket]
    if not chosen:
        names = ", ".join(str(passed) for passed in sockets) or "nothing"
        raise Failure(f"--socket {wish.socket}: {init.called} passed no socket of this name; it passed: {names}")
    return chosen, [passed for passed in sockets if passed not in chosen]
