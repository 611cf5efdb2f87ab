"""One start of a daemon: what a shape needs to know of it, where the command is, and becoming it."""

import _signal
import posix

from cross_init.errors import CANNOT_RUN, NOT_FOUND, Failure, why
from cross_init.kernel.linux import Environment
from cross_init.model import STOPS, Channel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cross_init.around import Around
    from cross_init.readiness.condition import Condition
    from cross_init.request import Request
    from cross_init.sockets.passed import Passed
    from cross_init.sockets.placing import Removal
    from cross_init.store.client import HolderClient
    from cross_init.store.kept_sockets import KeptSockets
    from cross_init.watch.health import Endpoint

TRACE_MAX = 160  # bytes of a file's name that tell the service
DEFAULT_PATH = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # if the init gave none


class Start:
    """All that a shape needs to know of this one start."""

    __slots__ = (
        *("command", "conditions", "endpoint", "environ", "init", "kept", "kept_sockets", "mask", "original"),
        *("passed_inodes", "program", "removals", "request", "service", "shared", "sockets", "store", "target"),
        *("unit", "watchdog_usec"),
    )

    def __init__(self, request: "Request", unit: "Around | None" = None) -> None:
        self.request = request
        self.unit = unit  # what there is around the daemon
        self.init = request.init  # as it is told that the daemon is ready: perhaps otherwise than in its own way
        self.target = request.target
        self.service = request.service
        self.original = request.environ  # as the init gave it: how to reach it
        self.environ = dict(request.environ if unit is None else unit.environ)  # as the daemon gets it
        self.sockets: list[Passed] = []
        self.command = request.command
        self.program: list[bytes] = []  # where the command may be
        self.conditions: list[Condition] = []  # what --ready-when asks for
        self.endpoint: Endpoint | None = None  # where --health-listen answers
        self.kept_sockets: KeptSockets | None = None  # those that stay open over a restart, if there are any (keep)
        self.removals: list[Removal] = []  # paths of sockets that go with the service (remove-on-stop)
        self.mask: set[int] | None = None  # the signals that were blocked for us, if stops are held
        self.passed_inodes: list[int] = []  # of the sockets, for who has closed them
        self.kept = request.fd_store  # how many descriptors are kept for it over a restart, at most
        self.store: HolderClient | None = None  # to these, if it is we who keep them
        self.shared = -1  # a pidfd that was opened before the first fork, so it is one open file in all our processes
        self.watchdog_usec = 0  # how often the daemon has to give a sign of life, in microseconds; 0: it need not

    @property
    def trace(self) -> str:
        """Who the service is for its init, and where, as it can stand in a file's name; long ones are cut off."""
        text = f"{self.request.init.name}={self.service}={self.request.init.folder}"
        short = text.encode("utf-8", "surrogateescape")[:TRACE_MAX].decode("utf-8", "ignore")
        return short.replace("/", "|").replace("\0", "|") + "+"

    def channel(self, leaving: bool) -> Channel:
        """The way for the daemon to say that it is ready, if it is to say so. Raises OSError."""
        self.target.notify_socket = self.request.notify_socket
        try:
            return self.target.channel(leaving) if self.request.talks else Channel()
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
            *(self.endpoint.descriptors if self.endpoint is not None else ()),
            *(removal.folder for removal in self.removals),
        }

    def close_sockets(self) -> None:
        """Close the daemon's sockets in a process that is not the daemon: a port must be free when that is gone."""
        if self.sockets:
            from cross_init.sockets.passed import close

            close(self.sockets)

    def remove_sockets(self) -> None:
        """Remove the paths that go with the service, which has ended or was not started."""
        for removal in self.removals:
            removal.remove()

    def hold_stops(self) -> None:
        """From now on a stop waits for who sees to it: something is made here that is to be removed again."""
        self.mask = set(_signal.pthread_sigmask(_signal.SIG_BLOCK, STOPS))

    def let_stops(self) -> None:
        """Hold none any more: one that waits ends this process, as there is somebody who sees that."""
        if self.mask is not None:
            _signal.pthread_sigmask(_signal.SIG_SETMASK, self.mask)

    def note_failure(self) -> None:
        """The command cannot be run, which was said: let our other processes know, whose open file has a flag then."""
        if self.shared >= 0:
            from fcntl import F_SETFL, fcntl

            fcntl(self.shared, F_SETFL, posix.O_NONBLOCK)

    def has_failed(self) -> bool:
        """Whether the command could not be run."""
        if self.shared < 0:
            return False
        from fcntl import F_GETFL, fcntl

        return bool(fcntl(self.shared, F_GETFL) & posix.O_NONBLOCK)

    def become(self) -> None:
        """Lay out what the daemon expects and become it. Does not return; raises Failure."""
        self.lay_out()
        self.execute()

    def lay_out(self) -> None:
        """Sockets and variables as the target has them, for this process. Raises OSError."""
        self.target.lay_out(self.environ, self.sockets, self.service, posix.getpid())
        if self.watchdog_usec:
            self.target.announce_watchdog(self.environ, self.watchdog_usec, posix.getpid())
        if self.kept:
            self.target.announce_fd_store(self.environ, self.kept)

    def execute(self) -> None:
        """Become the daemon. Does not return; raises Failure."""
        if self.unit is None:
            execute(self.program, self.command, self.environ, self.target.ignores_sigpipe)
            return
        confine = self.unit.enter(self)
        try:
            execute(self.program, self.command, self.environ, self.target.ignores_sigpipe, confine)
        except Failure as failure:
            raise Failure(str(failure), self.unit.not_run) from None


def execute(
    programs: list[bytes],
    command: list[str],
    environ: Environment,
    ignores_sigpipe: bool,
    confine: "Callable[[], None] | None" = None,
) -> None:
    """Become this command. Does not return; raises Failure.

    programs: where it may be. confine: what is to be done last of all (Unit.enter()).
    """
    # The interpreter ignores both signals for itself, and exec would pass that on (signal(7)).
    _signal.signal(_signal.SIGPIPE, _signal.SIG_IGN if ignores_sigpipe else _signal.SIG_DFL)
    _signal.signal(_signal.SIGXFSZ, _signal.SIG_DFL)
    if confine is not None:
        confine()
    reason: OSError | None = None
    for path in programs:
        try:
            posix.execve(path, command, environ)
        except OSError as error:
            reason = error
            if not isinstance(error, FileNotFoundError | NotADirectoryError | PermissionError):
                break  # it is there, and another one of this name would be the wrong one (execvp(3))
    assert reason is not None
    _signal.signal(_signal.SIGPIPE, _signal.SIG_IGN)  # we go on, at least to say why
    if isinstance(reason, FileNotFoundError):  # it was found: execve(2) says so of what has to interpret it as well
        raise Failure(
            f"running {command[0]}: not found: the program is there, but not the interpreter that it names: "
            "see its first line, or what ldd(1) says of it",
            NOT_FOUND,
        )
    raise cannot_run(command[0], reason)


def cannot_run(command: str, error: OSError) -> Failure:
    """Why the command does not run, as env(1) says it."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        where = "there is no such file; write its whole path" if "/" in command else "it is in no folder of PATH"
        if " " in command:
            where += "; the command and its arguments are words of their own: no quotation marks around them all"
        elif command.partition("=")[0].isidentifier() and "=" in command:
            where += f"; to set a variable, write env {command} before the command"
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
