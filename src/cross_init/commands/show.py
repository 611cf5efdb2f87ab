"""cross-init show: what is read of a unit or a job, from which file and line, and what becomes of each directive."""

from cross_init.commands.words import OF_SHOW, take_apart
from cross_init.definitions.classes import CANNOT, NOT_YET
from cross_init.definitions.definition import CAPABILITIES_ALL, INFINITY, Definition, Socket
from cross_init.definitions.load import load
from cross_init.definitions.said import Said, Unit
from cross_init.errors import printable

GROUPS = ("commands", "readiness", "context", "ending", "relations")
MASKS = ("capability_bounding_set", "ambient_capabilities")
WIDEST = 10  # letters of a class, beside which the directive stands
IGNORED = "ignored"
READY = {  # by the type, when it is ready (systemd.service(5), Type=)
    "stop": "when it stops itself (expect stop)",
    "simple": "as soon as it runs",
    "exec": "as soon as its program runs",
    "idle": "as soon as it runs",
    "forking": "when the first process has ended",
    "oneshot": "when it has ended",
    "dbus": "when it has its name on the bus",
    "notify": "when it says so (sd_notify(3))",
    "notify-reload": "when it says so (sd_notify(3))",
}


def run(words: list[str]) -> tuple[int, str]:
    """The exit code, and the answer. Raises Failure."""
    asked = take_apart("show", words, OF_SHOW, False)
    unit = load(asked.name, "--user" in asked.flags, asked.folders)
    if "--json" in asked.flags:
        from cross_init.as_json import as_json

        return 0, as_json(as_object(unit))
    return 0, "\n".join(map(printable, as_lines(unit)))


def as_lines(unit: Unit) -> list[str]:
    """For people: what would be done, then each line of each file."""
    definition = unit.definition
    summary = [f"{definition.name}: {definition.relations.description}", *_summary(definition)]
    files = dict.fromkeys((*definition.files, *(said.origin[0] for said in unit.lines)))
    for file in files:
        summary += ["", file]
        summary += [_line(said) for said in unit.lines if said.origin[0] == file]
    title = "ignored, as systemd would:" if definition.target == "systemd" else "other than under Upstart:"
    return [*summary, *(["", title, *unit.remarks] if unit.remarks else [])]


def _summary(definition: Definition) -> list[str]:
    context, commands, readiness = definition.context, definition.commands, definition.readiness
    rows = [
        ("before", *(" ".join(each.argv) for each in (*commands.condition, *commands.start_pre))),
        ("runs", *(" ".join(each.argv) for each in commands.start)),
        ("as", ":".join(filter(None, (context.user, context.group)))),
        ("ready", READY[readiness.type] + (f", {readiness.bus_name}" if readiness.type == "dbus" else "")),
        ("sockets", *(each.address for socket in definition.sockets for each in socket.listen)),
        ("reload", *(" ".join(each.argv) for each in commands.reload)),
        ("stop", *(" ".join(each.argv) for each in commands.stop)),
        ("after", *(" ".join(each.argv) for each in commands.stop_post)),
    ]
    return [
        f"  {name if not at else '':8} {value}" for name, *values in rows for at, value in enumerate(values) if value
    ]


def _line(said: Said) -> str:
    name, reason = _class(said)
    first, *more = said.value.split("\n")
    what = f"{said.key}{'=' if said.section else ' '}{first}{' ...' if more else ''}".rstrip()
    return f"{said.origin[1]:5}  {name:{WIDEST}}  {what}{f'  ({reason})' if reason else ''}"


def _class(said: Said) -> tuple[str, str]:
    """The class of its directive, and why; or why it counts for nothing."""
    if said.ignored:
        return IGNORED, said.ignored
    return (said.row[2], said.row[3]) if said.row else (IGNORED, "it is an extension")


def as_object(unit: Unit) -> dict[str, object]:
    """For programs."""
    definition = unit.definition
    return {
        "unit": definition.name,
        "instance": definition.instance,
        "user": definition.of_user,
        "files": list(definition.files),
        "lines": [
            {
                "file": said.origin[0],
                "line": said.origin[1],
                "section": said.section,
                "key": said.key,
                "value": said.value,
                "class": _class(said)[0],
                "reason": _class(said)[1],
            }
            for said in unit.lines
        ],
        "refused": sorted({said.key for said in unit.lines if said.row and said.row[2] in (CANNOT, NOT_YET)}),
        "remarks": unit.remarks,
        **{group: _fields(getattr(definition, group)) for group in GROUPS},
        "sockets": [_fields(socket) for socket in definition.sockets],
    }


def _fields(group: object) -> dict[str, object]:
    """All fields of a group, as JSON has them."""
    names = [name for name in (*vars(type(group)), *vars(group)) if not name.startswith("_")]
    unwanted = ("relations", "origins", "others") if isinstance(group, Socket) else ()
    return {name: _plain(getattr(group, name), name) for name in dict.fromkeys(names) if name not in unwanted}


def _plain(value: object, name: str) -> object:
    if name in MASKS and isinstance(value, int):
        from cross_init.definitions.restrictions import CAPABILITIES

        return "all" if value == CAPABILITIES_ALL else [each for at, each in enumerate(CAPABILITIES) if value >> at & 1]
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, tuple):
        return [_plain(each, "") for each in value]
    if isinstance(value, dict):
        return {str(key): _plain(each, "") for key, each in value.items()}
    if isinstance(value, int) and value == INFINITY:
        return "infinity"
    if value is None or isinstance(value, str | int):
        return value
    return {each: _plain(getattr(value, each), "") for each in type(value).__slots__}  # type: ignore[attr-defined]
