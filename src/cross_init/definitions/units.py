"""Read a systemd unit: find its files, read their lines, make a Definition of them as systemd would load it.

A line that systemd would ignore is ignored, and a remark says so, with its file and line; what it would not load is
refused in one line. The sockets of the service come with it.
"""

import posix

from cross_init.definitions.definition import Definition, Socket
from cross_init.definitions.directives import row
from cross_init.definitions.find import FILE, KIND, Found, find, find_if_there
from cross_init.definitions.finish import finish, finish_socket
from cross_init.definitions.reading import Reading, Refused
from cross_init.definitions.said import Said, Unit
from cross_init.definitions.syntax import Malformed, read
from cross_init.errors import Failure, why

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cross_init.definitions.find import Seen
    from cross_init.definitions.syntax import Line

SIZE_MOST = 1 << 22  # bytes of one file
SECTIONS = {"service": ("Unit", "Service", "Install"), "socket": ("Unit", "Socket", "Install")}
FORMS: "dict[str, Callable[..., object]]" = {}  # kinds of values that were used, and what reads them


def read_unit(said: str, of_user: bool = False, unit_path: tuple[str, ...] = ()) -> tuple[Definition, list[str]]:
    """The service of a unit, by its name or its file's path, and what is to be remarked. Raises Failure."""
    unit = load(said, of_user, unit_path)
    return unit.definition, unit.remarks


def load(said: str, of_user: bool = False, unit_path: tuple[str, ...] = ()) -> Unit:
    """The same with all lines. Raises Failure."""
    seen: Seen = {}
    found = find(said, of_user, unit_path, seen)
    if found.name.endswith(".socket"):
        return _of_socket(said, found, of_user, unit_path)
    unit = _service(found, of_user)
    unit.looked_at = [*seen, *found.places, found.fragment, *found.drop_ins]
    own, related = _sockets(unit.definition), _related(unit.definition)
    for name in (*own, *related):
        is_named = name in unit.definition.relations.sockets
        try:
            other = (find if is_named else find_if_there)(_beside(said, name), of_user, unit_path, seen)
        except Failure as failure:
            if is_named:
                unit.remarks.append(str(failure))
            continue
        if other is None:
            continue
        unit.looked_at += [other.fragment, *other.drop_ins]
        alone = Unit(Definition(other.name))
        try:
            socket = _socket(other, of_user, alone)
        except Failure as failure:  # for systemd as well the service is there without it
            if name in own:
                unit.remarks.append(f"{failure}; the service does not get it")
            continue
        if is_named or socket.service == unit.definition.name or (name in own and not socket.service):
            _add_socket(unit, socket, alone)
    return unit


def _of_socket(said: str, found: Found, of_user: bool, unit_path: tuple[str, ...]) -> Unit:
    """The unit of a socket's service."""
    alone = Unit(Definition(found.name))
    socket = _socket(found, of_user, alone)
    prefix = found.name.rpartition(".")[0]
    name = f"{prefix}@0.service" if socket.accept else socket.service or f"{prefix}.service"
    folder, slash, _ = said.rpartition("/")
    beside = _beside(said, name)
    unit = load(beside, of_user, (folder or "/", *unit_path) if slash and beside == name else unit_path)
    if all(each.name != socket.name for each in unit.definition.sockets):
        _add_socket(unit, socket, alone)
    return unit


def _add_socket(unit: Unit, socket: Socket, alone: Unit) -> None:
    """One of the service's, with what was read of it. alone: its unit."""
    unit.definition.sockets = (*unit.definition.sockets, socket)
    unit.lines += alone.lines
    unit.remarks += alone.remarks


def _beside(said: str, name: str) -> str:
    """Another unit where this one is: in the folder of a path, or on the search path."""
    folder, slash, _ = said.rpartition("/")
    return f"{folder}/{name}" if slash and _is_there(f"{folder}/{name}") else name


def _is_there(path: str) -> bool:
    try:
        posix.stat(path)
    except OSError:
        return False
    return True


def _sockets(definition: Definition) -> tuple[str, ...]:
    """The socket units that it names, and those of its own names; for an instance the template's as well."""
    prefix = definition.name.rpartition(".")[0]
    relations = definition.relations
    names = [*relations.sockets, f"{prefix}.socket"]
    names += [f"{name.rpartition('.')[0]}.socket" for name in relations.alias]
    if definition.instance:
        names.append(f"{prefix.partition('@')[0]}.socket")
    return tuple(dict.fromkeys(names))


