"""A service, as a neutral value: what is run, how it says that it is ready, as whom and where it runs, how it is ended.

Readers make it, the runner runs it, writers write it as another init's. What nobody said has
the value that systemd has for it, and stands here once. Field names are systemd's words in small letters; each occurs
in one group only, so that `Definition.origins` can say by it where it was said.

Units: times are whole microseconds and sizes bytes, both INFINITY if there is no bound; signals, modes and masks are
numbers; lists are tuples. None is: not said, and what then holds depends on something else, as a comment has it.

This is on the way of every `cross-init run`: no import, and nothing that is made when it is loaded.
"""

INFINITY = (1 << 64) - 1  # UINT64_MAX
SECOND = 1_000_000
CAPABILITIES_ALL = INFINITY  # whatever the kernel has

Texts = tuple[str, ...]
Pairs = tuple[tuple[str, str], ...]
Origin = tuple[str, int]  # the file, and the line in it, from 1


class Command:
    """One command line of a unit. Variables are put in when it is run, unless `literal`."""

    __slots__ = ("argv", "literal", "login_shell", "may_fail", "origin", "path", "privileges")

    def __init__(self, path: str, argv: Texts, origin: Origin) -> None:
        self.path = path  # of the program, or a name that is looked for (systemd.service(5), ExecSearchPath=)
        self.argv = argv  # with argv[0], which differs from path behind "@"
        self.origin = origin
        self.may_fail = False  # "-"
        self.literal = False  # ":": no variables are put in
        self.privileges = ""  # "+", "!", "!!" as written; "": those of the service
        self.login_shell = False  # "|"


class Directory:
    """One of RuntimeDirectory= and its like. path: below the folder of its kind. links: symlinks to it, beside it."""

    __slots__ = ("links", "path", "read_only")

    def __init__(self, path: str, links: Texts = (), read_only: bool = False) -> None:
        self.path = path
        self.links = links
        self.read_only = read_only


class Bind:
    """One of BindPaths= and BindReadOnlyPaths=. optional: "-", it is no matter if the source is not there."""

    __slots__ = ("optional", "read_only", "recursive", "source", "target")

    def __init__(self, source: str, target: str, optional: bool, recursive: bool, read_only: bool) -> None:
        self.source = source
        self.target = target
        self.optional = optional
        self.recursive = recursive
        self.read_only = read_only


class Commands:
    """What is run, in the order in which it stands there."""

    condition: "tuple[Command, ...]" = ()
    start_pre: "tuple[Command, ...]" = ()
    start: "tuple[Command, ...]" = ()
    start_post: "tuple[Command, ...]" = ()
    reload: "tuple[Command, ...]" = ()
    reload_post: "tuple[Command, ...]" = ()
    stop: "tuple[Command, ...]" = ()
    stop_post: "tuple[Command, ...]" = ()


class Readiness:
    """How it is known that it is ready, and which process is the main one."""

    type = "simple"  # simple exec forking oneshot dbus notify notify-reload idle; stop: Upstart's expect stop
    exit_type = "main"  # main cgroup
    pid_file = ""
    bus_name = ""
    notify_access = "none"  # none main exec all; the reader has put "main" where the type or a watchdog needs it
    remain_after_exit = False
    guess_main_pid = True
    reload_signal = 1  # of notify-reload


