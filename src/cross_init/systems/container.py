"""A container (Docker, Podman, Kubernetes): nobody is told of readiness, probes ask for it.

They ask cross-init check, run inside, or --health-listen. Where the runtime passes NOTIFY_SOCKET (Podman with
--sdnotify=container) READY=1 is sent there as well. It passes sockets by LISTEN_FDS (Podman).
"""

import posix

from cross_init.kernel.linux import Environment
from cross_init.model import ANYONE, ASKED, Claim, Service, announced
from cross_init.model import Init as Base

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.kernel.evidence import Evidence
    from cross_init.sockets.passed import Passed

# What stands between the runtime and a container's service and does nothing but reap and pass signals on ...
REAPERS = ("docker-init", "podman-init", "catatonit", "tini", "tini-static", "dumb-init")
# ... and the runtime's own process, which is our parent where we share its PID namespace (--pid=host).
RUNTIMES = ("conmon", "containerd-shim")
VARIABLES = (b"LISTEN_FDS", b"LISTEN_PID", b"LISTEN_FDNAMES", b"NOTIFY_SOCKET")
# What else tells that this is a container: not needed, and named.
HINTS = (b"container", b"KUBERNETES_SERVICE_HOST")
FILES = ("/run/.containerenv", "/.dockerenv")


class Init(Base):
    """We run as a container's first process, or below a reaper that is."""

    name = "container"
    in_words = "a container"
    passes = "LISTEN_FDS"
    hears = ASKED
    from_whom = ANYONE
    stays = "a container lives as long as its first process, and whoever asks is to hear of a stop signal"
    ends_all = True  # the kernel, with the PID namespace; where that is shared, the runtime, by the control group
    address = b""
    parent_is_outside = False

    def recognise(self, evidence: "Evidence") -> Claim | None:
        """By our own PID, by a parent that is outside of our PID namespace, or by its name."""
        self.parent_is_outside = evidence.parent == 0
        if evidence.pid == 1:
            because = "this is process 1"
        elif evidence.parent == 0:
            because = "the parent process is outside of this PID namespace"
        elif evidence.parent_name in (*REAPERS, *RUNTIMES):
            because = f"the parent process {evidence.parent} is {evidence.parent_name}"
        else:
            return None
        return Claim(because + _hints(evidence.environ), True)

    def sockets(self, environ: Environment, pid: int) -> "list[Passed]":
        """LISTEN_FDS from descriptor 3 on, if they are for the process pid. Raises Failure if one is not open."""
        return announced(environ, pid, self.name)

    def why_unnotified(self, environ: Environment) -> str | None:
        """It can always be asked; and perhaps be told."""
        self.address = environ.get(b"NOTIFY_SOCKET", b"")
        return None

    def warnings(self, environ: Environment) -> list[str]:
        """That an init outside may wait, where somebody has entered a PID namespace for us: it is not told."""
        if not self.parent_is_outside or self.hears != ASKED:
            return []  # told by a descriptor (--ready-fd)
        from cross_init.systems.from_inside import warnings

        return warnings(environ)

    def strip(self, environ: Environment) -> None:
        """The sockets, and the way to the runtime."""
        for variable in VARIABLES:
            environ.pop(variable, None)

    def ready(self, service: Service, pid: int, pidfd: int, seconds: float) -> None:
        """READY=1, which is all that runtimes pass on, and from whomever. Raises OSError."""
        if self.address:
            from cross_init.notify.service_manager import Manager

            manager = Manager(self.address)
            try:
                manager.send(b"READY=1")
            finally:
                manager.close()


def _hints(environ: Environment) -> str:
    """What speaks for a container, in words."""
    found = [hint.decode() for hint in HINTS if hint in environ]
    for path in FILES:
        try:
            posix.stat(path)
        except OSError:
            continue
        found.append(path)
    return f", and there {'are' if len(found) > 1 else 'is'} {', '.join(found)}" if found else ""
