"""Finit: readiness by notify:systemd or notify:s6 in a service's stanza (finit.conf(5)).

notify:systemd differs: up to 4.12 NOTIFY_SOCKET is the bare number of a descriptor, which sd_notify(3) does not take
(Finit's issue 440); from 4.13 on it is an abstract socket; of a message Finit reads the first 31 bytes, so a STATUS
before READY=1 hides it. We write READY=1 alone. For notify:s6 the number stands where the stanza has %n: --ready-fd %n.
"""

import posix

from cross_init.bounds import as_descriptor
from cross_init.kernel.linux import Environment
from cross_init.model import ANYONE, DESCRIPTOR, MESSAGE, NOTHING, Claim, Service
from cross_init.model import Init as Base

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.kernel.evidence import Evidence

CONTROL = "/run/finit/socket"
SOCKET = b"@run/finit/"


class Init(Base):
    """We run as a service of Finit."""

    name = "finit"
    hears = MESSAGE
    from_whom = ANYONE
    takes_time = True
    carried = ("socket",)
    socket = b""
    job_type = "notify:systemd"
    is_beside = False  # the descriptor is our own

    def recognise(self, evidence: "Evidence") -> Claim | None:
        """By the parent, PID 1, and Finit's control socket: from 4.13 on it calls itself init."""
        if evidence.parent == 1 and posix.access(CONTROL, posix.F_OK):
            return Claim(f"the parent process 1 is {evidence.parent_name}, and there is {CONTROL}", True)
        return None

    def probe(self, evidence: "Evidence") -> None:
        """Which form NOTIFY_SOCKET has, if any."""
        self.socket = evidence.environ.get(b"NOTIFY_SOCKET", b"")
        if self.socket.isdigit():
            self.hears = DESCRIPTOR
        elif not self.socket.startswith(SOCKET):
            self.hears = NOTHING

    def why_unnotified(self, environ: Environment) -> str | None:
        """Without a notification socket the service counts as ready when it runs."""
        if self.hears == NOTHING:
            return (
                "Finit does not wait for readiness: add notify:systemd to the service's stanza, "
                "or notify:s6 and --ready-fd %n to the command"
            )
        if self.hears == DESCRIPTOR:
            named = as_descriptor(self.socket)
            number: int = -1 if named is None else named
            try:
                posix.fstat(number)
            except OSError:
                return f"NOTIFY_SOCKET={self.socket.decode()} is not open: what starts us has to leave it open"
            # Left open for the daemon as well: Finit goes on reading from it as long as the service runs.
            self.descriptors = (number,)
        return None

    def waits_for_it(self, environ: Environment) -> str:
        """By NOTIFY_SOCKET, in either form."""
        return "" if self.hears == NOTHING else "Finit waits for readiness (notify:systemd)"

    def reach(self, evidence: "Evidence") -> str:
        """By the pipe of notify:s6, or that of notify:systemd up to 4.12. Later that is a socket, which has no pipe."""
        from cross_init.notify.service_pipe import opened_anew

        pipe = opened_anew(evidence.pid, evidence.parent)
        self.is_beside = True
        self.descriptors, self.hears = ((), NOTHING) if pipe is None else ((pipe,), DESCRIPTOR)
        return "" if self.descriptors else "it does not wait for that on a descriptor: add notify:s6 to the stanza"

    def strip(self, environ: Environment) -> None:
        """NOTIFY_SOCKET, if it is Finit's."""
        socket = environ.get(b"NOTIFY_SOCKET", b"")
        if socket.isdigit() or socket.startswith(SOCKET):
            del environ[b"NOTIFY_SOCKET"]

    def ready(self, service: Service, pid: int, pidfd: int, seconds: float) -> None:
        """READY=1, with the newline that the older form ends with."""
        for fd in self.descriptors:
            from cross_init.notify.descriptor import put

            put(fd, b"READY=1\n")
            if self.is_beside:
                posix.close(fd)
        if self.hears == MESSAGE:
            from cross_init.notify.service_manager import Manager

            manager = Manager(self.socket)
            try:
                manager.send(b"READY=1")
            finally:
                manager.close()