class Context:
    """As whom, where and with what it runs (systemd.exec(5))."""

    # identity
    user = ""
    group = ""
    supplementary_groups: "Texts" = ()
    dynamic_user = False
    pam_name = ""
    set_login_environment: "bool | None" = None  # as if "yes" where User=, DynamicUser= or PAMName= is said
    root_directory_start_only = False
    permissions_start_only = False

    # where
    working_directory = ""  # "~": the user's home. "": / (of the user's manager: the home)
    working_directory_may_lack = False
    root_directory = ""
    root_image = ""
    runtime_directory: "tuple[Directory, ...]" = ()
    runtime_directory_mode = 0o755
    runtime_directory_preserve = "no"  # no yes restart
    state_directory: "tuple[Directory, ...]" = ()
    state_directory_mode = 0o755
    cache_directory: "tuple[Directory, ...]" = ()
    cache_directory_mode = 0o755
    logs_directory: "tuple[Directory, ...]" = ()
    logs_directory_mode = 0o755
    configuration_directory: "tuple[Directory, ...]" = ()
    configuration_directory_mode = 0o755
    exec_search_path: "Texts" = ()

    # environment; the values as they are to be, of one name the last one only
    environment: "Pairs" = ()
    environment_files: "tuple[tuple[str, bool], ...]" = ()  # a path or pattern; whether it may be missing
    pass_environment: "Texts" = ()
    unset_environment: "Texts" = ()  # NAME or NAME=VALUE

    # scheduling; None: as it is
    umask = 0o022
    nice: "int | None" = None
    oom_score_adjust: "int | None" = None
    cpu_scheduling_policy = ""  # other batch idle fifo rr ext
    cpu_scheduling_priority: "int | None" = None  # None: 0, of fifo and rr 1
    cpu_scheduling_reset_on_fork = False
    cpu_affinity: "tuple[int, ...]" = ()
    cpu_affinity_from_numa = False
    numa_policy = ""  # default preferred bind interleave local
    numa_mask: "tuple[int, ...]" = ()
    io_scheduling_class = ""  # none realtime best-effort idle
    io_scheduling_priority: "int | None" = None
    timer_slack_nsec: "int | None" = None
    coredump_filter: "int | None" = None
    personality = ""
    ignore_sigpipe = True
    memory_ksm: "bool | None" = None
    memory_thp = "inherit"  # inherit disable madvise system

    # standard streams
    standard_input = "null"  # null tty tty-force tty-fail data file:PATH socket fd:NAME
    standard_output = "inherit"  # inherit null tty journal kmsg journal+console kmsg+console socket
    standard_error = "inherit"  # file:PATH append:PATH truncate:PATH fd:NAME
    standard_input_data = b""
    tty_path = ""
    tty_reset = False
    tty_vhangup = False
    tty_vt_disallocate = False
    tty_rows: "int | None" = None
    tty_columns: "int | None" = None
    syslog_identifier = ""
    syslog_facility = "daemon"
    syslog_level = "info"
    syslog_level_prefix = True
    log_level_max = ""
    utmp_identifier = ""
    utmp_mode = "init"
    non_blocking = False

    # capabilities and privileges
    capability_bounding_set = CAPABILITIES_ALL  # a bit for each, capabilities(7)
    ambient_capabilities = 0
    secure_bits = 0  # SECBIT_... of prctl(2)
    no_new_privileges = False
    keyring_mode = ""  # inherit private shared; "": private of the system's manager, else inherit

    # the sandbox of mounts and namespaces
    private_tmp = "no"  # no yes disconnected
    private_devices = False
    private_network = False
    private_ipc = False
    private_pids = "no"  # no yes
    private_users = "no"  # no self identity full managed
    private_mounts: "bool | None" = None
    protect_system = "no"  # no yes full strict
    protect_home = "no"  # no yes read-only tmpfs
    protect_kernel_tunables = False
    protect_kernel_modules = False
    protect_kernel_logs = False
    protect_clock = False
    protect_control_groups = "no"  # no yes private strict
    protect_hostname = "no"  # no yes private; behind a colon a name
    protect_proc = "default"  # default noaccess invisible ptraceable
    proc_subset = "all"  # all pid
    read_write_paths: "Texts" = ()  # with their "-" and "+", as below
    read_only_paths: "Texts" = ()
    inaccessible_paths: "Texts" = ()
    exec_paths: "Texts" = ()
    no_exec_paths: "Texts" = ()
    binds: "tuple[Bind, ...]" = ()
    temporary_file_system: "Pairs" = ()  # a path, mount options
    mount_flags = ""  # shared slave private
    mount_api_vfs: "bool | None" = None
    bind_log_sockets: "bool | None" = None
    network_namespace_path = ""
    ipc_namespace_path = ""
    user_namespace_path = ""
    log_namespace = ""

    # what system calls may do
    restrict_namespaces: "Texts | None" = None  # those that stay allowed; None: all
    restrict_address_families: "Texts" = ()
    restrict_address_families_allow: "bool | None" = None  # whether the list is of those allowed; None: no restriction
    restrict_file_systems: "Texts" = ()
    restrict_file_systems_allow = False
    restrict_realtime = False
    restrict_suid_sgid = False
    lock_personality = False
    memory_deny_write_execute = False
    # Each assignment since the last empty one: whether it stands without "~", and its words, NAME, @GROUP, NAME:ERROR.
    system_call_filter: "tuple[tuple[bool, Texts], ...]" = ()
    system_call_log: "tuple[tuple[bool, Texts], ...]" = ()
    system_call_architectures: "Texts" = ()
    system_call_error_number = 0  # 0: kill

    # credentials: a name, and a path or what it is
    load_credential: "Pairs" = ()
    load_credential_encrypted: "Pairs" = ()
    set_credential: "tuple[tuple[str, bytes], ...]" = ()
    set_credential_encrypted: "tuple[tuple[str, bytes], ...]" = ()
    import_credential: "Pairs" = ()  # a pattern, and what its beginning becomes ("": as it is)
    open_file: "tuple[tuple[str, str, Texts], ...]" = ()  # a path, the descriptor's name, options
    remove_ipc = False

    def __init__(self) -> None:
        self.limits: dict[str, tuple[int, int]] = {}  # by the name behind "Limit", as NOFILE: soft, hard

    @property
    def has_folders(self) -> bool:
        """Whether it has folders of its own: RuntimeDirectory=, StateDirectory= and the like."""
        return any(getattr(self, f"{kind}_directory") for kind in FOLDERS)

    @property
    def has_read_only_folders(self) -> bool:
        """Whether it may not write to one of them, which only mounts can do."""
        return any(each.read_only for kind in FOLDERS for each in getattr(self, f"{kind}_directory"))

    @property
    def has_terminal(self) -> bool:
        """Whether it has one, which may be the machine's console."""
        said = (self.standard_input[:3], self.standard_output, self.standard_error)
        return bool(self.tty_path) or "tty" in said

    @property
    def filters_calls(self) -> bool:
        """Whether any of it is met by a filter of system calls."""
        return (
            any(getattr(self, name) for name in FILTERED)
            or self.restrict_namespaces is not None
            or self.protect_hostname.startswith("yes")
        )


