"""What socket units have run around their sockets: ExecStartPre=, ExecStartPost=, ExecStopPre=, ExecStopPost=.

They are run as [Socket] says (User=, Environment=, ...), where we open the sockets: else they are the init's. As
systemd has it (socket.c): ExecStartPre= before any is open, ExecStartPost= when all are; at the end ExecStopPre= before
paths are removed, ExecStopPost= afterwards. If the sockets cannot be had the last two are run as well, but not if
already ExecStartPre= fails. A stop during one of the first two goes on with ExecStopPost=.
"""

import _signal
import posix

from cross_init.definitions.definition import INFINITY
from cross_init.errors import FAILED, Failure, Stopped
from cross_init.model import STOPS
from cross_init.running.environment import has_credentials, remove_made, variables
from cross_init.running.identity import identity_of
from cross_init.running.steps import Step, run_all, run_at_end
from cross_init.shapes.stops import block, unblock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cross_init.definitions.definition import Command, Definition, Socket
    from cross_init.kernel.linux import Environment
    from cross_init.launch import Start
    from cross_init.running.identity import Identity
    from cross_init.sockets.passed import Passed
    from cross_init.sockets.placing import Removal

KEYS = {
    "start_pre": "ExecStartPre",
    "start_post": "ExecStartPost",
    "stop_pre": "ExecStopPre",
    "stop_post": "ExecStopPost",
}
AT_START = ("start_pre", "start_post")
FIRST_FD = 3  # SD_LISTEN_FDS_START, sd_listen_fds(3)


class SocketStep(Step):
    """One command of a socket unit's. sockets: what it is passed (PassFileDescriptorsToExec=)."""

    def __init__(self, key: str, command: "Command", definition: "Definition", identity: "Identity") -> None:
        super().__init__(key, command, definition, identity)
        self.sockets: list[Passed] = []

    def become(self, environ: "Environment") -> None:
        """Run it in this new process. Does not return; raises Failure, OSError."""
        if self.sockets:
            from cross_init.sockets.passed import place

            place(self.sockets, FIRST_FD)
            environ[b"LISTEN_FDS"] = str(len(self.sockets)).encode()
            environ[b"LISTEN_PID"] = str(posix.getpid()).encode()
            environ[b"LISTEN_FDNAMES"] = ":".join(passed.name for passed in self.sockets).encode()
            self.keep = tuple(passed.fd for passed in self.sockets)
        super().become(environ)


class OfOne:
    """The commands of one socket unit. sockets: its own, which are open.

    has_begun: what comes first was run, so ExecStopPost= is due. is_up: so is ExecStopPre=.
    """

    def __init__(self, socket: "Socket", of_user: bool, given: "Environment") -> None:
        """Raises Failure."""
        self.socket = socket
        self.given = given
        self.definition = socket.as_service(of_user)
        self.identity = identity_of(self.definition)
        self.environ = variables(self.definition, self.identity, given)
        self.sockets: list[Passed] = []
        self.has_begun = self.is_up = False

    def run(self, kind: str) -> tuple[Step, int] | None:
        """Run those of a kind until one fails; returns that, and its wait status. Raises Failure, Stopped."""
        steps = [self._step(KEYS[kind], command) for command in getattr(self.socket, kind)]
        if not steps:
            return None
        if has_credentials(self.definition):
            from cross_init.running.credentials import provide

            provide(self.definition, self.identity.owner, self.given)
        if kind == "stop_post":  # systemd closes them when the first of these has begun
            for step in steps[1:]:
                step.sockets = []
        limit = self.socket.timeout or INFINITY
        return run_all([*steps], self.environ, limit, limit, STOPS if kind in AT_START else ())

    def _step(self, key: str, command: "Command") -> SocketStep:
        step = SocketStep(key, command, self.definition, self.identity)
        step.sockets = self.sockets
        return step

    def hold(self, sockets: "list[Passed]") -> None:
        """Have these open for the commands to come, whoever closes them meanwhile."""
        from cross_init.kernel.linux import dup_high
        from cross_init.sockets.passed import describe

        self.sockets = [describe(dup_high(passed.fd), passed.name) for passed in sockets]

    def let_go(self) -> None:
        """Close what was held."""
        for passed in self.sockets:
            posix.close(passed.fd)
        self.sockets = []


class SocketCommands:
    """Those of all socket units. removals: paths that go between ExecStopPre= and ExecStopPost=."""

    def __init__(self, sockets: "list[Socket]", of_user: bool, given: "Environment") -> None:
        """sockets: all that are opened, in the order in which they are. Raises Failure."""
        self.all = [OfOne(socket, of_user, given) for socket in sockets]
        self.removals: list[Removal] = []

    @property
    def stays(self) -> str:
        """The first command for which somebody has to stay, as its key; "" if there is none."""
        kinds = [kind for kind in ("stop_pre", "stop_post") for each in self.all if getattr(each.socket, kind)]
        return KEYS[kinds[0]] if kinds else ""

    def around(self, start: "Start", open_sockets: "Callable[[Start], None]") -> None:
        """Run what comes before, open the sockets, run what comes behind. Raises Failure, Stopped."""
        before = block()
        try:
            self._run("start_pre")
            for each in self.all:
                each.is_up = True
            _signal.pthread_sigmask(_signal.SIG_SETMASK, before)
            open_sockets(start)
            if self.stays:
                self.removals, start.removals = start.removals, []
            self._share_out(start.sockets)
            block()
            self._run("start_post")
            _signal.pthread_sigmask(_signal.SIG_SETMASK, before)
        except BaseException:
            self.end()
            raise

    def _share_out(self, sockets: "list[Passed]") -> None:
        at = 0
        for each in self.all:
            count = len(each.socket.listen)
            if each.socket.pass_file_descriptors_to_exec:
                each.hold(sockets[at : at + count])
            at += count

    def _run(self, kind: str) -> None:
        """Raises Failure, Stopped."""
        for each in self.all:
            try:
                failed = each.run(kind)
            except Stopped:
                each.has_begun, each.is_up = True, False
                raise
            if failed is not None:
                from cross_init.watch.outcome import in_words

                step, status = failed
                code = posix.WEXITSTATUS(status) if posix.WIFEXITED(status) else FAILED
                raise Failure(f"{step.text}: it failed ({in_words(status)}), so there is no socket", code)
            each.has_begun = True

    def end(self) -> None:
        """The sockets are there no more: run what comes at the end, once; that one fails is said."""
        before = block()
        try:
            for each in self.all:
                if each.is_up:
                    run_at_end(each.run, "stop_pre")
            for removal in self.removals:
                removal.remove()
            for each in self.all:
                if each.has_begun:
                    run_at_end(each.run, "stop_post")
                each.has_begun = each.is_up = False
                each.let_go()
                remove_made(each.definition)
        finally:
            unblock(before)


def commands_of(definition: "Definition", given: "Environment") -> SocketCommands | None:
    """Those of all of a service's sockets; None if there are none. Raises Failure."""
    from cross_init.running.sockets import is_wanted

    wanted = [socket for socket in definition.sockets if is_wanted(definition, socket)]
    if not any(socket.has_commands for socket in wanted):
        return None
    return SocketCommands(wanted, definition.of_user, given)
