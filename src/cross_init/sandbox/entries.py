"""What a service is to see of the file system: a list of mounts, made of its definition, in their order. Pure.

As systemd has it (namespace.c). The paths are those that the service sees; who mounts them has them below a new root.
"""

from cross_init.definitions.definition import Context, Definition
from cross_init.sandbox.mount_table import MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY, MS_RELATIME, MS_STRICTATIME

# What is done at a path, the strictest first: of two at the same path that one counts.
INACCESSIBLE, BIND, BIND_ALL, TMP, DEVICES, HOST_DEVICES, OWN_SYS, HOST_SYS, PROC, OWN_GROUPS = range(10)
READ_ONLY, READ_WRITE, NO_EXEC, EXEC, MEMORY, RUN, QUEUES, WRITABLE = range(10, 18)
ALMOST_EMPTY = ",size=4m,nr_inodes=1k"
NESTED = ",size=10%,nr_inodes=400k"
OF_RUN = "mode=0755,size=20%,nr_inodes=800k"
TMP_PLACES = ("/tmp", "/var/tmp")  # noqa: S108 (they are what is made private)
CREDENTIALS = "/run/credentials"
LOG_SOCKETS = ("socket", "stdout", "dev-log")
OF_SYSTEMD = ("/dev/log", "/run/systemd")  # what is bound of these is there where systemd is; else it may be missing
Row = tuple[str, int]  # a path, and what is done there; where no systemd has prepared the machine, it may be missing
SYSTEM: "tuple[Row, ...]" = tuple(
    (f"/{name}", READ_ONLY) for name in ("usr", "boot", "efi", "lib", "lib64", "bin", "sbin")
)
HOMES = ("/home", "/run/user", "/root")
TUNABLES = (  # of /proc
    *("acpi", "apm", "asound", "bus", "fs", "irq", "latency_stats"),
    *("mtrr", "scsi", "sys", "sysrq-trigger", "timer_stats"),
)
TABLE: "dict[tuple[str, object], tuple[Row, ...]]" = {  # by the field, and the value that asks for it
    ("protect_kernel_tunables", True): (
        *((f"/proc/{name}", READ_ONLY) for name in TUNABLES),
        *((f"/proc/{name}", INACCESSIBLE) for name in ("kallsyms", "kcore")),
        *((f"/sys{path}", READ_ONLY) for path in ("", "/kernel/debug", "/kernel/tracing", "/fs/bpf")),
        *((f"/sys/fs/{name}", WRITABLE) for name in ("cgroup", "selinux")),
    ),
    ("protect_kernel_modules", True): (("/lib/modules", INACCESSIBLE), ("/usr/lib/modules", INACCESSIBLE)),
    ("protect_kernel_logs", True): (("/proc/kmsg", INACCESSIBLE), ("/dev/kmsg", INACCESSIBLE)),
    ("protect_control_groups", "yes"): (("/sys/fs/cgroup", READ_ONLY),),
    ("protect_home", "yes"): tuple((path, INACCESSIBLE) for path in HOMES),
    ("protect_home", "read-only"): tuple((path, READ_ONLY) for path in HOMES),
    ("protect_system", "yes"): SYSTEM,
    ("protect_system", "full"): (*SYSTEM, ("/etc", READ_ONLY)),
    ("protect_system", "strict"): (
        ("/", READ_ONLY),
        *((path, WRITABLE) for path in ("/proc", "/sys", "/dev", *HOMES)),
    ),
}
HOSTNAMES = ("/proc/sys/kernel/hostname", "/proc/sys/kernel/domainname")
PATHS = {  # what is done at the paths that a field lists
    "read_write_paths": READ_WRITE,
    "read_only_paths": READ_ONLY,
    "inaccessible_paths": INACCESSIBLE,
    "exec_paths": EXEC,
    "no_exec_paths": NO_EXEC,
}
OPTIONS = {  # of mount(8) that are flags; a dash before what takes one away
    "ro": 1,
    "rw": -1,
    "nosuid": 2,
    "suid": -2,
    "nodev": 4,
    "dev": -4,
    "noexec": 8,
    "exec": -8,
    "sync": 16,
    "async": -16,
    "mand": 64,
    "nomand": -64,
    "dirsync": 128,
    "nosymfollow": 256,
    "symfollow": -256,
    "noatime": 1 << 10,
    "atime": -(1 << 10),
    "nodiratime": 1 << 11,
    "diratime": -(1 << 11),
    "relatime": 1 << 21,
    "norelatime": -(1 << 21),
    "iversion": 1 << 23,
    "noiversion": -(1 << 23),
    "strictatime": 1 << 24,
    "nostrictatime": -(1 << 24),
    "lazytime": 1 << 25,
    "nolazytime": -(1 << 25),
}


