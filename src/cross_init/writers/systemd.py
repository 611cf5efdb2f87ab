"""A service as systemd's own: a .service unit, and a .socket unit if it has sockets. Pure: text from a Definition.

What is said is what differs from what systemd has without it: a field that a row of the table of directives is for is
written by the way back of that row's kind (unit_values.py). A daemon for Upstart gets cross-init-bridge before it where
it stops itself to say that it is ready, or takes sockets.
"""

from cross_init.definitions.definition import CAPABILITIES_ALL, INFINITY, SECOND, Command, Definition, Socket
from cross_init.definitions.finish import CAPABILITIES
from cross_init.definitions.job_relations import variable_of
from cross_init.definitions.table_exec import EXEC
from cross_init.definitions.table_resources import RESOURCES
from cross_init.definitions.table_service import SERVICE
from cross_init.definitions.table_socket import SOCKET
from cross_init.definitions.table_unit import INSTALL, UNIT
from cross_init.errors import Failure
from cross_init.writers.quoting import comments
from cross_init.writers.unit_values import FORMS, usec
from cross_init.writers.unit_words import line, literal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cross_init.definitions.classes import Rows

    Lines = list[str]

BRIDGE = "/usr/bin/cross-init-bridge"
TOLD = ("UPSTART_JOB", "UPSTART_INSTANCE")
# Written first, in this order; the others as they stand in the table.
FIRST = (
    *("Type", "User", "Group", "Environment", "ExecCondition", "ExecStartPre", "ExecStart", "ExecStartPost"),
    *("ExecReload", "ExecStop", "ExecStopPost", "Restart"),
)
# Whose fields are written by themselves, or that say what another key says.
APART = (
    "StandardInputText",
    "PrivateTmp",
    "TimeoutSec",
    "WorkingDirectory",
    "RestrictAddressFamilies",
    "RestrictFileSystems",
)


def write(definition: Definition, remarks: "Iterable[str]" = (), expand: bool = False) -> dict[str, str]:
    """The units' texts, by the names of their files; the remarks stand on top of the service. Raises Failure.

    expand: a unit needs no other one, so it says nothing here.
    """
    top = comments(remarks)
    prefix = definition.name.rpartition(".")[0]
    found = {f"{prefix}.service": top + _service(definition)}
    for socket in definition.sockets:
        found[socket.name or f"{prefix}.socket"] = _socket(socket, definition)
    return found


def _service(definition: Definition) -> str:
    rows = {**SERVICE, **EXEC, **RESOURCES}
    said = bridged(definition)
    done: set[str] = set()
    sections = {
        "Unit": [*_lines(definition, UNIT, done), *_checks(definition)],
        "Service": [*_first(said, rows, done), *_lines(said, rows, done), *_apart(definition), *_limits(definition)],
        "Install": [*_lines(definition, INSTALL, done)],
    }
    return _text(sections)


def _text(sections: "dict[str, Lines]") -> str:
    return "\n".join(
        f"[{name}]\n" + "".join(f"{each}\n" for each in lines) for name, lines in sections.items() if lines
    )


def bridged(definition: Definition) -> Definition:
    """The same, or for a daemon of Upstart's with what stands in for Upstart before its command."""
    is_stopping = definition.readiness.type == "stop"
    if definition.target != "upstart" or not (is_stopping or definition.sockets):
        return definition
    if definition.context.root_directory:
        raise Failure(f"{definition.name}: it has a root directory of its own, and cross-init-bridge is not in there")
    other = Definition(definition.name, definition.instance, definition.of_user)
    for group in ("commands", "readiness", "context", "ending", "relations"):
        vars(getattr(other, group)).update(vars(getattr(definition, group)))
    other.others, other.origins, other.sockets = definition.others, definition.origins, definition.sockets
    if is_stopping:
        other.readiness.type = "notify"
    # What stands in for Upstart says these to the daemon; its own init must not seem to be Upstart.
    other.context.environment = tuple(each for each in other.context.environment if each[0] not in TOLD)
    other.commands.start = tuple(_bridged(each, is_stopping) for each in definition.commands.start)
    return other


def _bridged(command: Command, is_stopping: bool) -> Command:
    words = (BRIDGE, "-t", "upstart", *(("-N",) if is_stopping else ()), "--", command.path, *command.argv[1:])
    found = Command(BRIDGE, words, command.origin)
    for sign in ("literal", "may_fail", "privileges", "login_shell"):
        setattr(found, sign, getattr(command, sign))
    return found


