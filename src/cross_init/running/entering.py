"""What a process of a service's does to itself before it becomes its program, in systemd's order (exec-invoke.c).

Everything here is done in that process: its parents stay as they are. Raises Failure, with the line of the unit that
asked for what cannot be had.
"""

import _signal
import posix

from cross_init.errors import Failure, print_error, why
from cross_init.kernel.linux import read
from cross_init.running.identity import become, take_groups
from cross_init.running.streams import lay_out

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cross_init.definitions.definition import Definition
    from cross_init.kernel.control_group import Group
    from cross_init.kernel.linux import Environment
    from cross_init.running.enclosure import Enclosure
    from cross_init.running.identity import Identity

SCHEDULERS = {"other": 0, "batch": 3, "idle": 5, "fifo": 1, "rr": 2, "ext": 7}  # sched(7), by their numbers
IO_CLASSES = {"none": 0, "realtime": 1, "best-effort": 2, "idle": 3}  # ioprio_set(2)
PERSONALITIES = {"x86": 0x8, "x86-64": 0, "arm64": 0, "arm": 0x8}  # personality(2)
KERNELS_OWN = (".", "_uid")  # of the kernel's own use, and of users (keyrings(7))
MAX = (1 << 64) - 1  # RLIM_INFINITY, getrlimit(2)


