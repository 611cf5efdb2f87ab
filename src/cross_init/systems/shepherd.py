"""The GNU Shepherd: sockets by LISTEN_FDS, readiness by a PID file (its manual, "Service De- and Constructors").

make-systemd-constructor sets LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES as systemd does. make-forkexec-constructor with
#:pid-file waits until the file is there, and takes the main process from it. make-inetd-constructor starts one command
for each connection, which is its standard input, output and error, and says nothing of it.
"""

from cross_init.kernel.linux import Environment, is_socket
from cross_init.model import ANYONE, FILE, NOTHING, Claim, Service, announced
from cross_init.model import Init as Base

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cross_init.kernel.evidence import Evidence
    from cross_init.sockets.passed import Passed

LISTEN = (b"LISTEN_FDS", b"LISTEN_PID", b"LISTEN_FDNAMES")


class Init(Base):
    """We run as a service of the Shepherd, the system's or a user's."""

    name = "shepherd"
    hears = NOTHING
    from_whom = ANYONE
    carried = ("main",)
    moves_main = True
    reads_pid_file = True
    job_type = "#:pid-file"
    main = -1  # whom the PID file names

    def recognise(self, evidence: "Evidence") -> Claim | None:
        """By the parent's name."""
        if evidence.parent_name == "shepherd":
            return Claim(f"the parent process {evidence.parent} is the Shepherd", True)
        return None

    def probe(self, evidence: "Evidence") -> None:
        """Whether standard error is a client's: then neither we nor the daemon write to it."""
        if is_socket(0):
            from cross_init.sockets.stdio import free_errors

            free_errors()

    def sockets(self, environ: Environment, pid: int) -> "list[Passed]":
        """LISTEN_FDS, or the connection that is standard input. Raises Failure if one is not open."""
        if b"LISTEN_PID" not in environ:
            if not is_socket(0):
                return []
            from cross_init.sockets.passed import standard_input

            return standard_input(connections=True)
        return announced(environ, pid, self.name)

    def why_unnotified(self, environ: Environment) -> str | None:
        """It has no other ear than for the PID file."""
        if self.hears == FILE:
            return None
        return (
            "the Shepherd hears it by a PID file only: give its path to make-forkexec-constructor as #:pid-file, "
            "and here as --pid-file; with other constructors leave out -N"
        )

    def strip(self, environ: Environment) -> None:
        """Its sockets' description."""
        for variable in LISTEN:
            environ.pop(variable, None)

    def ready(self, service: Service, pid: int, pidfd: int, seconds: float) -> None:
        """The PID file names the main process."""
        from cross_init.kernel.procfs import process_of

        main = process_of(pidfd)
        if main is not None:  # else it has ended meanwhile, which the Shepherd sees
            self._name(main)

    def hand_over(self, environ: Environment, pid: int, telling: "Callable[[], None]") -> None:
        """The PID file names the daemon; what loses its parent becomes the Shepherd's child."""
        telling()
        self._name(pid)

    def _name(self, pid: int) -> None:
        from cross_init.notify.pid_file import write

        self.main = pid
        write(self.pid_file, pid)

    def ended(self) -> None:
        """The PID file names nobody any more."""
        if self.pid_file:
            from cross_init.notify.pid_file import remove

            remove(self.pid_file, self.main)
