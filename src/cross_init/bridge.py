"""One way through: detect, plan, gather the sockets, and run in the shape that the plan has chosen."""

import _signal
import posix

from cross_init.detect import Evidence, detect, init_named, target_named
from cross_init.linux import why
from cross_init.model import (
    CANNOT_RUN,
    EXIT,
    NOT_FOUND,
    NOTHING,
    Channel,
    Claim,
    Environment,
    Failure,
    Init,
    Service,
    Target,
)
from cross_init.plan import EXEC, HAND_OVER, SERVE, SUPERVISE, WATCH, choose, is_one_contract

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.cli import Wish
    from cross_init.health import Endpoint
    from cross_init.plan import Plan
    from cross_init.readiness.condition import Condition
    from cross_init.sockets import Passed
    from cross_init.store.way import Way

DEFAULT_PATH = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # if the init gave none


class Start:
    """All that a shape needs to know of this one start."""

    __slots__ = (
        *("command", "conditions", "endpoint", "environ", "init", "kept", "original", "passed_inodes"),
        *("program", "service", "sockets", "target", "watchdog_usec", "way", "wish"),
    )

    def __init__(self, wish: "Wish", init: Init, target: Target, service: Service, original: Environment) -> None:
        self.wish = wish
        self.init = init
        self.target = target
        self.service = service
        self.original = original  # as the init gave it: how to reach it
        self.environ = dict(original)  # as the daemon gets it
        self.sockets: list[Passed] = []
        self.command = wish.command
        self.program: list[bytes] = []  # where the command may be
        self.conditions: list[Condition] = []  # what --ready-when asks for
        self.endpoint: Endpoint | None = None  # where --health-listen answers
        self.passed_inodes: list[int] = []  # of the sockets, for who has closed them
        self.kept = wish.fd_store  # how many descriptors are kept for it over a restart, at most
        self.way: Way | None = None  # to these, if it is we who keep them
        self.watchdog_usec = 0  # how often the daemon has to give a sign of life, in microseconds; 0: it need not

    def channel(self, leaving: bool) -> Channel:
        """The way for the daemon to say that it is ready, if it is to say so. Raises OSError."""
        try:
            return self.target.channel(leaving) if self.wish.notify else Channel()
        except OSError as error:
            raise Failure(f"opening the daemon's way to say that it is ready: {why(error)}") from None

    def expose(self, channel: Channel) -> None:
        """Offer the daemon what it is heard and observed by, in the process that becomes it. Raises OSError."""
        channel.expose(self.environ)
        for condition in self.conditions:
            condition.expose()

    def descriptors(self, channel: Channel) -> set[int]:
        """What the watching process needs to have open for all that."""
        return {
            *channel.descriptors,
            *self.init.descriptors,
            *(fd for each in self.conditions for fd in each.descriptors),
            *([self.endpoint.fd] if self.endpoint is not None else []),
        }

    def close_sockets(self) -> None:
        """Close the daemon's sockets in a process that is not the daemon: a port must be free when that is gone."""
        if self.sockets:
            from cross_init.sockets import close

            close(self.sockets)

    def become(self) -> None:
        """Lay out what the daemon expects and become it. Does not return; raises Failure."""
        self.lay_out()
        self.execute()

    def lay_out(self) -> None:
        """Sockets and variables as the target has them, for this process. Raises OSError."""
        self.target.lay_out(self.environ, self.sockets, self.service, posix.getpid())
        if self.watchdog_usec:
            self.target.ask_for_life(self.environ, self.watchdog_usec, posix.getpid())
        if self.kept:
            self.target.offer_to_keep(self.environ, self.kept)

    def execute(self) -> None:
        """Become the daemon. Does not return; raises Failure."""
        # The interpreter ignores both signals for itself, and exec would pass that on (signal(7)).
        pipe = _signal.SIG_IGN if self.target.ignores_sigpipe else _signal.SIG_DFL
        _signal.signal(_signal.SIGPIPE, pipe)
        _signal.signal(_signal.SIGXFSZ, _signal.SIG_DFL)
        reason: OSError | None = None
        for path in self.program:
            try:
                posix.execve(path, self.command, self.environ)
            except OSError as error:
                reason = error
                if not isinstance(error, FileNotFoundError | NotADirectoryError | PermissionError):
                    break  # it is there, and another one of this name would be the wrong one (execvp(3))
        assert reason is not None
        _signal.signal(_signal.SIGPIPE, _signal.SIG_IGN)  # we go on, at least to say why
        if isinstance(reason, FileNotFoundError):  # it was found: execve(2) says so of what has to interpret it as well
            raise Failure(
                f"running {self.command[0]}: not found: the program is there, but not the interpreter that it names: "
                "see its first line, or what ldd(1) says of it",
                NOT_FOUND,
            )
        raise cannot_run(self.command[0], reason)