class Entry:
    """One of them. field: that asks for it. applied: None as long as nothing was done, then whether it is there."""

    __slots__ = (
        *("applied", "field", "flags", "followed", "is_executable", "may_lack", "mode", "no_exec", "no_suid"),
        *("options", "path", "read_only", "source"),
    )

    def __init__(self, path: str, mode: int, field: str, may_lack: bool = False, source: str = "") -> None:
        self.path = path
        self.mode = mode
        self.field = field
        self.may_lack = may_lack
        self.source = source  # on the machine, of what is bound there
        self.options = ""  # of the file system
        self.flags = 0
        self.read_only = mode in (READ_ONLY, INACCESSIBLE)
        self.no_exec = mode in (NO_EXEC, INACCESSIBLE, OWN_SYS, HOST_SYS, PROC, OWN_GROUPS)
        self.is_executable = mode == EXEC
        self.no_suid = False
        self.followed = 0  # links
        self.applied: bool | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        """Its path's, by which it is sorted."""
        return tuple(filter(None, self.path.split("/")))

    @property
    def is_alone(self) -> bool:
        """Whether what holds for it holds for nothing that is mounted in it."""
        return self.mode == MEMORY


class Given:
    """What a service has outside of its definition: paths on the machine."""

    __slots__ = ("credentials", "denied", "folders", "hidden", "notify_socket", "tmp")

    def __init__(self, denied: set[str]) -> None:
        self.denied = denied  # kinds of namespaces that it cannot have
        # Its own: path, where that is on the machine, whether it may not write there, field.
        self.folders: list[tuple[str, str, bool, str]] = []
        self.hidden: list[tuple[str, str]] = []  # of which it sees nothing but its own: path, field
        self.credentials = ""
        self.notify_socket = ""
        self.tmp: dict[str, str] = {}  # of PrivateTmp=yes: what is at each of TMP_PLACES; "": nothing can be written


def is_below(path: str, folder: str) -> bool:
    """Whether it is that folder, or in it."""
    return path == folder or folder == "/" or path.startswith(f"{folder}/")


def has_api(context: Context) -> bool:
    """Whether /proc, /sys, /dev and /run are to be there even in a root of its own."""
    wanted = context.mount_api_vfs
    return bool(context.root_directory not in ("", "/")) if wanted is None else wanted


def binds_log_sockets(context: Context) -> bool:
    """Whether the sockets of systemd's log are to be there, as they have to be beside a /run of its own."""
    wanted = context.bind_log_sockets
    return has_api(context) if wanted is None else wanted


def needs_mounts(definition: Definition) -> bool:
    """Whether it needs a view of its own (execute.c, exec_needs_mount_namespace(), of systemd 262)."""
    context = definition.context
    has_root = context.root_directory not in ("", "/")
    is_private = context.private_mounts
    if is_private is None:
        is_private = context.private_network or bool(context.network_namespace_path)
    return bool(
        any(getattr(context, field) for field in PATHS)
        or context.binds
        or context.temporary_file_system
        or context.mount_flags in ("slave", "private")
        or context.private_tmp != "no"
        or is_private
        or context.private_devices
        or any(getattr(context, f"protect_{name}") != "no" for name in ("system", "home", "control_groups"))
        or any(getattr(context, f"protect_kernel_{name}") for name in ("tunables", "modules", "logs"))
        or context.protect_proc != "default"
        or context.proc_subset != "all"
        or context.private_ipc
        or context.ipc_namespace_path
        or (has_root and (has_api(context) or context.has_folders))
        or binds_log_sockets(context)
        or context.has_read_only_folders
    )


