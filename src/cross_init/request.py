"""One start as it was asked for: the options, resolved once. This value goes down; no room below reads the options.

What they ask for that cannot be is noted, not raised: --explain tells all of it, a start the first of it.
"""

from _signal import SIGHUP, SIGTERM

from cross_init.detect import beyond_shell, detect, init_named, target_named
from cross_init.errors import Failure
from cross_init.kernel.evidence import Evidence, waits_for_command
from cross_init.kernel.linux import Environment
from cross_init.model import CONTROL_GROUP, KILLS, NONE, Claim, Init, Service, Target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.commands.options import Options
    from cross_init.kernel.between import Between
    from cross_init.readiness.condition import Condition
    from cross_init.sockets.address import Address


STOP_TIMEOUT_S = 90.0  # systemd's own, if nothing else is said (systemd-system.conf(5), DefaultTimeoutStopSec=)


class Request:
    """What one start is to do.

    init, target: the pair. claim: why it is this init. pid: of the process that the init started. environ: as the init
    gave it. service: who the daemon is for its init.
    listen, adopt_socket, health_listen: addresses. conditions: what is observed of the daemon, ready_when in words.
    notify_socket: "path" or "abstract", how the notification socket has to be named; "": as it fits.
    ready_timeout: in seconds, 0: no limit. watchdog: seconds between two signs of life (0: any number), and from
    SIGABRT to SIGKILL. fd_store: how many descriptors are kept over a restart, at most. instead: what the daemon gets
    for a signal that comes, 0: nothing. success: which exit codes count as 0. kill_mode: what is ended with the main
    process, one of KILL_MODES; stop_timeout: seconds from SIGTERM to SIGKILL. stop_command, reload_command: words of
    what is run before SIGTERM, and instead of SIGHUP. refusals: what was asked for and cannot be. given: the options as
    they were written, init_words that of --init; misplaced: one that stands behind the command. lost: why an
    init that seemed to have started us is not there. between: a shell, say, that the init takes for the service.
    own_watcher, need_resident: whether a resident (resident/) may not, or has to, watch the daemon; resident: where one
    of this user's listens, b"" if none does. words: all options.
    followed: where --pid-file is the init's, although the daemon forks away: the file that it writes itself, or "".
    stays: why somebody has to stay, if a unit says so. of_unit: a unit says it all, so it is no fault
    if the init does not wait, and "started" is what systemd goes by. ends_as_unit: it says more of the end than options
    can.
    """

    __slots__ = (
        *("adopt_socket", "all_sockets", "claim", "command", "conditions", "daemonize", "end_after_ready", "environ"),
        *("between", "fd_store", "given", "health_listen", "init", "init_words", "listen", "lost", "misplaced"),
        *(
            "notify",
            "notify_access",
            "notify_socket",
            "pid",
            "pid_file",
            "ready_fd",
            "ready_timeout",
            "ready_when",
            "refusals",
        ),
        *("instead", "service", "socket", "state_file", "success", "supervise", "target", "wait_for_client"),
        *("kill_mode", "reload_command", "stop_command", "stop_timeout", "watchdog"),
        *("need_resident", "own_watcher", "resident", "words"),
        *("ends_as_unit", "followed", "of_unit", "stays"),
    )

    def __init__(self, options: "Options", init: Init, target: Target) -> None:
        """What the options mean for this pair. Looks at nothing, opens nothing."""
        self.init_words = options.init
        self.given = options.given
        self.misplaced = options.misplaced
        self.words = options.words
        self.own_watcher = options.own_watcher
        self.need_resident = options.need_resident
        self.resident = b""
        self.lost = self.stays = ""
        self.followed: str | None = None
        self.of_unit = self.ends_as_unit = False
        self.between: Between | None = None
        self.init = init
        self.target = target
        self.command = options.command
        self.notify = options.notify
        self.notify_access = options.notify_access
        self.notify_socket = options.notify_socket
        self.end_after_ready = options.end_after_ready
        self.daemonize = options.daemonize
        self.pid_file = options.pid_file
        self.ready_fd = options.ready_fd
        self.state_file = options.state_file
        self.supervise = options.supervise
        self.socket = options.socket
        self.all_sockets = options.all_sockets
        self.wait_for_client = options.wait_for_client
        self.ready_timeout = options.ready_timeout
        self.watchdog = options.watchdog
        self.fd_store = options.fd_store
        chosen = ((SIGTERM, options.stop_signal), (SIGHUP, options.reload_signal))
        self.instead = {**options.rewrites, **{sent: wanted for sent, wanted in chosen if wanted}}
        self.success = options.success
        self.stop_command: list[str] = []
        self.reload_command: list[str] = []
        self.kill_mode = options.kill_mode or (NONE if init.ends_all else CONTROL_GROUP)
        self.stop_timeout = options.stop_timeout or STOP_TIMEOUT_S
        self.ready_when = options.ready_when
        self.conditions: list[Condition] = []
        self.listen: list[Address] = []
        self.adopt_socket: Address | None = None
        self.health_listen: Address | None = None
        self.refusals: list[Failure] = []
        self.claim = Claim("", False)
        self.environ: Environment = {}
        self.pid = 0
        self.service = Service("")
        if options.listen or options.adopt_socket or options.health_listen:
            self._take_addresses(options)
        if options.ready_when:
            self._take_conditions(options)
        if options.watchdog[0] or options.fd_store or self.has_access:
            target.listen_to()
        if options.stop_command or options.reload_command:
            self._take_commands(options)

    @property
    def waits(self) -> bool:
        """Whether readiness is to be told to the init: what the daemon says of itself, or what is observed."""
        return self.notify or bool(self.ready_when)

    @property
    def talks(self) -> bool:
        """Whether there is something to listen to what the daemon says for."""
        return self.notify or bool(self.watchdog[0] or self.fd_store or (self.ready_when and self.has_access))

    @property
    def has_access(self) -> bool:
        """Whether somebody's messages are said to count."""
        return "--notify-access" in self.given

    @property
    def ends_rest(self) -> bool:
        """Whether what the main process leaves when it ends is to be ended, if somebody of ours is there then."""
        return self.kill_mode in KILLS and not self.end_after_ready

    @property
    def asks_to_end(self) -> str:
        """The option that asks for somebody who is there then; "" if it is only done where somebody is."""
        if not self.ends_rest:
            return "--stop-timeout" if "--stop-timeout" in self.given else ""
        return next((option for option in ("--kill-mode", "--stop-timeout") if option in self.given), "")

    @property
    def selects(self) -> bool:
        """Whether the sockets that the init passed are not to be passed on as they are."""
        return bool(self.socket) or self.all_sockets

    def _take_addresses(self, options: "Options") -> None:
        from cross_init.sockets.address import parse, parse_http, parse_stream

        try:
            self.listen = [parse(text) for text in options.listen]
            self.adopt_socket = parse_stream(options.adopt_socket) if options.adopt_socket else None
            self.health_listen = parse_http(options.health_listen) if options.health_listen else None
        except Failure as failure:
            self.refusals.append(failure)

    def _take_commands(self, options: "Options") -> None:
        from cross_init.commands.exec_line import parse

        try:
            self.stop_command = parse("--stop-command", options.stop_command) if options.stop_command else []
            self.reload_command = parse("--reload-command", options.reload_command) if options.reload_command else []
        except Failure as failure:
            self.refusals.append(failure)

    def _take_conditions(self, options: "Options") -> None:
        from cross_init.readiness.conditions import parse_all

        try:
            self.conditions = parse_all(options.ready_when, options.bus or "system", options.end_after_ready)
        except Failure as failure:
            self.refusals.append(failure)