def cannot_run(command: str, error: OSError) -> Failure:
    """Why the command does not run, as env(1) says it."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        where = "there is no such file; write its whole path" if "/" in command else "it is in no folder of PATH"
        return Failure(f"running {command or 'nothing'}: not found: {where}", NOT_FOUND)
    import errno

    advice = {
        errno.EACCES: "is it a program that this user may execute?",
        errno.ENOEXEC: "is it made for this machine? A script has to begin with #! and its interpreter",
        errno.E2BIG: "its arguments and its environment are longer, together or one of them, than the kernel takes",
    }.get(error.errno or 0)
    return Failure(f"running {command}: {error.strerror}{f'; {advice}' if advice else ''}", CANNOT_RUN)


def find_program(command: str, environ: Environment) -> list[bytes]:
    """Where the command is, or the places on PATH to try. Raises Failure, before anything is started, if nowhere."""
    name = command.encode("utf-8", "surrogateescape")
    if b"/" in name:
        places = [name]
    else:
        path = environ.get(b"PATH", DEFAULT_PATH)
        places = [(folder or b".") + b"/" + name for folder in path.split(b":")] if name else []
    found: list[bytes] = []
    missing: OSError = FileNotFoundError(2, "No such file or directory")
    for place in places:
        try:
            mode = posix.stat(place).st_mode
        except OSError as error:
            if not isinstance(error, FileNotFoundError | NotADirectoryError):
                missing = error
            continue
        if mode & 0o170000 == 0o040000:
            missing = PermissionError(13, "Is a directory")
        elif not posix.access(place, posix.X_OK, effective_ids=True):
            missing = PermissionError(13, "Permission denied")
        else:
            found.append(place)
    if not found:
        raise cannot_run(command, missing)
    return found


def run(wish: "Wish", environ: Environment) -> int:
    """Run the wish. Returns an exit code only if this process does not become the daemon. Raises Failure, OSError."""
    evidence = Evidence(environ)
    init, claim = init_of(wish, evidence)
    init.look(evidence)
    target = target_named(wish.target)
    if wish.daemonize or wish.pid_file or wish.ready_fd or wish.state_file:
        from cross_init.telling import adapt

        adapt(init, target, wish)
    listens = bool(target.clients_at_a_time) and is_listening(wish, init, environ, evidence.pid)
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
    prepare(start, plan, evidence.pid)
    if plan.shape == EXEC:
        start.become()
    if init.hears == EXIT and wish.waits:
        from cross_init.front import split

        split(start)
    return run_shape(start, plan)


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

            warn(f"telling that the daemon is ready: {unheard(init)}")
    if init.name != target.name:
        for warning in init.warnings(environ):
            warn(warning)
    start.sockets = gather(wish, init, target, environ, pid)
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
        condition.prepare(start.environ)
    if wish.health_listen:
        from cross_init.health import Endpoint

        start.endpoint = Endpoint(wish.health_listen)


def warn(message: str) -> None:
    """Say it on standard error, and go on."""
    from cross_init.cli import complain

    complain(message, 0)


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
    try:
        return run_it(start)
    except BaseException:
        if start.endpoint is not None:
            start.endpoint.remove()
        raise


def conditions(wish: "Wish", target: Target, plan: "Plan") -> "list[Condition]":
    """What --ready-when asks for. Raises Failure if what else was asked for does not go with the daemon or the plan."""
    if wish.end_after_ready and plan.shape in (SUPERVISE, SERVE):
        raise Failure(f"--end-after-ready: {plan.reason}, so the bridge has to stay: leave it out")
    if wish.watchdog[0] and "watchdog" not in target.news:
        raise Failure(f"--watchdog: a daemon for {target.name} gives no signs of life: leave it out")
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


def gather(wish: "Wish", init: Init, target: Target, environ: Environment, pid: int) -> "list[Passed]":
    """The sockets for the daemon: what the init passed, the one chosen by name, and what --listen opens.

    Raises Failure before anything is opened if the daemon cannot be given them.
    """
    sockets, left_out = select(wish, init, environ, pid)
    if wish.adopt_socket and not sockets:
        from cross_init.adopt import adopt

        sockets = [adopt(wish.adopt_socket)]
    if wish.listen:
        from cross_init.listen import open_all, parse

        addresses = [parse(text) for text in wish.listen]
        target.refuse(sockets + [address.announced() for address in addresses], wish.all_sockets)
        sockets = sockets + open_all(addresses)
    else:
        target.refuse(sockets, wish.all_sockets)
    if left_out:
        from cross_init.sockets import close

        close(left_out)
    return sockets


def is_listening(wish: "Wish", init: Init, environ: Environment, pid: int) -> bool:
    """Whether the daemon's socket is one that listens, so that somebody has to accept connections."""
    try:
        sockets, _ = select(wish, init, environ, pid)
    except Failure:
        return False  # which is said when they are taken
    return bool(wish.listen or (wish.adopt_socket and not sockets)) or any(passed.listening for passed in sockets)


def select(wish: "Wish", init: Init, environ: Environment, pid: int) -> "tuple[list[Passed], list[Passed]]":
    """What the init passed: the sockets that were asked for, and the rest. Raises Failure if there are none such."""
    sockets = init.sockets(environ, pid)
    if not wish.socket:
        return sockets, []
    chosen = [passed for passed in sockets if passed.name == wish.socket]
    if not chosen:
        names = ", ".join(str(passed) for passed in sockets) or "nothing"
        raise Failure(f"--socket {wish.socket}: {init.called} passed no socket of this name; it passed: {names}")
    return chosen, [passed for passed in sockets if passed not in chosen]
