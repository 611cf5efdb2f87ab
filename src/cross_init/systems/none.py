"""No init system: a shell, or whatever else starts programs and waits for them. Readiness is a line for a person."""

from cross_init.errors import print_error
from cross_init.model import ANYONE, TEXT, Claim, Service
from cross_init.model import Init as Base

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.kernel.evidence import Evidence


class Init(Base):
    """We run from a shell; it needs --listen for sockets, and hears of readiness on standard error."""

    name = "none"
    in_words = "a shell"
    hears = TEXT
    from_whom = ANYONE
    carried = ()
    seen_from_beside = True
    shares_groups = True
    restarts = False

    def recognise(self, evidence: "Evidence") -> Claim | None:
        """Never claims a process: it is what remains."""
        return None

    def ready(self, service: Service, pid: int, pidfd: int, seconds: float) -> None:
        """Say it, and how long it took."""
        print_error(f"{service} is ready after {seconds:.3f} s (PID {pid})", 0)
