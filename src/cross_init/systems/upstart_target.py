"""Upstart as the target: readiness by stopping ("expect stop", init(5)), sockets by UPSTART_FDS (socket-event(7)).

As the init: upstart.py.
"""

from cross_init.errors import Failure
from cross_init.kernel.linux import Environment
from cross_init.model import STOP, Service
from cross_init.model import Target as Base

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.sockets.passed import Passed

VARIABLES = b"UPSTART_"


class Target(Base):
    """We stand in for Upstart."""

    name = "upstart"
    takes = "UPSTART_FDS"
    lists = True
    says = STOP
    when_silent = (
        "perhaps it needs an option to stop itself (redis-server --supervised upstart), or its name in UPSTART_JOB "
        "(-t upstart:job=NAME); if it never does, use --ready-when instead of -N"
    )
    options = "job=NAME, what UPSTART_JOB is to say where that is not the service's own name"
    job = ""

    def configure(self, option: str) -> None:
        """Take in the job's name, and behind a slash its instance. Raises Failure."""
        word, _, self.job = option.partition("=")
        if option and not (word == "job" and self.job.partition("/")[0]):
            raise Failure(f"--target {self.name}:{option}: there it takes {self.options}")
        self.option = option

    def refuse(self, sockets: "list[Passed]", together: bool) -> None:
        """What upstart-socket-bridge(8) could not have made, and more than one without being asked for a list."""
        for passed in sockets:
            reason = None
            if not passed.is_socket:
                reason = f"it is a {passed.kind}, no socket: take it out of what is passed"
            elif passed.kind != "stream":
                reason = f"it is a {passed.kind} socket, and Upstart knows only stream sockets (systemd: ListenStream=)"
            elif passed.family not in ("inet", "inet6", "unix"):
                reason = "Upstart knows only IPv4, IPv6 and UNIX sockets: choose an address of these"
            elif not passed.listening:
                reason = "it is a connection, and Upstart passes listening sockets (systemd: Accept=no)"
            if reason:
                raise Failure(f"passing {passed} to a daemon for Upstart: {reason}; the daemon was not started")
        if len(sockets) > 1 and not together:
            listed = ", ".join(str(passed) for passed in sockets)
            choose = "choose one with --socket NAME" if any(passed.name for passed in sockets) else "open one"
            raise Failure(
                f"passing {len(sockets)} sockets to a daemon for Upstart, which passes one: {listed}; "
                f"{choose}, or pass all as a list with --all-sockets; the daemon was not started"
            )

    def strip(self, environ: Environment) -> None:
        """Nothing of an Upstart further up is for this daemon."""
        if any(known.startswith(VARIABLES) for known in environ):
            from cross_init.systems.upstart import strip

            strip(environ)

    def lay_out(self, environ: Environment, sockets: "list[Passed]", service: Service, pid: int) -> None:
        """UPSTART_JOB and UPSTART_INSTANCE; with sockets, UPSTART_FDS and the event's variables (socket-event(7))."""
        name, _, instance = self.job.partition("/") if self.job else (service.name, "", service.instance)
        environ[b"UPSTART_JOB"] = name.encode("utf-8", "surrogateescape")
        environ[b"UPSTART_INSTANCE"] = instance.encode("utf-8", "surrogateescape")
        if not sockets:
            return
        from cross_init.sockets.passed import inherit

        for passed in sockets:
            inherit(passed.fd)
        environ[b"UPSTART_FDS"] = " ".join(str(passed.fd) for passed in sockets).encode()
        environ[b"UPSTART_EVENTS"] = b" ".join([b"socket"] * len(sockets))
        # With several events the variables of the one that comes last in "start on" win.
        for passed in sockets:
            environ.update(event_variables(passed))


def event_variables(passed: "Passed") -> Environment:
    """The socket event's variables for this socket. An abstract name is shown with the @ it has in a job file."""
    address = passed.address
    if isinstance(address, tuple):
        host, port = str(address[0]), str(address[1])
        return {b"PROTO": passed.family.encode(), b"PORT": port.encode(), b"ADDR": host.encode()}
    name = address if isinstance(address, bytes) else str(address).encode("utf-8", "surrogateescape")
    return {b"PROTO": b"unix", b"SOCKET_PATH": b"@" + name[1:] if name.startswith(b"\0") else name}
