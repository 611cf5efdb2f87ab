"""What the events of an Upstart job become among systemd's units: what it is wanted by, what it is behind, its sockets.

An event that comes once more starts a job once more; a unit stands in a relation to another one. So what stands in
EVENTS and the like is translated, and of all else a remark says that it is not.
"""

from cross_init.definitions.definition import Listen, Socket
from cross_init.definitions.job import Job
from cross_init.definitions.job_events import MATCH, Node
from cross_init.definitions.sockets import address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.definitions.definition import Relations
    from cross_init.definitions.said import Unit

MULTI_USER, SYSINIT = "multi-user.target", "sysinit.target"
# Of an event: what the unit is wanted by, and what it is behind.
EVENTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "startup": (SYSINIT, ()),
    "virtual-filesystems": (SYSINIT, ()),
    "local-filesystems": (MULTI_USER, ("local-fs.target",)),
    "remote-filesystems": (MULTI_USER, ("remote-fs.target",)),
    "filesystem": (MULTI_USER, ("local-fs.target", "remote-fs.target")),
    "all-swaps": (MULTI_USER, ("swap.target",)),
    "static-network-up": (MULTI_USER, ("network-online.target",)),
    "net-device-up": (MULTI_USER, ("network-online.target",)),
    "login-session-start": ("graphical.target", ("display-manager.service",)),
    "desktop-session-start": ("graphical.target", ("display-manager.service",)),
}
INSTEAD = {  # what does the like with systemd, of events that say no more than their name
    "file": "a path unit (systemd.path(5))",
    "control-alt-delete": "ctrl-alt-del.target",
    "keyboard-request": "kbrequest.target",
    "power-status-changed": "sigpwr.target",
    "dbus-activation": "SystemdService= in the bus's service file",
}
LEVELS = (("2345", MULTI_USER), ("1Ss", "rescue.target"), ("0", "poweroff.target"), ("6", "reboot.target"))
NAME_LETTERS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ:_."  # of a unit, systemd.unit(5)
PLAIN = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./+:@"


def relate(unit: "Unit", job: Job) -> None:
    """Set the relations of the unit's definition, its sockets and its template. Adds remarks."""
    relations = unit.definition.relations
    if job.start_on:
        relations.wanted_by = _started(job.start_on, unit, job)
        if SYSINIT in relations.wanted_by:
            relations.default_dependencies = False
    if job.stop_on:
        for event in job.stop_on.events():
            _stopped(event, unit, job)
        if any(joint == "and" for joint in _joints(job.stop_on)):
            _remark(unit, job, "stop on", "a unit stops with each of these, and not with all of them alone")
    if unit.definition.sockets:
        socket = unit.definition.sockets[0]
        socket.name = f"{unit.definition.name.rpartition('.')[0]}.socket"
        socket.relations.description = f"{relations.description}, its sockets"
        socket.relations.wanted_by = ("sockets.target",)
    if job.instance:
        _template(unit, job)


def _joints(node: Node | None) -> list[str]:
    """All "and" and "or" in it."""
    return [] if node is None or node.kind == MATCH else [node.kind, *_joints(node.left), *_joints(node.right)]


def _remark(unit: "Unit", job: Job, stanza: str, text: str) -> None:
    file, line = job.origins[stanza]
    unit.remarks.append(f"{file}:{line}: {stanza}: {text}")


def _started(node: Node, unit: "Unit", job: Job) -> tuple[str, ...]:
    """What the unit is wanted by for this; sets what it is behind. Of events that come together a target is enough."""
    if node.kind == MATCH:
        return _started_on(node, unit, job)
    left, right = (_started(side, unit, job) for side in (node.left, node.right) if side is not None)
    both = tuple(dict.fromkeys((*left, *right)))
    targets = tuple(each for each in both if each.endswith(".target"))
    if node.kind == "and" and targets:
        return targets
    if node.kind == "and" and len(both) > 1:
        _remark(
            unit, job, "start on", f"the unit is started with each of {', '.join(both)}, and not with all of them alone"
        )
    return both


def _started_on(event: Node, unit: "Unit", job: Job) -> tuple[str, ...]:
    relations = unit.definition.relations
    values = event.values()
    other = _other(event)
    if event.name == "socket":
        _socket(event, unit, job)
        return ()
    if event.name == "runlevel":
        return _levels(values.get("RUNLEVEL") or next(iter(event.words), ""))
    if event.name == "stopped" and other == "rc.service":
        return _levels(values.get("RUNLEVEL", "[2345]"))
    if event.name == "started" and other:
        _add(relations, "after", other)
        return (other,)
    if event.name == "starting" and other:
        _add(relations, "before", other)
        return (other,)
    if event.name == "mounted" and (place := values.get("MOUNTPOINT", "")).startswith("/") and _is_plain(place):
        relations.requires_mounts_for = (*relations.requires_mounts_for, place)
        return (MULTI_USER,)
    if event.name in EVENTS:
        wanted, behind = EVENTS[event.name]
        if "lo" not in (values.get("IFACE"), values.get("INTERFACE"), *event.words[:1]):
            for each in behind:
                _add(relations, "after", each)
            if "network-online.target" in behind:
                _add(relations, "wants", "network-online.target")
        return (wanted,)
    instead = INSTEAD.get(event.name, "")
    if event.name.endswith(("-device-added", "device-added")):
        instead = "a rule of udev's with SYSTEMD_WANTS (systemd.device(5))"
    _remark(
        unit,
        job,
        "start on",
        f"{event}: no unit is started by this{f'; with systemd that is {instead}' if instead else ''}",
    )
    return ()


