"""As whom and with what a command of a unit runs, by the programs of util-linux and coreutils that put a process there.

Each does one thing to itself and becomes the next, so the process stays the one that the init has started. Who a user
is, is looked up on this machine: that the other one has the same users is a remark where there is none of the name.
"""

import posix

from cross_init.definitions.restrictions import CAPABILITIES, SECURE_BITS
from cross_init.errors import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.definitions.definition import Command, Context, Definition

ROOTS = ("root", "0")
UNLIMITED = 1 << 63  # from here on, as for the kernel
# Limits that would be a bound to the shell and the bridge as well.
DAEMONS_LIMITS = ("AS", "CPU", "DATA", "FSIZE", "RTTIME", "STACK")
POLICIES = {"other": "--other", "batch": "--batch", "idle": "--idle", "fifo": "--fifo", "rr": "--rr"}
IO_CLASSES = {"none": "0", "realtime": "1", "best-effort": "2", "idle": "3"}
# Variables that mean something to the shell, to the bridge or to these programs: only the daemon itself gets them.
DAEMONS_ALONE = ("PATH", "IFS", "ENV", "BASH_ENV", "LANG", "LANGUAGE", "PWD", "OLDPWD")
PREFIXES = ("LD_", "PYTHON", "LC_", "_")


class Who:
    """A user. name: "" if it stays who starts it. group: its first one. groups: all, None if they are the user's own.

    login, home, shell: as the machine's users have them; "" if it has no such user.
    """

    def __init__(self) -> None:
        self.name = self.group = self.login = self.home = self.shell = ""
        self.groups: list[str] | None = None


def note(remarks: list[str], text: str) -> None:
    """Remark upon this once."""
    if text not in remarks:
        remarks.append(text)


def who(definition: "Definition", remarks: list[str]) -> Who:
    """As whom its processes run. Raises Failure."""
    context = definition.context
    found = Who()
    found.group = context.group
    _look_up(found, definition, remarks)
    if context.supplementary_groups:
        found.groups = list(dict.fromkeys((*(found.groups or _groups(found)), *context.supplementary_groups)))
    return found


def _look_up(found: Who, definition: "Definition", remarks: list[str]) -> None:
    from pwd import getpwnam, getpwuid

    user = definition.context.user or "root"
    try:
        entry = getpwuid(int(user)) if user.isdigit() else getpwnam(user)
    except (KeyError, OverflowError):
        found.name = user
        if definition.context.dynamic_user:
            from cross_init.running.identity import NOLOGIN, dynamic_number

            found.name = found.group = str(dynamic_number(user))
            found.login, found.home, found.shell = user, "/", NOLOGIN
            note(remarks, f"DynamicUser=: it is the user {found.name}, a number that nobody has on this machine")
        elif user.isdigit():
            found.group = found.group or user
        else:
            found.group = found.group or user
            note(
                remarks, f"User={user}: there is no such user here: the group {found.group} is a guess, HOME is not set"
            )
        return
    found.login, found.home, found.shell = entry.pw_name, entry.pw_dir, entry.pw_shell
    if user in ROOTS:
        return
    found.name = entry.pw_name
    first = _group_name(entry.pw_gid)
    found.group = found.group or first
    if found.group not in (first, str(entry.pw_gid)):
        found.groups = _groups(found)


def _group_name(number: int) -> str:
    from grp import getgrgid

    try:
        return getgrgid(number).gr_name
    except KeyError:
        return str(number)


def _groups(found: Who) -> list[str]:
    """Those that a user of this name and first group has."""
    from grp import getgrnam

    try:
        first = int(found.group) if found.group.isdigit() else getgrnam(found.group).gr_gid
    except KeyError:
        return [found.group] if found.group else []
    if not found.name or found.name.isdigit():
        return [found.group] if found.group else []
    return [_group_name(each) for each in posix.getgrouplist(found.name, first)] if found.login else [found.group]


def chain(
    definition: "Definition", remarks: list[str], command: "Command", target: str = "", in_script: bool = False
) -> list[str]:
    """The words before a command of the unit's. Raises Failure.

    target: for which init the bridge takes it. in_script: there are lines for what a shell can have (script.place()).
    """
    context = definition.context
    if context.root_directory not in ("", "/"):
        where = definition.where("root_directory")
        raise Failure(
            f"{where}: RootDirectory={context.root_directory}: --expand has no words for a root of its own: without "
            "it, cross-init run does that"
        )
    is_main = command in definition.commands.start
    is_full = command.privileges == "+" or (context.permissions_start_only and not is_main)
    keeps_user = is_full or command.privileges == "!"
    found = _scheduling(context, in_script)
    if not is_full:
        found += ["prlimit", *said] if (said := limits(context, in_script)) else []
        found += _setpriv(definition, remarks, keeps_user)
    return [*found, *_env(definition, is_main, target == "systemd")]


