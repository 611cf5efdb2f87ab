"""launchd: sockets by name with launch_activate_socket(3), no readiness (launchd.plist(5), launchd(8)).

Written to its manuals, and never tried: it runs on macOS only. A job must not fork away, and launchd takes it as
running when its process is there.
"""

from cross_init.errors import Failure
from cross_init.kernel.linux import Environment
from cross_init.model import ANYONE, Claim, Service
from cross_init.model import Init as Base

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.kernel.evidence import Evidence
    from cross_init.sockets.passed import Passed

LABEL = b"XPC_SERVICE_NAME"  # the job's label
NO_JOB = b"0"  # what processes have in it that launchd started for a login


class Init(Base):
    """We run as a job of launchd. names: of the job's sockets, the keys of its Sockets."""

    name = "launchd"
    passes = "launch_activate_socket"
    from_whom = ANYONE
    carried = ()
    untested = True
    options = "the keys of the job's Sockets, as in launchd:Listeners,Admin"

    def __init__(self) -> None:
        self.names: list[str] = []

    def configure(self, option: str) -> None:
        """Take in the names: nothing but the job's own file has them."""
        self.names = [name for name in option.split(",") if name]

    def recognise(self, evidence: "Evidence") -> Claim | None:
        """By the job's label; directly, if our parent is launchd, which is process 1."""
        if evidence.environ.get(LABEL, NO_JOB) == NO_JOB:
            return None
        return Claim(f"{LABEL.decode()} is set", evidence.parent == 1)

    def service(self, evidence: "Evidence", command: str) -> Service:
        """Named by its label."""
        label = evidence.environ.get(LABEL, b"").decode("utf-8", "replace")
        return Service(label) if label else super().service(evidence, command)

    def sockets(self, environ: Environment, pid: int) -> "list[Passed]":
        """All sockets of each name that was told. Raises Failure."""
        from cross_init.sockets.passed import describe

        return [describe(fd, name) for name in self.names for fd in activate(name)]

    def strip(self, environ: Environment) -> None:
        """The job's label."""
        environ.pop(LABEL, None)


def activate(name: str) -> list[int]:
    """The descriptors of the sockets that the job has under this name. Raises Failure."""
    what = f"taking launchd's socket {name}"
    try:
        import ctypes
    except ImportError:
        raise Failure(f"{what}: this Python has no module ctypes; install one that has") from None
    library = ctypes.CDLL(None)
    if not hasattr(library, "launch_activate_socket"):
        raise Failure(f"{what}: this system has no launch_activate_socket; it is no macOS: leave out --init launchd")
    numbers, count = ctypes.POINTER(ctypes.c_int)(), ctypes.c_size_t()
    error: int = library.launch_activate_socket(name.encode(), ctypes.byref(numbers), ctypes.byref(count))
    if error:
        import posix

        raise Failure(f"{what}: {posix.strerror(error)}; the job's file has to have it under Sockets")
    found = [numbers[at] for at in range(count.value)]
    library.free(numbers)
    return found
