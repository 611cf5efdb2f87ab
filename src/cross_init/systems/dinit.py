"""dinit: readiness by a write to a pipe, a socket by LISTEN_FDS (dinit-service(5), ready-notification, socket-listen).

With pipefd:N nothing in the environment says that there is a pipe, or where: it is looked for among our descriptors.
"""

import posix

from cross_init.bounds import as_descriptor, number
from cross_init.errors import Failure
from cross_init.kernel.linux import Environment
from cross_init.model import ANYONE, DESCRIPTOR, Channel, Claim, Service, is_for
from cross_init.model import Init as Base
from cross_init.model import Target as BaseTarget
from cross_init.notify.service_pipe import opened_anew, readiness_pipes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.kernel.evidence import Evidence
    from cross_init.sockets.passed import Passed

SERVICE = b"DINIT_SERVICE"  # with "load-options = export-service-name"
SOCKET_FD = 3  # where the socket is (dinit-service(5), socket-listen)
LISTEN = (b"LISTEN_FDS", b"LISTEN_PID")
OPTIONS = "fd=N or var=NAME, as ready-notification has pipefd:N and pipevar:NAME"
# Not 3: a service that has a socket as well gets that there, and no pipe (seen with 0.22).
ADVICE = "ready-notification = pipefd:4"


def parse(option: str, where: str) -> tuple[int | None, bytes]:
    """fd=N or var=NAME: the descriptor, or the variable that names it; neither if there is no option.

    where: what the option belongs to, for people. Raises Failure.
    """
    kind, _, value = option.partition("=")
    if kind == "fd" and (chosen := number(value, 3, 1023)) is not None:
        return chosen, b""
    if kind == "var" and value.isidentifier() and value.isascii():
        return None, value.encode()
    if option:
        raise Failure(f"{where} dinit:{option}: there it takes {OPTIONS}; N is 3 to 1023")
    return None, b""


class Init(Base):
    """We run as a service of dinit, of the type process."""

    name = "dinit"
    passes = "LISTEN_FDS"
    hears = DESCRIPTOR
    from_whom = ANYONE
    carried = ()
    job_type = ADVICE
    options = OPTIONS
    number: int | None = None
    variable = b""

    def configure(self, option: str) -> None:
        """Take in where the pipe is, if it is not to be looked for. Raises Failure."""
        self.number, self.variable = parse(option, "--init")

    def recognise(self, evidence: "Evidence") -> Claim | None:
        """By the parent's name; where dinit runs the machine it may be named init, and then only its variable tells."""
        if evidence.parent_name == "dinit":
            return Claim(f"the parent process {evidence.parent} is dinit", True)
        if evidence.parent == 1 and SERVICE in evidence.environ:
            return Claim(f"{SERVICE.decode()} is set, and the parent is process 1", True)
        return None

    def service(self, evidence: "Evidence", command: str) -> Service:
        """As dinit calls it, if it says so."""
        if SERVICE in evidence.environ:
            return Service(evidence.environ[SERVICE].decode("utf-8", "replace"))
        return super().service(evidence, command)

    def sockets(self, environ: Environment, pid: int) -> "list[Passed]":
        """At most one, as descriptor 3. Raises Failure if it is not open."""
        if not is_for(environ, pid):
            return []
        from cross_init.sockets.passed import describe

        return [describe(SOCKET_FD)]

    def why_unnotified(self, environ: Environment) -> str | None:
        """Without ready-notification there is no pipe."""
        if self.variable:
            named = as_descriptor(environ.get(self.variable, b""))
            if named is None:
                name = self.variable.decode()
                return f"{name} names no descriptor: write into the service's file: ready-notification = pipevar:{name}"
            found: list[int] = [named]
        else:
            found = readiness_pipes("self", posix.getppid()) if self.number is None else [self.number]
        if not found:
            return f"the service does not wait for it: write into its file: {ADVICE}"
        if len(found) > 1:
            return (
                f"descriptors {', '.join(map(str, found))} are pipes, and each could be the one: say which, with "
                "--init dinit:fd=N or --init dinit:var=NAME"
            )
        from cross_init.notify.descriptor import keep

        kept = keep(found[0])
        if kept is None:
            return f"descriptor {found[0]} is not open for writing: write into the service's file: {ADVICE}"
        self.descriptors = (kept,)
        return None

    def waits_for_it(self, environ: Environment) -> str:
        """By the pipe, as far as it is found."""
        if self.variable:
            named = self.variable in environ
        else:
            named = self.number is not None or len(readiness_pipes("self", posix.getppid())) == 1
        return "dinit waits for readiness (ready-notification)" if named else ""

    def reach(self, evidence: "Evidence") -> str:
        """By the same pipe, whatever its number is."""
        pipe = opened_anew(evidence.pid, evidence.parent)
        self.descriptors = () if pipe is None else (pipe,)
        return "" if self.descriptors else f"it does not wait for that, or the daemon has closed its pipe ({ADVICE})"

    def strip(self, environ: Environment) -> None:
        """The socket's variables, and the pipe's if we were told it. DINIT_SERVICE and DINIT_CS_FD stay true."""
        for variable in (*LISTEN, self.variable):
            environ.pop(variable, None)

    def ready(self, service: Service, pid: int, pidfd: int, seconds: float) -> None:
        """Any byte says it."""
        from cross_init.notify.descriptor import tell

        for fd in self.descriptors:
            tell(fd)


