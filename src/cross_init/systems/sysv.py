"""sysvinit, LSB scripts, and dpkg's start-stop-daemon(8): a command that returns when the service runs, and a PID file.

A script in /etc/init.d waits for the commands in it. So the command has to end, with 0, when the daemon is ready
(model.EXIT). Where start-stop-daemon puts it into the background and waits for a message (--notify-await), that is sent
instead; it takes it from anyone (dpkg 1.21, utils/start-stop-daemon.c, wait_for_notify), and nobody has to stay.
"""

import posix

from cross_init.errors import Failure
from cross_init.kernel.linux import Environment
from cross_init.model import ANYONE, EXIT, MESSAGE, Claim, Service
from cross_init.model import Init as Base
from cross_init.model import Target as BaseTarget

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.kernel.evidence import Evidence
    from cross_init.sockets.passed import Passed

SCRIPTS = ("/etc/init.d/", "/etc/rc")
# The folder of start-stop-daemon's socket. It is there as long as somebody waits.
AWAITED = b"/.s-s-d-notify."
EXTEND_S = 60  # how far each "this start takes its time" reaches, in seconds


class Init(Base):
    """We run from a script in /etc/init.d, or from the start-stop-daemon in it."""

    name = "sysv"
    hears = EXIT
    from_whom = ANYONE
    takes_time = True
    carried = ("socket",)
    socket = b""
    moves_main = True  # nobody has taken note of any PID yet

    def recognise(self, evidence: "Evidence") -> Claim | None:
        """By who waits for us: start-stop-daemon on its socket, or the script that is our parent."""
        if awaited(evidence.environ):
            return Claim("start-stop-daemon waits on the NOTIFY_SOCKET that is set", True)
        path = script(evidence)
        return Claim(f"the parent process {evidence.parent} runs {path}", True) if path else None

    def probe(self, evidence: "Evidence") -> None:
        """Whether somebody waits for a message."""
        if awaited(evidence.environ):
            self.hears, self.moves_main, self.news = MESSAGE, False, ()

    def service(self, evidence: "Evidence", command: str) -> Service:
        """Named as its script is, without the S and the two digits of a runlevel's link."""
        name = script(evidence).rpartition("/")[2]
        if name[:1] in ("S", "K") and name[1:3].isdigit():
            name = name[3:]
        return Service(name) if name else super().service(evidence, command)

    def why_unnotified(self, environ: Environment) -> str | None:
        """Never: note the way to who waits."""
        self.socket = environ.get(b"NOTIFY_SOCKET", b"")
        return None

    def waits_for_it(self, environ: Environment) -> str:
        """By its socket; a command that is waited for is over anyway."""
        return "start-stop-daemon waits for readiness (--notify-await)" if self.hears == MESSAGE else ""

    def strip(self, environ: Environment) -> None:
        """start-stop-daemon's socket, also one of a start that is over."""
        if AWAITED in environ.get(b"NOTIFY_SOCKET", b""):
            del environ[b"NOTIFY_SOCKET"]

    def ready(self, service: Service, pid: int, pidfd: int, seconds: float) -> None:
        """READY=1. (The other way is the front's.)"""
        send(self.socket, b"READY=1")

    def waiting(self, environ: Environment, text: str) -> float | None:
        """Move the time limit on; start-stop-daemon(8), --notify-await."""
        if not awaited(environ):
            return None
        send(environ[b"NOTIFY_SOCKET"], b"EXTEND_TIMEOUT_USEC=%d" % (EXTEND_S * 1_000_000))
        return EXTEND_S / 2


def send(address: bytes, message: bytes) -> None:
    """One message to the socket. Raises OSError."""
    from cross_init.notify.service_manager import Manager

    manager = Manager(address)
    try:
        manager.send(message)
    finally:
        manager.close()


def awaited(environ: Environment) -> bool:
    """Whether start-stop-daemon waits for a message: its socket is gone when it does not."""
    socket = environ.get(b"NOTIFY_SOCKET", b"")
    return AWAITED in socket and posix.access(socket, posix.F_OK)


def script(evidence: "Evidence") -> str:
    """The script that the parent runs, "" if it runs none: a shell has its path as its first or second argument."""
    return next((word for word in evidence.parent_words[1:4] if word.startswith(SCRIPTS)), "")


class Target(BaseTarget):
    """We stand in for an init script: --pid-file says where the daemon leaves its number."""

    name = "sysv"
    says = EXIT
    when_silent = (
        "perhaps it needs an option to leave the foreground, or writes another PID file than --pid-file says; if it "
        "stays in the foreground, use -t plain and --ready-when"
    )
    forks = True

    def refuse(self, sockets: "list[Passed]", together: bool) -> None:
        """It would not find them."""
        if sockets:
            raise Failure(
                f"passing {sockets[0]} to a daemon of an init script: it opens its own sockets; "
                "the daemon was not started; one that takes them as systemd passes them and then forks away needs "
                "-t systemd:forking"
            )

    def lay_out(self, environ: Environment, sockets: "list[Passed]", service: Service, pid: int) -> None:
        """Nothing is passed."""
