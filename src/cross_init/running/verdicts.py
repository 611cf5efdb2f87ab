"""What becomes of each directive of a unit before anything is started: what is not done is said, or refused."""

from cross_init.definitions.classes import CANNOT, INITS, NOT_YET, OFF, WEAKER
from cross_init.errors import Failure, print_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.definitions.definition import Definition
    from cross_init.definitions.said import Said, Unit

# What says nothing, though it is the init's: a name for people, and what systemd's own start goes by.
QUIET = (
    *("Description", "Documentation", "WantedBy", "Alias", "Also", "RequiredBy", "DefaultInstance", "UpheldBy"),
    *("description", "author", "version", "usage", "emits", "debug", "instance"),  # of a job of Upstart's
)
OF_RESTARTS = ("Restart", "StartLimitBurst", "StartLimitInterval", "respawn", "normal exit")
AS_USUAL = {"FileDescriptorStorePreserve": "restart"}  # what it is if nobody says anything
# Fields of a definition that have a service be in a sandbox of mounts and namespaces (sandbox/).
ENCLOSED = frozenset(
    (
        *("private_tmp", "private_devices", "private_network", "private_ipc", "private_users", "private_mounts"),
        *("protect_kernel_tunables", "protect_kernel_modules", "protect_kernel_logs", "protect_control_groups"),
        *("protect_system", "protect_home", "protect_hostname", "protect_proc", "proc_subset", "dynamic_user"),
        *("read_write_paths", "read_only_paths", "inaccessible_paths", "exec_paths", "no_exec_paths", "binds"),
        *("temporary_file_system", "mount_flags", "network_namespace_path", "ipc_namespace_path", "root_directory"),
        *("mount_api_vfs", "bind_log_sockets", "user_namespace_path"),
    )
)


def is_enclosed(definition: "Definition") -> bool:
    """Whether anything in it asks for that."""
    return not ENCLOSED.isdisjoint(definition.origins) or definition.context.has_read_only_folders


def judge(unit: "Unit", strict: bool, ignored: list[str], restarts: bool) -> None:
    """Say in a line what is the init's, and in one what is weaker. Raises Failure for what cannot be.

    strict: refuse also what is weaker. ignored: keys that may pass. restarts: we start it anew ourselves.
    """
    inits: list[str] = []
    weaker: list[str] = []
    has_commands = any(socket.has_commands for socket in unit.definition.sockets)
    for said in unit.lines:
        if said.row is None or said.ignored or said.section == "Install" or said.key in QUIET:
            continue
        kind, reason = said.row[2], said.row[3]
        if said.section == "Socket" and not has_commands and _is_of_commands(said):
            continue
        if said.value.strip().lower() in OFF or AS_USUAL.get(said.key) == said.value.strip():
            continue  # what systemd does without
        if kind == INITS and said.section != "Socket" and not (restarts and said.key.startswith(OF_RESTARTS)):
            inits.append(said.key)
        elif kind == WEAKER:
            weaker.append(said.key)
        elif kind in (CANNOT, NOT_YET) and said.key not in ignored:
            raise _refused(said, reason or "that is not built here yet")
    _judge_filters(unit, strict, ignored)
    if inits:
        print_error(f"{unit.definition.name}: for the init to see to: {_listed(inits)}", 0)
    if weaker and strict:
        keys = dict.fromkeys(key for key in weaker if key not in ignored)
        if keys:
            raise Failure(f"{unit.definition.name}: not done here, and --strict: {_listed(list(keys))}")
    if weaker:
        print_error(f"{unit.definition.name}: weaker, as these are not done here: {_listed(weaker)}", 0)


def _is_of_commands(said: "Said") -> bool:
    """Whether a line of [Socket] says something of its commands, of which there are none."""
    from cross_init.definitions.table_socket import SOCKET

    return said.key not in SOCKET


def _judge_filters(unit: "Unit", strict: bool, ignored: list[str]) -> None:
    """Say so where this machine or container has no filters of system calls. Raises Failure."""
    context = unit.definition.context
    if not context.filters_calls:
        return
    from cross_init.sandbox.confining import keys, why_none

    reason = why_none()
    if not reason:
        return
    wanted = keys(context)
    if strict and (refused := [key for key in wanted if key not in ignored]):
        raise Failure(f"{unit.definition.name}: --strict: without {_listed(refused)}: {reason}")
    print_error(f"{unit.definition.name}: weaker, without {_listed(wanted)}: {reason}", 0)


def _refused(said: "Said", reason: str) -> Failure:
    file, line = said.origin
    return Failure(f"{file}:{line}: {said.key}={said.value}: {reason}; --ignore {said.key} starts it without")


def _listed(keys: list[str]) -> str:
    return ", ".join(f"{key}=" for key in dict.fromkeys(keys))