FOLDERS = ("runtime", "state", "cache", "logs", "configuration")
FILTERED = (
    *("system_call_filter", "system_call_log", "system_call_architectures", "restrict_address_families"),
    *("restrict_address_families_allow", "restrict_realtime", "restrict_suid_sgid", "lock_personality"),
    *("memory_deny_write_execute", "protect_kernel_tunables", "protect_kernel_modules", "protect_kernel_logs"),
    *("protect_clock", "private_devices"),
)


class Ending:
    """How it is ended, watched and started anew."""

    kill_mode = "control-group"  # control-group mixed process none
    kill_signal = 15
    restart_kill_signal = 0  # 0: as kill_signal
    final_kill_signal = 9
    watchdog_signal = 6
    send_sighup = False
    send_sigkill = True
    timeout_start: "int | None" = None  # None: 90 s, of oneshot INFINITY
    timeout_stop = 90 * SECOND
    timeout_abort: "int | None" = None  # None: as timeout_stop
    timeout_start_failure_mode = "terminate"  # terminate abort kill
    timeout_stop_failure_mode = "terminate"
    runtime_max = INFINITY
    runtime_randomized_extra = 0
    watchdog = 0  # 0: none
    file_descriptor_store_max = 0
    file_descriptor_store_preserve = "restart"  # no restart yes
    restart = "no"  # no on-success on-failure on-abnormal on-abort on-watchdog always
    restart_mode = "normal"  # normal direct debug
    restart_delay = SECOND // 10
    restart_steps = 0
    restart_max_delay = INFINITY
    restart_randomized_delay = 0
    start_limit_interval = 10 * SECOND
    start_limit_burst = 5
    # Exit codes, and signals.
    success_exit_status: "tuple[tuple[int, ...], tuple[int, ...]]" = ((), ())
    restart_prevent_exit_status: "tuple[tuple[int, ...], tuple[int, ...]]" = ((), ())
    restart_force_exit_status: "tuple[tuple[int, ...], tuple[int, ...]]" = ((), ())
    oom_policy = ""  # continue stop kill


class Listen:
    """One Listen...= of a socket unit. kind: what stands behind Listen, as Stream, SequentialPacket, FIFO."""

    __slots__ = ("address", "kind", "origin")

    def __init__(self, kind: str, address: str, origin: Origin) -> None:
        self.kind = kind
        self.address = address
        self.origin = origin