def resolve(options: "Options", environ: Environment, other: "tuple[int, int] | None" = None) -> Request:
    """The request that these options make, for the init that they name, or that started us. Raises Failure.

    other: the process whose start it is, if it is not this one: its PID and its parent's.
    """
    evidence = Evidence(environ, other)
    init, claim = init_of(options, evidence)
    init.probe(evidence)
    request = Request(options, init, target_named(options.target))
    request.claim, request.environ, request.pid, request.lost = claim, environ, evidence.pid, evidence.lost
    request.between = evidence.between
    if options.daemonize or options.pid_file or options.ready_fd or options.state_file:
        from cross_init.notify.options import adapt

        try:
            adapt(request)
        except Failure as failure:
            request.refusals.append(failure)
    request.service = init.service(evidence, options.command[0] if options.command else "")
    return request


def init_of(options: "Options", evidence: Evidence) -> tuple[Init, Claim]:
    """The init, and why it is this one. Raises Failure."""
    if options.init:
        init = init_named(options.init)
        if waits_for_command(evidence.parent_words):
            beyond_shell(evidence, init.name)
        return init, Claim("--init says so", True)
    try:
        return detect(evidence, not options.daemonize)  # which tells it by returning, and a shell waits for that
    except Failure as failure:
        if not options.explain:
            raise
        return init_named("none"), Claim(f"otherwise it is refused: {failure}", False)