class Target(BaseTarget):
    """We stand in for dinit."""

    name = "dinit"
    takes = "LISTEN_FDS"
    first_fd = SOCKET_FD
    says = DESCRIPTOR
    when_silent = (
        "perhaps it needs an option that names the descriptor, or looks for another one than -t dinit: says; if it "
        "never writes there, use --ready-when instead of -N"
    )
    options = OPTIONS
    number: int | None = None
    variable = b""

    def configure(self, option: str) -> None:
        """Take in where the daemon looks for the pipe. Raises Failure."""
        self.number, self.variable = parse(option, "--target")
        self.option = option

    def refuse(self, sockets: "list[Passed]", together: bool) -> None:
        """All but one listening stream socket (socket-listen makes a UNIX one), and one where the pipe is to be."""
        listed = ", ".join(str(passed) for passed in sockets)
        if len(sockets) > 1:
            raise Failure(
                f"passing {len(sockets)} sockets to a daemon for dinit, which passes one: {listed}; "
                "choose one with --socket NAME; the daemon was not started"
            )
        if sockets and not (sockets[0].listening and sockets[0].kind == "stream"):
            raise Failure(
                f"passing {listed} to a daemon for dinit: dinit passes listening stream sockets; "
                "the daemon was not started"
            )
        if sockets and self.number == SOCKET_FD:
            raise Failure(
                f"passing {listed} to a daemon for dinit: it would be descriptor {SOCKET_FD}, where "
                f"-t dinit:{self.option} says that the daemon writes; the daemon was not started"
            )

    def channel(self, leaving: bool) -> Channel:
        """A pipe on the daemon's number, or on any, which its variable names. Raises Failure if neither was said."""
        if not self.option:
            raise Failure(
                "a dinit daemon that says when it is ready (-N): where? Write -t dinit:fd=N or dinit:var=NAME"
            )
        from cross_init.readiness.pipe import PipeChannel

        return PipeChannel(self.number, self.variable, newline=False)

    def strip(self, environ: Environment) -> None:
        """Sockets that were not for this daemon."""
        for variable in LISTEN:
            environ.pop(variable, None)

    def lay_out(self, environ: Environment, sockets: "list[Passed]", service: Service, pid: int) -> None:
        """The socket as descriptor 3, LISTEN_FDS and LISTEN_PID (dinit-service(5), socket-listen)."""
        if sockets:
            environ[b"LISTEN_FDS"] = b"1"
            environ[b"LISTEN_PID"] = str(pid).encode()