class Process:
    """One process of the service: its definition, who it is, and how privileged (a command's "+", "!", "!!")."""

    __slots__ = (
        *("acts", "definition", "enclosure", "environ", "group", "has_input", "identity", "is_main", "privileges"),
        "sockets",
    )

    def __init__(self, definition: "Definition", identity: "Identity", privileges: str, is_main: bool) -> None:
        self.definition = definition
        self.identity = identity
        self.privileges = privileges
        self.is_main = is_main
        self.environ: Environment = {}
        self.sockets: dict[str, int] = {}
        self.group: Group | None = None  # that it is to be in
        self.enclosure: Enclosure | None = None  # likewise
        self.has_input = True  # of a terminal, if it is to read from one
        self.acts: list[Callable[[], None]] | None = None  # by which it gets its filters of system calls

    @property
    def is_full(self) -> bool:
        """Whether it keeps all privileges."""
        alone = self.definition.context.permissions_start_only and not self.is_main
        return self.privileges == "+" or alone

    @property
    def root(self) -> str:
        """Its root directory, "" for the machine's."""
        context = self.definition.context
        is_machines = context.root_directory_start_only and not self.is_main
        return "" if is_machines else context.root_directory.removesuffix("/")

    def enter(self, environ: "Environment", keep: "Iterable[int]") -> None:
        """Do all of it but confine(). environ: its variables, which are completed. keep: descriptors that stay.

        Raises Failure.
        """
        context = self.definition.context
        self.environ = environ
        if self.group is not None:
            self.group.enter()
        self._try("", "its signals", _reset_signals)
        self._try("", "its descriptors", lambda: close_others(set(keep)))
        if context.has_terminal:
            self._take_terminal()
        else:
            lay_out(self.definition, self.sockets, self.has_input)
        if context.oom_score_adjust is not None:
            self._try_if_allowed(
                "oom_score_adjust", "OOMScoreAdjust=", lambda: write_own("oom_score_adj", context.oom_score_adjust)
            )
        if context.coredump_filter is not None:
            mask = f"{context.coredump_filter:#x}"
            self._try("coredump_filter", "CoredumpFilter=", lambda: write_own("coredump_filter", mask))
        self._schedule()
        if context.filters_calls and not self.is_full:
            from cross_init.sandbox.confining import prepare

            self.acts = prepare(context)
        if context.has_folders:
            from cross_init.running.directories import make_all

            make_all(self.definition, self.identity.owner)
        if not self.definition.of_user or "umask" in self.definition.origins:
            posix.umask(context.umask)
        wants_keyring = context.keyring_mode not in ("", "inherit")
        if wants_keyring and ("keyring_mode" in self.definition.origins or may_have_keyring(read("/proc/keys"))):
            from cross_init.running.keyring import join

            join(self.definition, self.identity, environ.get(b"INVOCATION_ID", b""))
        self._be()
        if self.definition.target == "systemd":
            environ[b"SYSTEMD_EXEC_PID"] = str(posix.getpid()).encode()

    def confine(self) -> None:
        """Set its filters of system calls, after which nothing but exec may be possible. Raises Failure, OSError."""
        for act in self.acts or ():
            act()

    def _try(self, field: str, what: str, act: "Callable[[], object]") -> None:
        try:
            act()
        except OSError as error:
            raise self._failed(field, what, why(error)) from None

    def _failed(self, field: str, what: str, reason: str) -> Failure:
        return Failure(f"{self._where(field)}: {what}: {reason}")

    def _where(self, field: str) -> str:
        return self.definition.where(field) or self.definition.files[0]

    def _try_if_allowed(self, field: str, what: str, act: "Callable[[], object]") -> None:
        """The same; that we may not is said, and no failure, as with systemd."""
        try:
            self._try(field, what, act)
        except Failure as failure:
            if not isinstance(failure.__context__, PermissionError):
                raise
            print_error(f"{failure}; it stays as it is", 0)

    def _take_terminal(self) -> None:
        """Have its terminal be fit for it, and its own."""
        from cross_init.running import terminals

        if self.has_input:  # what comes later does not hang up on the main process
            terminals.clear(self.definition.context)
        lay_out(self.definition, self.sockets, self.has_input)
        if posix.isatty(1):
            terminals.prepare(self.definition.context, 1)
        if self.identity.user != -1 and self.definition.target == "systemd":
            field = "tty_path" if self.definition.context.tty_path else "user"
            self._try(field, "giving the user its terminal", lambda: terminals.own(self.identity.user))

    def _schedule(self) -> None:
        context = self.definition.context
        if context.nice is not None:
            nice = context.nice
            self._try("nice", f"Nice={nice}", lambda: posix.setpriority(posix.PRIO_PROCESS, 0, nice))
        if context.cpu_scheduling_policy:
            policy = SCHEDULERS[context.cpu_scheduling_policy]
            real_time = context.cpu_scheduling_policy in ("fifo", "rr")
            priority = context.cpu_scheduling_priority
            if priority is None or not real_time:
                priority = int(real_time)
            flags = posix.SCHED_RESET_ON_FORK if context.cpu_scheduling_reset_on_fork else 0
            self._try(
                "cpu_scheduling_policy",
                f"CPUSchedulingPolicy={context.cpu_scheduling_policy}",
                lambda: posix.sched_setscheduler(0, policy | flags, posix.sched_param(priority)),
            )
        if context.numa_policy:
            from cross_init.running.numa import apply

            self._try("numa_policy", f"NUMAPolicy={context.numa_policy}", lambda: apply(self.definition))
        if context.cpu_affinity_from_numa:
            from cross_init.running.numa import processors

            self._try("cpu_affinity", "CPUAffinity=", lambda: posix.sched_setaffinity(0, processors(self.definition)))
        if context.cpu_affinity:
            self._try("cpu_affinity", "CPUAffinity=", lambda: posix.sched_setaffinity(0, context.cpu_affinity))
        if context.io_scheduling_class or context.io_scheduling_priority is not None:
            from cross_init.kernel.system_calls import set_io_priority

            kind = IO_CLASSES[context.io_scheduling_class or "best-effort"]
            level = 4 if context.io_scheduling_priority is None else context.io_scheduling_priority
            level = 0 if kind == 0 else level
            self._try("io_scheduling_class", "IOSchedulingClass=", lambda: set_io_priority(kind << 13 | level))
        if context.timer_slack_nsec is not None:
            from cross_init.kernel.system_calls import PR_SET_TIMERSLACK, process_control

            slack = context.timer_slack_nsec
            self._try("timer_slack_nsec", "TimerSlackNSec=", lambda: process_control(PR_SET_TIMERSLACK, slack))
        if context.personality:
            from cross_init.kernel.system_calls import set_personality

            said = PERSONALITIES.get(context.personality)
            if said is None:
                raise self._failed("personality", f"Personality={context.personality}", "this machine has none such")
            self._try("personality", f"Personality={context.personality}", lambda: set_personality(said))
        if context.memory_ksm is not None or context.memory_thp != "inherit":
            from cross_init.running.memory import apply as apply_to_memory

            apply_to_memory(self.definition)

    def _be(self) -> None:
        """Limits, where, who, and with which capabilities."""
        definition, context = self.definition, self.definition.context
        keeps_user = self.privileges in ("+", "!") or self.is_full
        if not self.is_full:
            self._limit()
        root = self.root
        users, is_own = None, False
        if self.enclosure is not None:
            users = self.enclosure.enter(root, self.is_full, self.environ.get(b"NOTIFY_SOCKET", b""), self.identity)
            root = "" if self.enclosure.has_mounts else root
            is_own = bool(self.enclosure.kinds)  # who is no root may do in there what root may
        if not keeps_user:
            self._try("group" if context.group else "user", "its group", lambda: take_groups(self.identity))
        elif self.identity.groups is not None and self.identity.group > 0:  # systemd has these all the same
            self._try("user", "its groups", lambda: posix.setgroups(self.identity.groups or ()))
        if users is not None:
            field = "user_namespace_path" if context.user_namespace_path else "private_users"
            self._try(field, "UserNamespacePath=" if context.user_namespace_path else "PrivateUsers=", users.enter)
        self._go_where(root)
        if self.is_full:
            return
        from_root = not posix.geteuid()
        ambient = context.ambient_capabilities
        stays = self._stays_admin(from_root and not keeps_user)
        bounds = context.capability_bounding_set != MAX and (
            from_root or is_own or "capability_bounding_set" in definition.origins
        )
        if bounds or ambient or context.secure_bits or self.acts is not None:
            from cross_init.running import capabilities
        if bounds:
            self._try(
                "capability_bounding_set",
                "CapabilityBoundingSet=",
                lambda: capabilities.bound(context.capability_bounding_set),
            )
        if from_root and (ambient or stays):
            self._try("", "its capabilities", capabilities.keep_over_change_of_user)
        if not keeps_user:
            self._try("user", f"User={context.user}", lambda: become(self.identity))
        if ambient:
            self._try("ambient_capabilities", "AmbientCapabilities=", lambda: capabilities.take(ambient))
        if stays:  # exec takes it away
            self._try("", "its filters of system calls", lambda: capabilities.stay_admin(ambient))
        if context.secure_bits:
            self._try("secure_bits", "SecureBits=", lambda: capabilities.secure(context.secure_bits))
        if context.no_new_privileges or (self.acts is not None and not capabilities.has(capabilities.SYS_ADMIN)):
            from cross_init.kernel.system_calls import PR_SET_NO_NEW_PRIVS, process_control

            self._try("no_new_privileges", "NoNewPrivileges=", lambda: process_control(PR_SET_NO_NEW_PRIVS, 1))

    def _stays_admin(self, becomes: bool) -> bool:
        """Whether it needs CAP_SYS_ADMIN till exec, as filters have to be set by who has it, or with NoNewPrivileges=.

        So does systemd, if the service may give up what it has. becomes: it is root, and becomes somebody else.
        """
        if self.acts is None or not becomes or self.identity.user <= 0:
            return False
        from cross_init.running.capabilities import SYS_ADMIN, has
        from cross_init.sandbox.confining import allows_giving_up

        return has(SYS_ADMIN) and allows_giving_up(self.definition.context)

    def _limit(self) -> None:
        limits = self.definition.context.limits
        if not limits:
            return
        from cross_init.kernel.linux import import_extension

        import_extension("resource")
        try:
            import resource
        except ImportError:  # Debian's python3-minimal
            raise self._failed(
                "", f"Limit{next(iter(limits))}=", "this Python lacks resource; install python3"
            ) from None
        for name, (soft, hard) in limits.items():
            number: int = getattr(resource, f"RLIMIT_{name}", -1)
            if number < 0:
                number = {"LOCKS": 10}.get(name, -1)
            self._set_limit(number, name, *(-1 if value >= (1 << 63) else value for value in (soft, hard)))

    def _set_limit(self, number: int, name: str, soft: int, hard: int) -> None:
        """This one, or as near to it as the one that we have lets us come, as systemd has it (setrlimit_closest())."""
        from resource import getrlimit, setrlimit

        try:
            try:
                setrlimit(number, (soft, hard))
            except ValueError:  # only root can raise one, and not everywhere
                most = getrlimit(number)[1]
                setrlimit(number, (_lower(soft, most), _lower(hard, most)))
                print_error(f"{self._where(name)}: Limit{name}=: it is {most}, as nobody here may raise it", 0)
        except (ValueError, OSError) as error:
            raise self._failed(
                name, f"Limit{name}=", why(error) if isinstance(error, OSError) else str(error)
            ) from None

    def _go_where(self, root: str) -> None:
        """root: what has to become the root directory, if anything has to."""
        context = self.definition.context
        if root:
            self._try("root_directory", f"RootDirectory={root}", lambda: posix.chroot(root))
            posix.chdir("/")
        folder = context.working_directory
        if folder == "~":
            folder = self.identity.home or self.environ.get(b"HOME", b"/root").decode("utf-8", "surrogateescape")
        try:
            posix.chdir(folder or "/")
        except OSError as error:
            if not context.working_directory_may_lack:
                raise self._failed("working_directory", f"WorkingDirectory={folder}", why(error)) from None
            posix.chdir("/")