def is_tmp_alone(definition: Definition) -> bool:
    """Whether PrivateTmp=disconnected is for /tmp only, as /var may not be there yet (unit_get_private_var_tmp())."""
    context, relations = definition.context, definition.relations
    has_var = relations.default_dependencies or context.root_directory not in ("", "/")
    needed = (*relations.requires_mounts_for, *relations.wants_mounts_for)
    return context.private_tmp == "disconnected" and not has_var and not {"/", "/var"} & {*needed}


def entries(definition: Definition, given: Given, is_full: bool, root: str) -> list[Entry]:
    """All that is to be mounted. is_full: the command keeps all privileges, so nothing is protected from it.

    root: the root directory, "" if that is the machine's.
    """
    context = definition.context
    found = []
    for field, mode in PATHS.items():
        if not is_full or field == "read_write_paths":
            found += [entry for said in getattr(context, field) if (entry := _flagged(said, mode, field, root))]
    for bind in context.binds:
        may_lack = bind.optional or any(is_below(bind.source, path) for path in OF_SYSTEMD)
        entry = Entry(bind.target, BIND_ALL if bind.recursive else BIND, "binds", may_lack, bind.source)
        entry.read_only = bind.read_only
        found.append(entry)
    found += [_almost_empty(path, field) for path, field in given.hidden]
    for path, source, read_only, field in given.folders:
        entry = Entry(path, BIND_ALL, field, False, source)
        entry.read_only, entry.no_suid = read_only, context.dynamic_user
        found.append(entry)
    found += [_memory(path, options) for path, options in context.temporary_file_system]
    if given.credentials:
        found.append(_almost_empty(CREDENTIALS, "load_credential"))
        found.append(bound := Entry(given.credentials, BIND, "load_credential", False, given.credentials))
        bound.read_only = True
    else:
        found.append(Entry(CREDENTIALS, INACCESSIBLE, "", True))
    if given.notify_socket and root:
        found.append(entry := Entry(given.notify_socket, BIND, "root_directory", True, given.notify_socket))
        entry.read_only = True
    return normalised(found if is_full else [*found, *_protected(context, given)])


def _almost_empty(path: str, field: str) -> Entry:
    """A folder with nothing but what is mounted in it."""
    entry = Entry(path, MEMORY, field)
    entry.read_only, entry.options = True, f"mode=0755{ALMOST_EMPTY}"
    entry.flags = MS_NODEV | MS_STRICTATIME | MS_NOSUID | MS_NOEXEC
    return entry


def _flagged(said: str, mode: int, field: str, root: str) -> Entry | None:
    """A path of a list: without + it is the machine's, also where the service has a root of its own."""
    may_lack = said.startswith("-")
    path = said.removeprefix("-")
    if root and not path.startswith("+"):
        if not is_below(path, root):
            return None
        path = path[len(root) :] or "/"
    return Entry(path.removeprefix("+"), mode, field, may_lack)


def _memory(path: str, said: str) -> Entry:
    """A line of TemporaryFileSystem=."""
    entry = Entry(path, MEMORY, "temporary_file_system")
    flags, options = MS_NODEV | MS_STRICTATIME, [f"mode=0755{NESTED}"]
    for word in filter(None, said.split(",")):
        flag = OPTIONS.get(word)
        if flag is None:
            options += [word] * (not word.lower().startswith("x-"))
        else:
            flags = flags | flag if flag > 0 else flags & ~-flag
    entry.read_only = bool(flags & MS_RDONLY)
    entry.flags, entry.options = flags & ~MS_RDONLY, ",".join(options)
    return entry


