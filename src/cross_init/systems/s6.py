"""s6: a newline on the descriptor that the file notification-fd names (s6-supervise(8), "Readiness notification").

s6 passes no sockets by itself; s6-ipcserver-socketbinder, s6-tcpserver-socketbinder and s6-fdholder-retrieve run a
program with a listening socket as its standard input. s6-fdholder-getdump leaves it all that a holder has, at any
numbers, with their names in its environment.
"""

import posix

from cross_init.errors import Failure
from cross_init.kernel.linux import Environment, is_socket
from cross_init.model import ANYONE, DESCRIPTOR, DOWN, READY, STARTING, Channel, Claim, Service
from cross_init.model import (
    Init as Base,
)
from cross_init.model import (
    Target as BaseTarget,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.kernel.evidence import Evidence
    from cross_init.offered import DescriptorHolder
    from cross_init.sockets.passed import Passed
    from cross_init.store.wanted_state import WantedState

FILE = "notification-fd"
DEFAULT = 3  # what most services for s6 use
COUNT, DUMP = b"S6_FD#", (b"S6_FD_", b"S6_FDID_", b"S6_FDLIMIT_")  # s6-fdholder-getdump's variables


class Init(Base):
    """We run as a service of s6-supervise, which stands in the service's directory."""

    name = "s6"
    passes = "standard input"
    hears = DESCRIPTOR
    from_whom = ANYONE
    carried = ()
    seen_from_beside = True
    job_type = "a file notification-fd in the service directory"
    options = "fdholder=PATH, the socket of an s6-fdholderd in which --fd-store keeps descriptors"
    option_is_for = ("--fd-store",)
    fdholder = ""  # where it was said to listen

    def configure(self, option: str) -> None:
        """Where an s6-fdholderd listens. Raises Failure."""
        word, _, self.fdholder = option.partition("=")
        if option and not (word == "fdholder" and self.fdholder.startswith("/")):
            raise Failure(f"--init s6:{option}: there it takes {self.options}; the path is an absolute one")

    def recognise(self, evidence: "Evidence") -> Claim | None:
        """By the parent's name."""
        if evidence.parent_name == "s6-supervise":
            return Claim(f"the parent process {evidence.parent} is s6-supervise", True)
        return None

    def seen_from_inside(self, evidence: "Evidence") -> str:
        """By the service directory in which we are, and the pipe that it names."""
        from cross_init.bounds import as_descriptor
        from cross_init.kernel.linux import is_pipe

        number = as_descriptor(notification_fd(".") or "")
        if number is None or not is_pipe(number) or not posix.access("supervise", posix.F_OK):
            return ""
        return f"the file {FILE} in this service directory names descriptor {number}, which was left open to us"

    def service(self, evidence: "Evidence", command: str) -> Service:
        """Named as its directory is."""
        from cross_init.systems.service_directory import service_directory

        self.folder, name = service_directory(evidence, "s6-supervise")
        return Service(name)

    def sockets(self, environ: Environment, pid: int) -> "list[Passed]":
        """A listening socket, or one for datagrams, as standard input; and a holder's dump. Raises Failure."""
        if not is_socket(0):
            return dumped(environ)
        from cross_init.sockets.passed import standard_input

        return standard_input() + dumped(environ)

    def strip(self, environ: Environment) -> None:
        """The dump's description."""
        for variable in [known for known in environ if known == COUNT or known.startswith(DUMP)]:
            del environ[variable]

    def why_unnotified(self, environ: Environment) -> str | None:
        """Without the file s6-supervise does not listen."""
        from cross_init.bounds import as_descriptor

        if not self.folder:
            return (
                f"the file {FILE} cannot be seen: the run script has left the service directory, and has become a user "
                "who may not look at s6-supervise; change the user behind cross-init-bridge (-- s6-setuidgid USER "
                "...), or name the descriptor with --ready-fd"
            )
        said = notification_fd(self.folder)
        if said is None:
            return f"there is no file {FILE} in the service directory {self.folder}: write a number, say 3, into it"
        number = as_descriptor(said)
        if number is None:
            shown = f"says {said}" if said else "is empty"
            return f"the file {FILE} in the service directory {self.folder} {shown}: write a number, say 3, into it"
        from cross_init.notify.descriptor import keep

        kept = keep(number, self.inherited)
        if kept is None:
            return f"the file {FILE} names descriptor {number}, which is not open: what starts us has to leave it open"
        self.descriptors = (kept,)
        return None

    def reach(self, evidence: "Evidence") -> str:
        """By the pipe that s6-supervise has made for it."""
        from cross_init.notify.service_pipe import opened_anew

        pipe = opened_anew(evidence.pid, evidence.parent)
        self.descriptors = () if pipe is None else (pipe,)
        return "" if self.descriptors else f"there is no {self.job_type}, or the daemon has closed what it names"

    def state_of(self, service: str) -> tuple[str, int] | None:
        """As s6-svstat says it, if s6-supervise is told of readiness."""
        from cross_init.kernel.called import call

        up, ready, pid = (*call("s6-svstat", "-o", "up,ready,pid", service).split(), "", "", "")[:3]
        if up != "true":
            return DOWN, 0
        if not notification_fd(service):
            return None
        return READY if ready == "true" else STARTING, int(pid)

    def waits_for_it(self, environ: Environment) -> str:
        """By the file."""
        return f"s6 waits for readiness ({FILE})" if self.folder and notification_fd(self.folder) else ""

    def stays_down(self, service: Service, environ: Environment) -> "WantedState":
        """As s6-supervise notes it, and s6-svstat reads it."""
        from cross_init.store.wanted_state import WantedState
        from cross_init.systems.s6_programs import wants_up

        return WantedState(f"{self.folder}/supervise", wants_up)

    def descriptor_holder(self, service: Service) -> "DescriptorHolder | None":
        """In an s6-fdholderd, if one was named."""
        if not self.fdholder:
            return None
        from cross_init.systems.s6_programs import FdHolder

        return FdHolder(self.fdholder, service)

    def ready(self, service: Service, pid: int, pidfd: int, seconds: float) -> None:
        """Write the newline, and close: nothing more can be said there."""
        from cross_init.notify.descriptor import tell

        for fd in self.descriptors:
            tell(fd)


def dumped(environ: Environment) -> "list[Passed]":
    """What s6-fdholder-getdump got: S6_FD# of them, each with S6_FD_n (its number) and S6_FDID_n. Raises Failure."""
    count = environ.get(COUNT, b"0")
    if count == b"0":
        return []
    from cross_init.bounds import COUNT_MAX, DESCRIPTOR_MAX
    from cross_init.sockets.passed import describe

    found = []
    for n in range(_number(environ, COUNT, COUNT_MAX)):
        fd, name = _number(environ, b"S6_FD_%d" % n, DESCRIPTOR_MAX), environ.get(b"S6_FDID_%d" % n, b"")
        found.append(describe(fd, name.decode("utf-8", "surrogateescape")))
    return found


def _number(environ: Environment, variable: bytes, most: int) -> int:
    """What this variable of a dump says. Raises Failure."""
    from cross_init.bounds import number

    text = environ.get(variable, b"")
    found = number(text, 0, most)
    if found is None:
        shown = f"{variable.decode()}={text.decode('utf-8', 'replace')}"
        raise Failure(f"taking what s6-fdholder-getdump got: {shown} is no number, 0 to {most}: is it all of its dump?")
    return found


def notification_fd(folder: str) -> str | None:
    """The first line of the file, which is all that s6-supervise takes; None if there is no file. Raises OSError."""
    path = f"{folder}/{FILE}"
    if not posix.access(path, posix.F_OK):
        return None
    from cross_init.kernel.linux import read_for_decision

    return read_for_decision(path).partition("\n")[0]


class Target(BaseTarget):
    """We stand in for s6."""

    name = "s6"
    takes = "standard input"
    says = DESCRIPTOR
    when_silent = (
        "perhaps it needs an option that names the descriptor, which has to be the one behind -t s6: (3 if none is); "
        "if it never writes there, use --ready-when instead of -N"
    )
    options = "the number of a descriptor, as in s6:4 (without one, 3)"
    number = DEFAULT

    def configure(self, option: str) -> None:
        """Take in the number. Raises Failure."""
        self.option = option
        if option:
            from cross_init.bounds import number

            chosen = number(option, 3, 1023)
            if chosen is None:
                raise Failure(f"--target s6:{option}: write the number of a descriptor, 3 to 1023")
            self.number = chosen

    def refuse(self, sockets: "list[Passed]", together: bool) -> None:
        """More than one, as it goes to standard input; and a connection."""
        if sockets and sockets[0].connected:
            raise Failure(
                f"passing {sockets[0]} to a daemon for s6: it is one client's connection, where the daemon accepts "
                "those itself; the daemon was not started"
            )
        if len(sockets) > 1:
            listed = ", ".join(str(passed) for passed in sockets)
            raise Failure(
                f"passing {len(sockets)} sockets to a daemon for s6, which gets one as its standard input: {listed}; "
                "choose one with --socket NAME; the daemon was not started"
            )

    def channel(self, leaving: bool) -> Channel:
        """A pipe on the daemon's number."""
        from cross_init.readiness.pipe import PipeChannel

        return PipeChannel(self.number, b"", newline=True)

    def lay_out(self, environ: Environment, sockets: "list[Passed]", service: Service, pid: int) -> None:
        """The socket as standard input."""
        if sockets:
            from cross_init.sockets.passed import place

            place(sockets, 0)
