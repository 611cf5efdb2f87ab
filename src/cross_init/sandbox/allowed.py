"""Which namespaces a service can have on this machine, as this user, in this container: tried where it is doubtful."""

import posix

from cross_init.definitions.classes import OFF
from cross_init.definitions.table_exec import OF_SANDBOX
from cross_init.errors import Failure, print_error
from cross_init.kernel.linux import fork, read
from cross_init.kernel.process_stat import value_in
from cross_init.kernel.system_calls import (
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    leave,
    need_library,
)
from cross_init.sandbox.entries import needs_mounts
from cross_init.sandbox.spaces import OF_USERS, SHARED, take_own_users

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.definitions.definition import Definition
    from cross_init.definitions.said import Unit

CAP_SYS_ADMIN = 21
EPERM = 1
PROFILE = "/proc/self/attr/current"  # of AppArmor's or SELinux's, which may forbid it
UNCONFINED = ("", "unconfined")
# Each kind of namespace but that of mounts: how it is asked for, and the directives that it is for.
KINDS: dict[str, tuple[int, tuple[str, ...]]] = {
    "net": (CLONE_NEWNET, ("PrivateNetwork", "NetworkNamespacePath")),
    "ipc": (CLONE_NEWIPC, ("PrivateIPC", "IPCNamespacePath")),
    "uts": (CLONE_NEWUTS, ("ProtectHostname",)),
    "cgroup": (CLONE_NEWCGROUP, ("ProtectControlGroups",)),
    "user": (CLONE_NEWUSER, ("PrivateUsers",)),
    OF_USERS: (CLONE_NEWUSER, ("UserNamespacePath",)),
}
NEVER = ("managed",)  # of PrivateUsers=


def wanted(definition: "Definition") -> list[str]:
    """The kinds of namespaces that it is to have."""
    context = definition.context
    asked = {
        "mnt": needs_mounts(definition),
        "net": context.private_network or context.network_namespace_path,
        "ipc": context.private_ipc or context.ipc_namespace_path,
        "uts": context.protect_hostname != "no",
        "cgroup": context.protect_control_groups in ("private", "strict"),
        "user": context.private_users not in ("no", *NEVER) and not context.user_namespace_path,
        OF_USERS: context.user_namespace_path,
    }
    return [kind for kind, is_asked in asked.items() if is_asked]


def denied(kinds: list[str], strict: bool) -> dict[str, str]:
    """Those that cannot be had, and why. strict: be sure. Raises Failure."""
    try:
        need_library("namespaces")
    except Failure as failure:
        return dict.fromkeys(kinds, str(failure))
    status = read("/proc/self/status")
    if not int(value_in(status, "CapEff") or "0", 16) >> CAP_SYS_ADMIN & 1:
        lacks = dict.fromkeys(kinds, f"{posix.strerror(EPERM)}: this process lacks CAP_SYS_ADMIN")
        if not posix.geteuid():
            return lacks
        # In a namespace of users a user may have others, but none that is there before its commands are.
        alone = [kind for kind in kinds if kind not in SHARED]
        return {**{kind: lacks[kind] for kind in kinds if kind in SHARED}, **_tried(alone)}
    if not strict and value_in(status, "Seccomp") == "0" and read(PROFILE).rstrip("\0\n") in UNCONFINED:
        # Nobody forbids it: a trial would take longer than all else. But in a chroot nobody may have users of his own,
        # and how many of these there may be is bounded (unshare(2), EPERM and ENOSPC).
        kinds = [kind for kind in kinds if kind == "user"]
    return _tried(kinds) if kinds else {}


def _tried(kinds: list[str]) -> dict[str, str]:
    heard, told = posix.pipe2(posix.O_CLOEXEC)
    try:
        pid = fork("trying which namespaces can be had")
        if not pid:
            _try(kinds, told)
        posix.close(told)
        answer = b""
        while part := posix.read(heard, 4096):
            answer += part
        posix.waitpid(pid, 0)
    finally:
        posix.close(heard)
    return dict(line.split("=", 1) for line in answer.decode().splitlines())


def _try(kinds: list[str], told: int) -> None:
    """In a process of its own; does not return."""
    from cross_init.sandbox.mounting import PLACE, begin

    try:
        is_own = bool(posix.geteuid())
        for kind in kinds:
            try:
                if is_own:
                    take_own_users()
                    is_own = False
                if kind == "mnt":
                    begin()
                elif kind != "user" or not posix.geteuid():
                    leave(KINDS[kind][0])
            except OSError as error:
                where = f": {PLACE}" if error.filename else ""
                posix.write(told, f"{kind}={posix.strerror(error.errno or EPERM)}{where}\n".encode())
    finally:
        posix._exit(0)


def judge(read: "Unit", strict: bool, ignored: list[str]) -> set[str]:
    """Say what cannot be done here, in a line for each reason; returns the kinds. Raises Failure.

    strict: refuse it instead. What would have the service work on other files than it means to is refused anyway.
    ignored: keys that may pass.
    """
    definition = read.definition
    missing = denied(wanted(definition), strict)
    for reason in dict.fromkeys(missing.values()):
        kinds = [kind for kind in missing if missing[kind] == reason]
        about = {key for kind in kinds for key in _keys(kind)}
        keys = dict.fromkeys(
            said.key
            for said in read.lines
            if said.key in about and not said.ignored and said.value.strip().lower() not in OFF
        )
        text = ", ".join(f"{key}=" for key in keys if key not in ignored)
        if strict and text:
            raise Failure(f"{definition.name}: no such namespace can be had here ({reason}), and --strict: {text}")
        print_error(f"{definition.name}: weaker, as no such namespace can be had here ({reason}): {text}", 0)
    if "mnt" in missing:
        _insist(definition, missing["mnt"], ignored)
    return set(missing)


def _keys(kind: str) -> tuple[str, ...]:
    """The directives that a kind of namespace is for."""
    if kind != "mnt":
        return KINDS[kind][1]
    others = {key for each in KINDS if each != "cgroup" for key in KINDS[each][1]}
    return ("DynamicUser", "RootDirectory", *(key for key in OF_SANDBOX if key not in others))


def _insist(definition: "Definition", reason: str, ignored: list[str]) -> None:
    """Refuse what changes which files are where (execute.c, insist_on_sandboxing()). Raises Failure."""
    context = definition.context
    moved = [bind for bind in context.binds if bind.source != bind.target]
    said = {
        "binds": "BindReadOnlyPaths" if moved and moved[0].read_only else "BindPaths" if moved else "",
        "temporary_file_system": "TemporaryFileSystem" if context.temporary_file_system else "",
    }
    for name, key in said.items():
        if key and key not in ignored:
            raise Failure(
                f"{definition.where(name)}: {key}=: no mount namespace can be had here ({reason}), and "
                f"without it other files are there than the service means; --ignore {key} starts it all the same"
            )