def _protected(context: Context, given: Given) -> list[Entry]:
    found = []
    for (field, value), rows in TABLE.items():
        if getattr(context, field) == value:
            found += [Entry(path, mode, field, True) for path, mode in rows]
    if context.protect_home == "tmpfs":
        for path in HOMES:
            found.append(entry := Entry(path, MEMORY, "protect_home", True))
            entry.read_only, entry.flags = True, MS_NODEV | MS_STRICTATIME
            entry.options = f"mode={'0700' if path == '/root' else '0755'}{ALMOST_EMPTY}"
    if context.protect_control_groups in ("private", "strict"):
        mode = WRITABLE if "cgroup" in given.denied else OWN_GROUPS
        found.append(entry := Entry("/sys/fs/cgroup", mode, "protect_control_groups", True))
        entry.read_only = context.protect_control_groups == "strict"
    for place, source in given.tmp.items():
        entry = Entry(place, TMP if source else MEMORY, "private_tmp", False, source)
        entry.read_only, entry.options = not source, f"mode=0755{ALMOST_EMPTY}"
        found.append(entry)
    if context.private_tmp == "disconnected" and not given.tmp:
        found.append(entry := Entry(TMP_PLACES[0], MEMORY, "private_tmp"))
        entry.options, entry.flags = f"mode=0700{NESTED}", MS_NODEV | MS_STRICTATIME
    if context.private_devices:
        found.append(Entry("/dev", DEVICES, "private_devices"))
    if _needs_api(context):
        found += [
            Entry("/proc", PROC, "mount_api_vfs"),
            Entry("/dev", HOST_DEVICES, "mount_api_vfs", True),
            Entry("/sys", HOST_SYS, "mount_api_vfs", True),
            entry := Entry("/run", RUN, "mount_api_vfs", True),
        ]
        entry.options, entry.flags = OF_RUN, MS_NOSUID | MS_NODEV | MS_STRICTATIME
    if context.protect_hostname.partition(":")[0] == "yes":
        found += [Entry(path, READ_ONLY, "protect_hostname", True) for path in HOSTNAMES]
    if (context.private_network or context.network_namespace_path) and "net" not in given.denied:
        found.append(Entry("/sys", OWN_SYS, "private_network"))
    if (context.private_ipc or context.ipc_namespace_path) and "ipc" not in given.denied:
        found.append(entry := Entry("/dev/mqueue", QUEUES, "private_ipc"))
        entry.flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RELATIME
    if binds_log_sockets(context):
        for name in LOG_SOCKETS:
            path = f"/run/systemd/journal/{name}"
            found.append(entry := Entry(path, BIND, "bind_log_sockets", True, path))
            entry.read_only = entry.no_suid = entry.no_exec = True
    return found


def _needs_api(context: Context) -> bool:
    """Whether these are to be mounted, as what is protected has to be there (namespace_parameters_mount_apivfs())."""
    return (
        has_api(context)
        or context.protect_control_groups != "no"
        or context.protect_kernel_tunables
        or context.protect_proc != "default"
        or context.proc_subset != "all"
    )


def normalised(found: list[Entry]) -> list[Entry]:
    """In order, without what is there twice, what is in a place that nobody can enter, and what changes nothing."""
    alone: list[Entry] = []
    for entry in sorted(found, key=lambda each: (each.parts, each.mode)):
        last = alone[-1] if alone else None
        if last is None or last.path != entry.path or not (last.applied is entry.applied is None):
            alone.append(entry)
            continue
        last.read_only |= entry.read_only
        last.no_exec |= entry.no_exec
        last.is_executable |= entry.is_executable
    kept: list[Entry] = []
    for entry in alone:
        last = kept[-1] if kept else None
        if last is None or last.mode != INACCESSIBLE or not is_below(entry.path, last.path):
            kept.append(entry)
    found = []
    for entry in kept:
        if entry.mode not in (READ_ONLY, READ_WRITE, WRITABLE) or _parent_mode(entry, found) != entry.mode:
            found.append(entry)
    return found


def _parent_mode(entry: Entry, before: list[Entry]) -> int:
    """What is done at the nearest of the folders that it is in; -1 if nothing is."""
    return next((each.mode for each in reversed(before) if is_below(entry.path, each.path)), -1)
