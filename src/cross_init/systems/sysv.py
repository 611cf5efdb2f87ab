"""Init scripts: the command forks, exits with 0 when its daemon serves, and leaves a PID file."""

from cross_init.model import EXIT, Environment, Failure, Service
from cross_init.model import Target as BaseTarget

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.sockets import Passed


class Target(BaseTarget):
    """We stand in for an init script: --pid-file says where the daemon leaves its number."""

    name = "sysv"
    says = EXIT
    forks = True

    def refuse(self, sockets: "list[Passed]", together: bool) -> None:
        """It would not find them."""
        if sockets:
            raise Failure(
                f"passing {sockets[0]} to a daemon of an init script: it opens its own sockets; "
                "the daemon was not started"
            )

    def lay_out(self, environ: Environment, sockets: "list[Passed]", service: Service, pid: int) -> None:
        """Nothing is passed."""