def may_have_keyring(keys: str) -> bool:
    """Whether we may have somebody's for our session, a login's say; else there is but what all of a user's have.

    keys: those that we may look at (keyrings(7), /proc/keys); that one would be among them. To make a new one takes a
    millisecond, so it is only done by itself where a service would get at other keys without.
    """
    rows = [line.split() for line in keys.splitlines()]
    return any(row[7:8] == ["keyring"] and not row[8].startswith(KERNELS_OWN) for row in rows if len(row) > 8)


def _lower(one: int, other: int) -> int:
    """The lower of two limits, of which -1 is none."""
    return min(one & MAX, other & MAX) if -1 not in (one, other) else max(one, other)


def _reset_signals() -> None:
    """None is blocked, and all have their defaults; SIGPIPE is seen to at the last (launch.py)."""
    kept = {_signal.SIGKILL, _signal.SIGSTOP, _signal.SIGPIPE, _signal.SIGXFSZ}
    for number in _signal.valid_signals() - kept:
        if _signal.getsignal(number) != _signal.SIG_DFL:
            _signal.signal(number, _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())


def close_others(keep: set[int]) -> None:
    """Have all descriptors but the standard ones and these closed at exec."""
    try:
        found = posix.listdir("/proc/self/fd")
    except OSError:
        return
    for name in found:
        fd = int(name)
        if fd > 2 and fd not in keep:
            try:
                posix.set_inheritable(fd, False)
            except OSError:
                pass  # it was the folder's own


def write_own(name: str, value: object) -> None:
    """Write to a file of ours in /proc. Raises OSError."""
    fd = posix.open(f"/proc/self/{name}", posix.O_WRONLY | posix.O_CLOEXEC)
    try:
        posix.write(fd, str(value).encode())
    finally:
        posix.close(fd)
