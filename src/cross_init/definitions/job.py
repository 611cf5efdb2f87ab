"""An Upstart job as its file says it (init(5)), before anything of it is put in other words."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.definitions.definition import Origin
    from cross_init.definitions.job_events import Node

UNLIMITED = (1 << 64) - 1  # RLIM_INFINITY


class Process:
    """What is run. is_script: lines for the shell, and not a command."""

    __slots__ = ("command", "is_script", "origin")

    def __init__(self, command: str, is_script: bool, origin: "Origin") -> None:
        self.command = command
        self.is_script = is_script
        self.origin = origin


class Job:
    """One job, with Upstart's own defaults (job_class_new() in its job_class.c)."""

    name: str = ""  # below /etc/init, without the file's suffix
    description: str = ""
    author: str = ""
    version: str = ""
    usage: str = ""
    instance: str = ""  # with variables
    expect: str = "none"  # none stop fork daemon
    is_task: bool = False
    is_respawned: bool = False
    respawn_limit: int = 10
    respawn_interval: int = 5  # seconds
    kill_timeout: int = 5  # seconds
    kill_signal: int = 15
    reload_signal: int = 1
    console: str = "log"  # log none output owner
    umask: int = 0o022
    nice: int | None = None
    oom_score: int = 0
    chroot: str = ""
    chdir: str = ""
    setuid: str = ""
    setgid: str = ""
    apparmor_load: str = ""
    apparmor_switch: str = ""
    start_on: "Node | None" = None
    stop_on: "Node | None" = None

    def __init__(self, name: str) -> None:
        self.name = name
        self.variables: list[str] = []  # NAME=VALUE, or the NAME of one of Upstart's own
        self.exports: list[str] = []
        self.emits: list[str] = []
        self.normal_exits: list[int] = []  # a code, or a signal << 8
        self.limits: dict[str, tuple[int, int]] = {}  # by the name of init(5): soft, hard
        self.cgroups: list[tuple[str, str, str]] = []  # the controller, a key, a value
        self.processes: dict[str, Process] = {}  # by "main", "pre-start", ...
        self.origins: dict[str, Origin] = {}  # by the stanza