class Socket:
    """One socket unit (systemd.socket(5)): one or more sockets, and what holds for all of them."""

    name = ""  # of the unit
    listen: "tuple[Listen, ...]" = ()
    accept = False
    service = ""  # "": of the same name
    file_descriptor_name = ""  # "": the unit's name
    socket_mode = 0o666
    directory_mode = 0o755
    socket_user = ""
    socket_group = ""
    socket_protocol = ""  # udplite sctp mptcp
    symlinks: "Texts" = ()
    remove_on_stop = False
    backlog = 0xFFFFFFFF  # UINT32_MAX: as many as the kernel allows
    bind_ipv6_only = "default"  # default both ipv6-only
    bind_to_device = ""
    reuse_port = False
    free_bind = False
    transparent = False
    broadcast = False
    keep_alive = False
    keep_alive_time = 0  # 0: the kernel's, as below
    keep_alive_interval = 0
    keep_alive_probes = 0
    no_delay = False
    defer_accept = 0
    priority: "int | None" = None
    mark: "int | None" = None
    ip_tos: "int | None" = None
    ip_ttl: "int | None" = None
    tcp_congestion = ""
    receive_buffer = 0
    send_buffer = 0
    pipe_size = 0
    message_queue_max_messages = 0
    message_queue_message_size = 0
    pass_credentials = False
    pass_security = False
    pass_packet_info = False
    pass_pidfd = False
    accept_file_descriptors = True
    pass_file_descriptors_to_exec = False
    timestamping = "off"  # off us ns
    max_connections = 64
    max_connections_per_source: "int | None" = None  # None: as max_connections
    writable = False
    flush_pending = False
    trigger_limit_interval: "int | None" = None
    trigger_limit_burst: "int | None" = None
    start_pre: "tuple[Command, ...]" = ()
    start_post: "tuple[Command, ...]" = ()
    stop_pre: "tuple[Command, ...]" = ()
    stop_post: "tuple[Command, ...]" = ()
    timeout = 90 * SECOND

    def __init__(self) -> None:
        self.context = Context()  # of its commands, as is the next one
        self.ending = Ending()
        self.relations = Relations()
        self.origins: dict[str, Origin] = {}
        self.others: dict[str, Texts] = {}

    @property
    def has_commands(self) -> bool:
        """Whether anything is run around the sockets."""
        return bool(self.start_pre or self.start_post or self.stop_pre or self.stop_post)

    def as_service(self, of_user: bool) -> "Definition":
        """A service that is what the commands are run as."""
        service = Definition(self.name, "", of_user)
        service.files = tuple(dict.fromkeys(file for file, _ in self.origins.values()))
        service.context, service.ending, service.origins = self.context, self.ending, self.origins
        service.relations = self.relations
        return service


class Check:
    """One Condition...= or Assert...=. kind: what stands behind it, as PathExists."""

    __slots__ = ("is_assert", "kind", "negated", "origin", "parameter", "triggers")

    def __init__(self, kind: str, parameter: str, is_assert: bool, triggers: bool, negated: bool, at: Origin) -> None:
        self.kind = kind
        self.parameter = parameter
        self.is_assert = is_assert
        self.triggers = triggers  # "|": one of these suffices
        self.negated = negated  # "!"
        self.origin = at


class Relations:
    """What it is called, and how it stands to other units. Names of units are whole, with their suffix."""

    description = ""
    documentation: "Texts" = ()
    source_path = ""
    requires: "Texts" = ()
    requisite: "Texts" = ()
    wants: "Texts" = ()
    binds_to: "Texts" = ()
    part_of: "Texts" = ()
    upholds: "Texts" = ()
    conflicts: "Texts" = ()
    before: "Texts" = ()
    after: "Texts" = ()
    on_failure: "Texts" = ()
    on_success: "Texts" = ()
    propagates_reload_to: "Texts" = ()
    reload_propagated_from: "Texts" = ()
    propagates_stop_to: "Texts" = ()
    stop_propagated_from: "Texts" = ()
    joins_namespace_of: "Texts" = ()
    requires_mounts_for: "Texts" = ()
    wants_mounts_for: "Texts" = ()
    sockets: "Texts" = ()  # Sockets=
    default_dependencies = True
    checks: "tuple[Check, ...]" = ()
    # [Install]
    wanted_by: "Texts" = ()
    required_by: "Texts" = ()
    upheld_by: "Texts" = ()
    alias: "Texts" = ()
    also: "Texts" = ()
    default_instance = ""


class Definition:
    """A service. files: those that were read, the main one first. others: what has no field, by its key as written."""

    target: str = "systemd"  # the init that the daemon was written for: systemd upstart
    hides_folders = False  # whether whoever runs it keeps its folders where nobody else reaches them (DynamicUser=)

    def __init__(self, name: str, instance: str = "", of_user: bool = False) -> None:
        self.name = name  # whole, as redis-server.service
        self.instance = instance  # what stands behind "@"
        self.of_user = of_user  # of a user's manager
        self.files: Texts = ()
        self.commands = Commands()
        self.readiness = Readiness()
        self.context = Context()
        self.ending = Ending()
        self.relations = Relations()
        self.sockets: tuple[Socket, ...] = ()
        self.origins: dict[str, Origin] = {}  # by the name of a field
        self.others: dict[str, Texts] = {}

    def where(self, field: str) -> str:
        """The file and line that said this field, for a message; "" if none did."""
        file, line = self.origins.get(field, ("", 0))
        return f"{file}:{line}" if file else ""
