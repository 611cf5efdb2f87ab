"""systemd as the init: sd_notify(3), sd_listen_fds(3), and what both imply for us. As the target: systemd_target.py."""

import posix

from cross_init.errors import why
from cross_init.kernel.linux import Environment, is_transient, retry_transient
from cross_init.model import ANYONE, MAIN, MESSAGE, NOTHING, Claim, Service, announced
from cross_init.model import Init as Base
from cross_init.systems.systemd_target import NEWS, PROTOCOL, WATCHDOG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cross_init.kernel.evidence import Evidence
    from cross_init.notify.service_manager import Manager
    from cross_init.readiness.sd_notify import Assignments
    from cross_init.sockets.passed import Passed

OF_A_MANAGER = (b"NOTIFY_SOCKET", *WATCHDOG, b"FDSTORE")  # what only means something as long as there is one
OURS = ("MAINPID", "MAINPIDFD", "MAINPIDFDID", "NOTIFYACCESS", "BARRIER")  # what the daemon says to us alone
READY_MS, NEWS_MS = 5000, 1000  # how long the manager may take to take in that, and what the daemon says
EXTEND_S = 60  # how far each "this start takes its time" reaches, in seconds


class Init(Base):
    """We run on systemd: the system's or a user's manager, or whoever speaks its protocol (Podman does)."""

    name = "systemd"
    passes = "LISTEN_FDS"
    hears = MESSAGE
    from_whom = MAIN
    moves_main = True
    news: tuple[str, ...] = NEWS
    clean_environment = True
    ends_all = True
    signals_all = True  # systemd.kill(5), KillMode=control-group
    job_type = "Type=notify"
    keeps_sockets = "give the service a socket unit (systemd.socket(5))"
    address = b""
    unit = ""  # as systemctl(1) calls it, if it is known
    of_user = False  # whether it is a unit of a user's manager
    was_looked_at = False  # whether somebody listens there
    has_said_why = False  # it was told what the start waits for
    is_slow = False  # it has not taken in the last news: it is not waited for until it takes some at once

    def recognise(self, evidence: "Evidence") -> Claim | None:
        """By its variables that name this process, by the parent, or by a notification socket that came down to us."""
        environ, pid = evidence.environ, str(evidence.pid).encode()
        for variable in (b"SYSTEMD_EXEC_PID", b"LISTEN_PID"):
            if environ.get(variable) == pid:
                return Claim(f"{variable.decode()} is our PID", True)
        if evidence.parent_name == "systemd":
            return Claim(f"the parent process {evidence.parent} is systemd", True)
        if b"NOTIFY_SOCKET" in environ:
            return Claim("NOTIFY_SOCKET is set", False)
        return None

    def is_lost(self, evidence: "Evidence") -> bool:
        """Whether nobody listens on NOTIFY_SOCKET, as when who had set it is gone; then it is left out."""
        if not self.was_looked_at:
            self.was_looked_at = True
            self.lost = evidence.lost = self.unreachable(evidence.environ)
            if self.lost:
                for variable in OF_A_MANAGER:
                    evidence.environ.pop(variable, None)
        return bool(self.lost)

    def probe(self, evidence: "Evidence") -> None:
        """Whether somebody listens, unless systemd itself has started us: that would be known."""
        started = evidence.environ.get(b"SYSTEMD_EXEC_PID") == str(evidence.pid).encode()
        is_told = b"NOTIFY_SOCKET" in evidence.environ and not started and evidence.parent_name != "systemd"
        if is_told and self.is_lost(evidence):
            self.hears, self.from_whom, self.moves_main, self.news = NOTHING, ANYONE, False, ()

    def reach(self, evidence: "Evidence") -> str:
        """It has given the service a socket of its own."""
        self.hears = NOTHING
        return "a manager of systemd hears its services on the NOTIFY_SOCKET that it gives them: leave that as it is"

    def state_of(self, service: str) -> tuple[str, int] | None:
        """As systemctl(1) says it of the system's own manager, where that runs the machine (sd_booted(3))."""
        if not posix.access("/run/systemd/system", posix.F_OK):
            return None
        from cross_init.systems.systemd_unit import state_of

        return state_of(service)

    def unreachable(self, environ: Environment) -> str:
        """Why a message to NOTIFY_SOCKET would reach nobody, if it would not."""
        if b"NOTIFY_SOCKET" not in environ:
            return ""
        try:
            connect(environ[b"NOTIFY_SOCKET"]).close()
        except OSError as error:
            return "" if is_transient(error) else why(error)
        return ""

    def service(self, evidence: "Evidence", command: str) -> Service:
        """From the unit's name, which the control group has: no question to the manager is needed.

        What stands behind the @ is the instance (systemd.unit(5)), escaped as systemd has it.
        """
        for path in evidence.cgroups:
            for part in reversed(path.split("/")):
                if part.endswith(".service"):
                    self.unit, self.of_user = part.removeprefix("_"), "/user@" in path
                    unit = part.removeprefix("_").removesuffix(".service")  # _: how a reserved name is escaped
                    name, _, instance = unit.partition("@")
                    return Service(name, instance)
        return super().service(evidence, command)

    def sockets(self, environ: Environment, pid: int) -> "list[Passed]":
        """LISTEN_FDS from descriptor 3 on, if they are for the process pid. Raises Failure if one is not open."""
        return announced(environ, pid, self.name)

    def why_unnotified(self, environ: Environment) -> str | None:
        """Without a notification socket the unit does not wait for readiness."""
        self.address = environ.get(b"NOTIFY_SOCKET", b"")
        if self.address or self.lost:
            return None
        return "systemd gave no NOTIFY_SOCKET, so the unit does not wait for readiness: set Type=notify in it"

    def waits_for_it(self, environ: Environment) -> str:
        """By the notification socket: from systemd itself, and not for the watchdog, which has its own line."""
        is_main = environ.get(b"SYSTEMD_EXEC_PID") == str(posix.getpid()).encode()
        is_for_it = is_main and b"NOTIFY_SOCKET" in environ and b"WATCHDOG_USEC" not in environ
        return "systemd hears readiness (NOTIFY_SOCKET is set)" if is_for_it else ""

    def warnings(self, environ: Environment) -> list[str]:
        """A watchdog that nobody feeds ends the service; and who is not the main process may not be heard."""
        found = []
        if b"WATCHDOG_USEC" in environ:
            found.append(
                "the unit has WatchdogSec=, which the daemon does not know: systemd will end it; remove it there"
            )
        started = environ.get(b"SYSTEMD_EXEC_PID", b"").decode("utf-8", "replace")
        if b"NOTIFY_SOCKET" in environ and started not in ("", str(posix.getpid())):
            from cross_init.systems.systemd_unit import notify_access

            access = notify_access(self.unit, self.of_user, environ)
            if access != "all":
                unless = "" if access else " (unless the unit has NotifyAccess=all, which could not be asked)"
                found.append(
                    f"systemd started process {started} and not this one, which it does not hear then{unless}: "
                    "write exec before the command in the script that starts it, or NotifyAccess=all in the unit"
                )
        return found

    def strip(self, environ: Environment) -> None:
        """All of the protocol."""
        for variable in PROTOCOL:
            environ.pop(variable, None)

    def watchdog_usec(self, environ: Environment) -> int:
        """WATCHDOG_USEC, as sd_watchdog_enabled(3) takes it: any time but "infinity", which is none."""
        if b"WATCHDOG_USEC" not in environ:
            return 0
        from cross_init.bounds import UINT64_MAX, as_usec

        usec = as_usec(environ.get(b"WATCHDOG_USEC", b""))
        return usec if usec is not None and usec != UINT64_MAX else 0

    def fd_store_max(self, environ: Environment) -> int:
        """FDSTORE: the unit's FileDescriptorStoreMax= (systemd.exec(5); systemd 254 and newer say it)."""
        if b"FDSTORE" not in environ:
            return 0
        from cross_init.bounds import number

        return number(environ[b"FDSTORE"], 0, (1 << 32) - 1) or 0  # an unsigned int there

    def ready(self, service: Service, pid: int, pidfd: int, seconds: float) -> None:
        """READY=1, from the main process, which stays that."""
        if self.lost:
            super().ready(service, pid, pidfd, seconds)
            return
        self._send(b"READY=1" + self._no_status(), [], READY_MS)

    def pass_on(self, environ: Environment, assignments: "Assignments", descriptors: list[int]) -> None:
        """As it was said; but the main process stays what it is, and nobody else may speak."""
        said = [f"{key}={value}" for key, value in assignments if key not in OURS]
        if said:
            try:
                self._send("\n".join(said).encode("utf-8", "replace"), descriptors, NEWS_MS * (not self.is_slow))
                self.is_slow = False
            except TimeoutError:  # who passes it on has a daemon to see to
                self.is_slow = True
                raise

    def _send(self, message: bytes, descriptors: list[int], wait_ms: int) -> None:
        manager = connect(self.address)
        try:
            manager.send(message, descriptors, wait_ms, self.speaker)
        finally:
            manager.close()

    def hand_over(self, environ: Environment, pid: int, telling: "Callable[[], None]") -> None:
        """One message, as the sender is main only until MAINPID= was read; then wait until it was."""
        manager = connect(environ[b"NOTIFY_SOCKET"])
        try:
            telling()
            manager.send(f"MAINPID={pid}\nREADY=1".encode() + self._no_status())
            retry_transient(manager.barrier)  # it has been told: what passes is no reason to take it back
        finally:
            manager.close()

    def _no_status(self) -> bytes:
        """What we have said of the start is not true any more; what the daemon says stays."""
        return b"\nSTATUS=" if self.has_said_why else b""

    def barrier(self, environ: Environment) -> None:
        """The manager reads our barrier when it has done what it was at."""
        if b"NOTIFY_SOCKET" in environ and not self.is_slow:
            manager = connect(environ[b"NOTIFY_SOCKET"])
            try:
                manager.barrier()
            finally:
                manager.close()

    def waiting(self, environ: Environment, text: str) -> float | None:
        """Move the start's time limit on (EXTEND_TIMEOUT_USEC, sd_notify(3)), again at half of it."""
        if b"NOTIFY_SOCKET" not in environ:
            return None
        manager = connect(environ[b"NOTIFY_SOCKET"])
        try:
            manager.send(f"STATUS={text}\nEXTEND_TIMEOUT_USEC={EXTEND_S * 1_000_000}".encode())
        finally:
            manager.close()
        self.has_said_why = True
        return EXTEND_S / 2


def connect(address: bytes) -> "Manager":
    """The manager's end, imported only by who talks to it. Raises OSError."""
    from cross_init.notify.service_manager import Manager

    return Manager(address)
