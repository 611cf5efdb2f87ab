"""OpenRC: openrc-run(8), start-stop-daemon(8) and supervise-daemon(8) as OpenRC has them.

Readiness has two forms. From 0.63 on a service can say notify=fd:N or notify=socket:ready, and whichever of the two
daemons starts us waits for a newline, or for READY=1 from anyone. In every version start-stop-daemon without
command_background waits for the command to end with 0 and takes the main process from the PID file (model.EXIT).
"""

import posix

from cross_init.bounds import as_descriptor
from cross_init.kernel.linux import Environment
from cross_init.model import ANYONE, DESCRIPTOR, EXIT, MESSAGE, NOTHING, Claim, Service
from cross_init.model import Init as Base

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.kernel.evidence import Evidence

# As proc_pid_comm(5) cuts them.
STARTER, SUPERVISOR, SCRIPT = "start-stop-daem", "supervise-daemo", "openrc-run.sh"
SOCKET = b"/supervise-"  # of the name of its socket (OpenRC, src/shared/misc.c, notify_parse)
NOTIFY, BACKGROUND = "--notify", "--background"


class Init(Base):
    """We run from a service script of OpenRC."""

    name = "openrc"
    hears = EXIT
    from_whom = ANYONE
    takes_time = True  # as its socket may be full
    carried = ("socket",)
    socket = b""
    moves_main = True  # until the PID file is read

    def recognise(self, evidence: "Evidence") -> Claim | None:
        """By one of its programs as our parent, or by RC_SVCNAME, which some versions let through."""
        parent = evidence.parent_name
        if parent in (STARTER, SUPERVISOR, SCRIPT):  # dpkg's start-stop-daemon becomes the daemon, it is no parent
            return Claim(f"the parent process {evidence.parent} is OpenRC's {parent}", True)
        if b"RC_SVCNAME" in evidence.environ:
            return Claim("RC_SVCNAME is set", evidence.parent == 1)
        return None

    def probe(self, evidence: "Evidence") -> None:
        """By which way it waits. The descriptor's number stands in its command line only."""
        self.number: int = -1
        self.socket = evidence.environ.get(b"NOTIFY_SOCKET", b"")
        self.parent = evidence.parent_name
        words = evidence.parent_words
        words = words[: words.index("--")] if "--" in words else words
        how = after(NOTIFY, words) if self.parent in (STARTER, SUPERVISOR) else ""
        named = as_descriptor(how.removeprefix("fd:")) if how.startswith("fd:") else None
        if named is not None:
            self.hears, self.number = DESCRIPTOR, named
        elif SOCKET in self.socket:
            self.hears = MESSAGE
        elif self.parent not in (STARTER, SCRIPT) or BACKGROUND in words:
            self.hears = NOTHING
        self.moves_main = self.hears == EXIT

    def service(self, evidence: "Evidence", command: str) -> Service:
        """RC_SVCNAME, or where that is kept from us, what supervise-daemon or the socket is called after."""
        name = evidence.environ.get(b"RC_SVCNAME", b"").decode("utf-8", "replace")
        if not name and evidence.parent_name == SUPERVISOR:
            name = evidence.parent_words[1]
        if not name and SOCKET in self.socket:
            name = self.socket.partition(SOCKET)[2].removesuffix(b".sock").decode("utf-8", "replace")
        return Service(name) if name else super().service(evidence, command)

    def why_unnotified(self, environ: Environment) -> str | None:
        """Nobody waits for readiness where there is neither notify= nor a command that is waited for."""
        if self.hears == NOTHING:
            return (
                "the service does not wait for readiness: add notify=fd:3 (newer than OpenRC 0.56), "
                "or leave out command_background and supervisor, and say --pid-file with what pidfile= says"
            )
        if self.hears == DESCRIPTOR:
            from cross_init.notify.descriptor import keep

            kept = keep(self.number)
            if kept is None and self.parent == STARTER:
                return f"the service says notify=fd:{self.number}, but this is not open"
            # Where supervise-daemon starts the daemon once more, nobody waits any more.
            self.descriptors = () if kept is None else (kept,)
        return None

    def waits_for_it(self, environ: Environment) -> str:
        """By notify=; where supervise-daemon starts the daemon once more, the descriptor is gone."""
        is_there = self.hears == MESSAGE or (self.hears == DESCRIPTOR and is_open(self.number))
        return "OpenRC waits for readiness (notify=)" if is_there else ""

    def reach(self, evidence: "Evidence") -> str:
        """By its pipe, while one of its daemons waits there. It waits for no command here that would go on."""
        if self.hears != DESCRIPTOR:
            self.hears = NOTHING
            return "the service does not wait for it on a descriptor (notify=fd:3, newer than OpenRC 0.56)"
        from cross_init.kernel.between import parent_of
        from cross_init.notify.service_pipe import opened_anew

        above = parent_of(evidence.parent)  # supervise-daemon has forked, and the first of the two waits
        pipe = opened_anew(evidence.pid, evidence.parent) or (opened_anew(evidence.pid, above) if above else None)
        self.descriptors = () if pipe is None else (pipe,)
        return "" if self.descriptors else f"nobody waits at descriptor {self.number}, or the daemon has closed it"

    def strip(self, environ: Environment) -> None:
        """Its socket."""
        if SOCKET in environ.get(b"NOTIFY_SOCKET", b""):
            del environ[b"NOTIFY_SOCKET"]

    def ready(self, service: Service, pid: int, pidfd: int, seconds: float) -> None:
        """READY=1, or a newline. (The other way is the front's.)"""
        if self.hears == DESCRIPTOR:
            from cross_init.notify.descriptor import tell

            for fd in self.descriptors:
                tell(fd)
            return
        from cross_init.notify.service_manager import Manager

        try:
            manager = Manager(self.socket)
        except (FileNotFoundError, ConnectionRefusedError):
            return  # supervise-daemon has started the daemon once more: nobody waits any more
        try:
            manager.send(b"READY=1")
        finally:
            manager.close()


def is_open(fd: int) -> bool:
    """Whether there is such a descriptor."""
    try:
        posix.fstat(fd)
    except OSError:
        return False
    return True


def after(option: str, words: list[str]) -> str:
    """What follows this option, "" if it is not there."""
    at = words.index(option) + 1 if option in words else len(words)
    return words[at] if at < len(words) else ""
