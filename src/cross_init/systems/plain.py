"""No protocol at all: a daemon that knows of no init. Its readiness is observed (--ready-when)."""

from cross_init.errors import Failure
from cross_init.kernel.linux import Environment
from cross_init.model import Service
from cross_init.model import Target as BaseTarget

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.sockets.passed import Passed


class Target(BaseTarget):
    """A daemon that says nothing and expects nothing."""

    name = "plain"

    def refuse(self, sockets: "list[Passed]", together: bool) -> None:
        """It would not find them."""
        if sockets:
            raise Failure(
                f"passing {sockets[0]} to a plain daemon: it opens its own sockets: say with -t which init it "
                "knows, or do not give it any; the daemon was not started"
            )

    def lay_out(self, environ: Environment, sockets: "list[Passed]", service: Service, pid: int) -> None:
        """Nothing is passed."""
