"""daemontools: supervise(8) starts a daemon in its service directory and waits for nothing; svc(8) asks for nothing."""

import posix

from cross_init.model import ANYONE, Claim, Service
from cross_init.model import Init as Base

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.detect import Evidence


class Init(Base):
    """We run as a service of supervise; for svstat(8) it is up as soon as its process is there."""

    name = "daemontools"
    from_whom = ANYONE

    def recognise(self, evidence: "Evidence") -> Claim | None:
        """By the parent's name."""
        if evidence.parent_name == "supervise":
            return Claim(f"the parent process {evidence.parent} is supervise", True)
        return None

    def service(self, evidence: "Evidence", command: str) -> Service:
        """Named as its directory is, in which supervise starts ./run."""
        return Service(posix.getcwd().rpartition("/")[2])