def _first(definition: Definition, rows: "Rows", done: set[str]) -> "Iterator[str]":
    """What people look for first."""
    for key in FIRST:
        yield from _lines(definition, {key: rows[key]}, done)
        if key == "Environment" and (name := variable_of((definition.others.get("instance") or ("",))[0])):
            yield f"Environment={name}=%i"


def _lines(owner: "Definition | Socket", rows: "Rows", done: set[str]) -> "Iterator[str]":
    """The lines of the fields in these rows that differ from what holds without. done: those that are written."""
    implied = _implied(owner) if isinstance(owner, Definition) else {"description": owner.name}
    for key, (kind, field, _, _) in rows.items():
        name, more = (kind, ()) if isinstance(kind, str) else (str(kind[0]), kind[1:])
        if key in APART or name == "sockets.check" or name == "sockets.listen" or name == "scheduling.limit":
            continue
        if not field:
            if name == "raw" and key in owner.others and key not in done:
                done.add(key)
                yield from (f"{key}={each}" for each in FORMS[name](owner.others[key], key))
            continue
        group, _, attribute = field.rpartition(".")
        holder = getattr(owner, group) if group else owner
        value = getattr(holder, attribute)
        usual = getattr(type(holder), attribute)
        if value in (usual, implied.get(attribute, usual)) and attribute != "type":
            continue
        if attribute in done and name != "folders.binds":
            continue
        done.add(attribute)
        yield from (f"{key}={each}" for each in FORMS[name](value, key, *more))


def _implied(definition: Definition) -> dict[str, object]:
    """What follows from the rest, and need not be said (definitions/finish.py)."""
    kind = definition.readiness.type
    mask = CAPABILITIES_ALL
    for field, numbers in CAPABILITIES.items():
        for number in numbers if getattr(definition.context, field) else ():
            mask &= ~(1 << number)
    is_heard = kind.startswith("notify") or definition.ending.watchdog or definition.ending.file_descriptor_store_max
    return {
        "timeout_start": INFINITY if kind == "oneshot" else 90 * SECOND,
        "notify_access": "main" if is_heard else "none",
        "description": definition.name,
        "capability_bounding_set": mask,
        "keyring_mode": "inherit" if definition.of_user else "private",
    }


def _apart(definition: Definition) -> "Iterator[str]":
    context = definition.context
    if context.working_directory:
        sign = "-" if context.working_directory_may_lack else ""
        yield f"WorkingDirectory={line(f'{sign}{literal(context.working_directory)}')}"
    if context.private_tmp not in ("no", "disconnected" if context.dynamic_user else "no"):
        # An older systemd has no "disconnected", which a newer one takes by itself here (definitions/finish.py).
        is_early = not definition.relations.default_dependencies
        yield f"PrivateTmp={'yes' if is_early else context.private_tmp}"
    for key, names, allow in (
        ("RestrictAddressFamilies", context.restrict_address_families, context.restrict_address_families_allow),
        ("RestrictFileSystems", context.restrict_file_systems, context.restrict_file_systems_allow),
    ):
        if names:
            yield f"{key}={'' if allow else '~'}{line(' '.join(names))}"
        elif key == "RestrictAddressFamilies" and allow:
            yield f"{key}=none"


def _limits(definition: Definition) -> "Iterator[str]":
    for name, bounds in definition.context.limits.items():
        soft, hard = (usec(each) if each == INFINITY else str(each) for each in bounds)
        yield f"Limit{name}={soft}" if soft == hard else f"Limit{name}={soft}:{hard}"


def _checks(owner: "Definition | Socket") -> "Iterator[str]":
    for each in owner.relations.checks:
        signs = "|" * each.triggers + "!" * each.negated
        yield f"{'Assert' if each.is_assert else 'Condition'}{each.kind}={signs}{line(literal(each.parameter))}"


def _socket(socket: Socket, definition: Definition) -> str:
    done: set[str] = {"start_limit_interval", "start_limit_burst"}
    relations = {key: row for key, row in UNIT.items() if row[1].startswith("relations.") or not row[1]}
    listens = [f"Listen{each.kind}={line(literal(each.address))}" for each in socket.listen]
    own = socket.name.rpartition(".")[0] == definition.name.rpartition(".")[0] or socket.accept
    service = [] if own or socket.service else [f"Service={literal(definition.name)}"]
    sections = {
        "Unit": [*_lines(socket, relations, done), *_checks(socket)],
        "Socket": [*listens, *service, *_lines(socket, SOCKET, done)],
        "Install": [*_lines(socket, INSTALL, done)],
    }
    return _text(sections)