def _related(definition: Definition) -> tuple[str, ...]:
    """Other socket units that it needs, or is enabled with: one may say that this is its service (Service=)."""
    relations = definition.relations
    names = (*relations.requires, *relations.wants, *relations.binds_to, *relations.also)
    own = _sockets(definition)
    return tuple(name for name in dict.fromkeys(names) if name.endswith(".socket") and name not in own)


def _service(found: Found, of_user: bool) -> Unit:
    definition = Definition(found.name, found.instance, of_user)
    definition.files = (found.fragment, *found.drop_ins)
    unit = Unit(definition)
    definition.relations.wants = found.wants
    definition.relations.requires = found.requires
    reading = Reading(definition, found.asked, found.instance, of_user, found.fragment)
    _read_files(found, reading, unit)
    finish(definition, reading)
    _keep_remarks(reading, unit)
    return unit


def _socket(found: Found, of_user: bool, unit: Unit) -> Socket:
    socket = Socket()
    socket.name = found.name
    reading = Reading(socket, found.asked, found.instance, of_user, found.fragment)
    _read_files(found, reading, unit)
    finish_socket(socket, reading)
    _keep_remarks(reading, unit)
    return socket


def _keep_remarks(reading: Reading, unit: Unit) -> None:
    unit.remarks += [f"{file}:{line}: {text}" if line else f"{file}: {text}" for (file, line), text in reading.remarks]


def _read_files(found: Found, reading: Reading, unit: Unit) -> None:
    """Read them all in turn. Raises Failure."""
    sections = SECTIONS[found.name.rpartition(".")[2]]
    for path in (found.fragment, *found.drop_ins):
        try:
            lines, remarks = read(_content(path), sections)
            for number, text in remarks:
                reading.remark(text, (path, number))
            for line in lines:
                _take(line, path, reading, unit)
            reading.name = found.name  # only in the unit's own file specifiers mean the name that was asked for
        except Malformed as error:
            reason = f"{path}:{error.line}: {error}"
        except Refused as error:
            reason = f"{reading.origin[0]}:{reading.origin[1]}: {reading.key}=: {error}"
        else:
            continue
        if path == found.fragment:
            raise Failure(reason)
        # What systemd reads of such a drop-in ends here, and it starts the unit all the same (load-dropin.c).
        reading.remark(f"{reason.partition(': ')[2]}; the rest of this file is ignored", reading.origin)


def _content(path: str) -> bytes:
    """What is in a file; nothing in what is none, as /dev/null for a drop-in that is masked. Raises Failure."""
    try:
        fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK | posix.O_NOCTTY)
        try:
            found = posix.fstat(fd)
            if found.st_size > SIZE_MOST:
                raise Failure(f"{path}: it is larger than {SIZE_MOST} bytes")
            return posix.read(fd, SIZE_MOST) if found.st_mode & KIND == FILE else b""
        finally:
            posix.close(fd)
    except OSError as error:
        raise Failure(f"{path}: {why(error)}") from None


def _take(line: "Line", path: str, reading: Reading, unit: Unit) -> None:
    """Set what one line says. Raises Refused."""
    number, section, key, value = line
    reading.origin, reading.section, reading.key = (path, number), section, key
    known = row(section, key)
    said = Said(section, key, value, reading.origin, known)
    unit.lines.append(said)
    if known is None:
        if not key.startswith("X-"):
            said.ignored = f"systemd knows no {key}= in [{section}]"
            reading.remark(said.ignored)
        return
    kind, field, _, _ = known
    name, more = (kind, ()) if isinstance(kind, str) else (str(kind[0]), kind[1:])
    group, _, attribute = field.rpartition(".")
    owner = getattr(reading.subject, group) if group else reading.subject
    try:
        form = FORMS.get(name) or _form(name)
        if field:
            new = form(value, getattr(owner, attribute), reading, *more)
            setattr(owner, attribute, new)
            reading.subject.origins[attribute] = reading.origin
        elif name == "raw":
            before = reading.subject.others.get(key, ())
            reading.subject.others[key] = form(value, before, reading)  # type: ignore[assignment]
        else:
            form(value, None, reading, *more)
    except ValueError as error:
        said.ignored = str(error)
        reading.remark(f"{key}={value}: {error}; the line is ignored")


def _form(name: str) -> "Callable[..., object]":
    """What reads values of a kind: a function of values.py, or FILE.FUNCTION."""
    file, _, function = name.rpartition(".")
    module = __import__(f"cross_init.definitions.{file or 'values'}", fromlist=(function,))
    found: Callable[..., object] = getattr(module, function)
    FORMS[name] = found
    return found