def _scheduling(context: "Context", in_script: bool) -> list[str]:
    found: list[str] = []
    if context.oom_score_adjust is not None and not in_script:
        found += ["choom", "-n", str(context.oom_score_adjust), "--"]
    if context.nice:
        found += ["nice", "-n", str(context.nice)]
    if context.cpu_scheduling_policy in POLICIES:
        is_real_time = context.cpu_scheduling_policy in ("fifo", "rr")
        priority = (context.cpu_scheduling_priority or 1) if is_real_time else 0
        reset = ["--reset-on-fork"] if context.cpu_scheduling_reset_on_fork else []
        found += ["chrt", *reset, POLICIES[context.cpu_scheduling_policy], str(priority)]
    if context.cpu_affinity:
        found += ["taskset", "-c", ",".join(map(str, context.cpu_affinity))]
    if context.io_scheduling_class or context.io_scheduling_priority is not None:
        kind = IO_CLASSES[context.io_scheduling_class or "best-effort"]
        level = 4 if context.io_scheduling_priority is None else context.io_scheduling_priority
        found += ["ionice", "-c", kind, *(["-n", str(level)] if kind in ("1", "2") else [])]
    return found


def limits(context: "Context", of_daemon: bool, of_shell: bool = False) -> list[str]:
    """The options of prlimit(1), which are called as those of systemd's.

    of_daemon: only those that a shell or the bridge may not have; of_shell: only the others.
    """
    names = [name for name in context.limits if not of_daemon or name in DAEMONS_LIMITS]
    names = [name for name in names if not of_shell or name not in DAEMONS_LIMITS]
    return [f"--{name.lower()}={':'.join(dict.fromkeys(map(_bound, context.limits[name])))}" for name in names]


def _bound(value: int) -> str:
    return "unlimited" if value >= UNLIMITED else str(value)


def _setpriv(definition: "Definition", remarks: list[str], keeps_user: bool) -> list[str]:
    context = definition.context
    said: list[str] = []
    if not keeps_user:
        said += _identity(who(definition, remarks))
    ambient = 0 if keeps_user else context.ambient_capabilities
    if bound := _bounding_set(context.capability_bounding_set):
        said.append(f"--bounding-set={bound}")
    if ambient:
        said.append(f"--inh-caps=-all{_capabilities(ambient)}")
        said.append(f"--ambient-caps=-all{_capabilities(ambient)}")
    if context.secure_bits:
        bits = [f"+{name.replace('-', '_')}" for name, bit in SECURE_BITS.items() if context.secure_bits & bit]
        said.append(f"--securebits={','.join(bits)}")
    if context.no_new_privileges:
        said.append("--no-new-privs")
    return ["setpriv", *said] if said else []


def _identity(found: Who) -> list[str]:
    said = [f"--reuid={found.name}"] if found.name else []
    said += [f"--regid={found.group}"] if found.group else []
    if found.groups is not None:
        return [*said, f"--groups={','.join(found.groups)}"]
    if found.name:
        return [*said, f"--groups={found.group}" if found.name.isdigit() else "--init-groups"]
    return [*said, "--keep-groups"] if said else []


def _bounding_set(mask: int) -> str:
    """What is left, or what is taken where the rest is whatever the kernel has; "" if that is nothing."""
    if mask >> len(CAPABILITIES):
        return ",".join(f"-{name}" for number, name in enumerate(CAPABILITIES) if not mask >> number & 1)
    return f"-all{_capabilities(mask)}"


def _capabilities(mask: int) -> str:
    return "".join(f",+{name}" for number, name in enumerate(CAPABILITIES) if mask >> number & 1)


def _env(definition: "Definition", is_main: bool, ignores_sigpipe: bool) -> list[str]:
    """SIGPIPE, which systemd has a daemon ignore, and the variables that are for the service's programs alone."""
    context = definition.context
    said: list[str] = []
    if is_main and context.ignore_sigpipe != ignores_sigpipe:
        said.append("--ignore-signal=PIPE" if context.ignore_sigpipe else "--default-signal=PIPE")
    for each in context.unset_environment:
        said += ["-u", each] if is_daemons_alone(each) and "=" not in each else []
    said += [f"{name}={value}" for name, value in daemons_alone(definition)]
    return ["env", *said] if said else []


def daemons_alone(definition: "Definition") -> list[tuple[str, str]]:
    """The variables that would change how the shell or the bridge works."""
    context = definition.context
    path = [("PATH", ":".join(context.exec_search_path))] if context.exec_search_path else []
    return [*path, *((name, value) for name, value in context.environment if is_daemons_alone(name))]


def is_daemons_alone(name: str) -> bool:
    """Whether a variable of this name means something to others than the daemon."""
    return name in DAEMONS_ALONE or name.startswith(PREFIXES)