def _stopped(event: Node, unit: "Unit", job: Job) -> None:
    relations = unit.definition.relations
    other = _other(event)
    if event.name == "runlevel" or (event.name == "starting" and other == "rc.service"):
        return  # at a shutdown each unit is stopped
    if event.name in ("stopping", "stopped") and other:
        _add(relations, "part_of", other)
        if event.name == "stopping":
            _add(relations, "after", other)
    elif event.name in ("starting", "started") and other:
        _add(relations, "conflicts", other)
    else:
        _remark(unit, job, "stop on", f"{event}: no unit is stopped by this")


def _add(relations: "Relations", field: str, name: str) -> None:
    old: tuple[str, ...] = getattr(relations, field)
    setattr(relations, field, old if name in old else (*old, name))


def _other(event: Node) -> str:
    """The unit of the job that an event is of, if it is one job."""
    name = event.values().get("JOB") or next((word for word in event.words[:1] if "=" not in word), "")
    return unit_name(name) if name and _is_plain(name) else ""


def _is_plain(text: str) -> bool:
    """Whether there is no variable and no pattern in it."""
    return all(letter in PLAIN for letter in text)


def _levels(pattern: str) -> tuple[str, ...]:
    """The targets of the runlevels that the pattern, as [2345] or [!06], is for."""
    inside = pattern.removeprefix("[").removesuffix("]")
    negated = inside.startswith(("!", "^"))  # fnmatch(3) has both
    found = [
        target
        for levels, target in LEVELS
        if any((level in inside.lstrip("!^")) != negated for level in levels) or not inside
    ]
    return (MULTI_USER,) if MULTI_USER in found else tuple(found)


def _socket(event: Node, unit: "Unit", job: Job) -> None:
    """One more socket (socket-event(7)); as upstart-socket-bridge(8) opens it."""
    values = event.values()
    kind, port = values.get("PROTO", ""), values.get("PORT", "")
    path = values.get("SOCKET_PATH") or values.get("PATH", "")
    said = {
        "inet": f"{values.get('ADDR', '0.0.0.0')}:{port}",  # noqa: S104 (as Upstart has it)
        "inet6": f"[{values.get('ADDR', '::')}]:{port}",
        "unix": path,
    }.get(kind, "")
    try:
        where = address(said)
    except ValueError as error:
        _remark(unit, job, "start on", f"{event}: {error}, so there is no such socket")
        return
    definition = unit.definition
    if not definition.sockets:
        definition.sockets = (Socket(),)
    socket = definition.sockets[0]
    if where not in [each.address for each in socket.listen]:
        socket.listen = (*socket.listen, Listen("Stream", where, job.origins["start on"]))
    if kind == "inet6":
        socket.bind_ipv6_only = "ipv6-only"


def _template(unit: "Unit", job: Job) -> None:
    """The name of a template; a variable that alone is the instance's name becomes that (systemd.unit(5), %i)."""
    definition = unit.definition
    definition.name = f"{definition.name.rpartition('.')[0]}@.service"
    definition.others["instance"] = (job.instance,)
    if not variable_of(job.instance):
        _remark(
            unit,
            job,
            "instance",
            f"{job.instance}: the variables in it are not known to a unit, which has one name for an instance",
        )
    if definition.sockets:
        definition.sockets = ()
        _remark(unit, job, "instance", "a template has no socket that starts it")


def variable_of(instance: str) -> str:
    """The variable that is all there is in the instance's name; "" if that is not so."""
    name = instance.removeprefix("$")
    name = name[1:-1] if name.startswith("{") and name.endswith("}") else name
    return name if instance.startswith("$") and name.replace("_", "a").isalnum() and name.isascii() else ""


def unit_name(job: str) -> str:
    """The unit that a job becomes, named as systemd-escape(1) has it."""
    escaped = "".join(
        letter if letter in NAME_LETTERS or letter == "-" else "-" if letter == "/" else _escaped(letter)
        for letter in job
    )
    return f"{_escaped('.') + escaped[1:] if escaped[0] == '.' else escaped}.service"


def _escaped(letter: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in letter.encode("utf-8", "surrogateescape"))
