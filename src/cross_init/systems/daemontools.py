"""daemontools: supervise(8) starts a daemon in its service directory and waits for nothing; svc(8) asks for nothing."""

from cross_init.kernel.linux import Environment
from cross_init.model import ANYONE, Claim, Service
from cross_init.model import Init as Base

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.kernel.evidence import Evidence
    from cross_init.store.wanted_state import WantedState


class Init(Base):
    """We run as a service of supervise; for svstat(8) it is up as soon as its process is there."""

    name = "daemontools"
    from_whom = ANYONE
    carried = ()
    shares_session = True

    def recognise(self, evidence: "Evidence") -> Claim | None:
        """By the parent's name."""
        if evidence.parent_name == "supervise":
            return Claim(f"the parent process {evidence.parent} is supervise", True)
        return None

    def service(self, evidence: "Evidence", command: str) -> Service:
        """Named as its directory is, in which supervise starts ./run."""
        from cross_init.systems.service_directory import service_directory

        self.folder, name = service_directory(evidence, "supervise")
        return Service(name)

    def stays_down(self, service: Service, environ: Environment) -> "WantedState":
        """As supervise notes it."""
        from cross_init.store.wanted_state import WantedState, wants_up

        return WantedState(f"{self.folder}/supervise", wants_up)
