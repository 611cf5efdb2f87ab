"""The inetd family: inetd(8), xinetd(8), and the servers that speak UCSPI: tcpserver, s6-tcpserver, s6-ipcserver, ...

nowait (and UCSPI): the daemon gets one client's connection as standard input and output. wait: it gets the socket that
listens, or one for datagrams, in the same place. inetd and xinetd put it on standard error as well; UCSPI does not, and
tells who the client is by variables (cr.yp.to/proto/ucspi.txt, s6-tcpserverd and s6-ipcserverd in their manuals).
"""

from cross_init.errors import Failure
from cross_init.kernel.linux import Environment
from cross_init.model import ANYONE, Claim, Service
from cross_init.model import Init as Base
from cross_init.model import Target as BaseTarget

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.kernel.evidence import Evidence
    from cross_init.sockets.passed import Passed

WAIT, NOWAIT = "wait", "nowait"
LIMIT, LIMIT_MAX = 40, 9999  # clients at a time, as tcpserver and s6-tcpserver have it; and as many as may be said
# What describes a connection: of UCSPI, and of xinetd. inetutils-inetd leaves a wait service those of another one.
VARIABLES = (b"PROTO", b"TCPCONNNUM", b"IPCCONNNUM", b"REMOTE_HOST")
PREFIXES = tuple(
    protocol + end for protocol in (b"TCP", b"TCP6", b"UDP", b"IPC", b"UNIX") for end in (b"LOCAL", b"REMOTE")
)


class Init(Base):
    """We run for one client, or for the socket of a service, as inetd or a UCSPI server started us. Nobody waits."""

    name = "inetd"
    passes = "standard input"
    from_whom = ANYONE
    carried = ()

    def recognise(self, evidence: "Evidence") -> Claim | None:
        """By the parent's name, which detect.py has: most of them set no variable."""
        return Claim(f"the parent process {evidence.parent} is {evidence.parent_name}", True)

    def probe(self, evidence: "Evidence") -> None:
        """Whether standard error is the client's: then neither we nor the daemon write to it."""
        from cross_init.sockets.stdio import free_errors

        free_errors()

    def sockets(self, environ: Environment, pid: int) -> "list[Passed]":
        """The connection or the socket that is standard input."""
        from cross_init.sockets.passed import standard_input

        return standard_input(connections=True)

    def strip(self, environ: Environment) -> None:
        """Who the client is: a daemon for another init is told in its own way."""
        strip(environ)


class Target(BaseTarget):
    """We stand in for inetd, and for a UCSPI server."""

    name = "inetd"
    takes = "standard input"
    options = (
        "wait (the daemon gets the socket) or nowait, perhaps with the most clients at a time (nowait:40, up to 9999)"
    )

    def configure(self, option: str) -> None:
        """Take in which of the two the daemon is written for. Raises Failure."""
        kind, colon, limit = option.partition(":")
        clients: int | None = LIMIT
        if colon:
            from cross_init.bounds import number

            clients = number(limit, 1, LIMIT_MAX)
        if kind not in (WAIT, NOWAIT) or clients is None or (colon and kind == WAIT):
            raise Failure(f"--target inetd{':' * bool(option)}{option}: behind inetd: has to stand {self.options}")
        self.option = option
        if kind == WAIT:
            self.silence = (
                ": it accepts its clients itself (with inetd:nowait the bridge does, and knows that its socket listens)"
            )
        if kind == NOWAIT:
            self.clients_at_a_time = clients
            self.takes = "a connection"

    def refuse(self, sockets: "list[Passed]", together: bool) -> None:
        """None, more than one, and those of the other kind."""
        if not sockets:
            raise Failure(
                "starting a daemon for inetd: there is no socket for it: let the init pass one, or use --listen; "
                "the daemon was not started"
            )
        if len(sockets) > 1:
            listed = ", ".join(str(passed) for passed in sockets)
            raise Failure(
                f"passing {len(sockets)} sockets to a daemon for inetd, whose standard input is one: {listed}; "
                "choose one with --socket NAME; the daemon was not started"
            )
        (passed,) = sockets
        reason = None
        if not passed.is_socket:
            reason = f"it is a {passed.kind}, no socket"
        elif self.clients_at_a_time and not (passed.connected or passed.listening):
            reason = f"a {passed.kind} socket has no connections; if the daemon can do with it, say -t inetd:wait"
        elif not self.clients_at_a_time and passed.connected:
            reason = "it is one client's connection, where the daemon accepts those itself; or say -t inetd:nowait"
        if reason:
            raise Failure(f"passing {passed} to a daemon for inetd: {reason}; the daemon was not started")

    def strip(self, environ: Environment) -> None:
        """What describes another connection."""
        strip(environ)

    def lay_out(self, environ: Environment, sockets: "list[Passed]", service: Service, pid: int) -> None:
        """Standard input and output, and who the client is. Standard error stays the log's, as with UCSPI."""
        import posix

        from cross_init.sockets.passed import place

        place(sockets, 0)
        posix.dup2(0, 1, True)
        if sockets[0].connected:
            environ.update(variables(sockets[0]))


def variables(passed: "Passed") -> Environment:
    """A connection, as UCSPI describes it: of two protocols, and without the client's end if that has gone already."""
    from cross_init.sockets.connection import credentials, ends

    local, remote = ends(passed.fd)
    if passed.family == "unix":
        _, uid, gid = credentials(passed.fd)
        path = remote if isinstance(remote, str) else ""
        words = {"PROTO": "IPC", "IPCREMOTEEUID": str(uid), "IPCREMOTEEGID": str(gid), "IPCREMOTEPATH": path}
    else:
        words = {"PROTO": "TCP"} if passed.family in ("inet", "inet6") else {}
        for end, address in (("LOCAL", local), ("REMOTE", remote)):
            if isinstance(address, tuple):
                words |= {f"TCP{end}IP": address[0], f"TCP{end}PORT": str(address[1])}
    return {key.encode(): value.encode("utf-8", "surrogateescape") for key, value in words.items()}


def strip(environ: Environment) -> None:
    """Remove what describes a connection."""
    for variable in [known for known in environ if known in VARIABLES or known.startswith(PREFIXES)]:
        del environ[variable]
