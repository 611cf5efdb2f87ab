"""A unit as an earlier start has read it, if all that was looked at is still the same: reading is a third of a start.

What was read is kept in a folder of root's, where nobody else can write; a file that is broken, or anybody else's, is
as good as none. With it stand the folders and files that were looked at, those of the code that has read them too, each
with what tells whether it has changed. What depends on more is not kept: specifiers, sockets, variables, a user's unit.
"""

import posix
from marshal import dumps, loads
from sys import modules

from cross_init.definitions.definition import Bind, Check, Command, Definition, Directory
from cross_init.definitions.said import Said, Unit
from cross_init.kernel.linux import is_private, make_private

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Identity = tuple[int, int, int, int, int] | None
    State = dict[str, object]

BASE, OURS = "/run", "/run/cross-init"
FOLDER = f"{OURS}/units"
GROUPS = ("commands", "readiness", "context", "ending", "relations")
KINDS = {kind.__name__: kind for kind in (Bind, Check, Command, Directory)}  # what a field may have several of
NAME_MOST = 200  # bytes, of 255 that a file's name may have
SIZE_MOST = 1 << 18
YOUNG_S = 2  # what is as young may be changed once more with the same times: the kernel's clock for files is coarse
READERS = "cross_init.definitions."
PROGRAM = "/proc/self/exe"  # where our modules have no files, as in the static form
CODE: str = globals().get("__file__", PROGRAM)


def load(said: str, of_user: bool, unit_path: tuple[str, ...], bring: "Callable[[], None]") -> Unit:
    """A unit, as definitions/load.py reads it. bring: imports what reading takes. Raises Failure."""
    name = "" if of_user or posix.geteuid() or said.endswith(".conf") else _name(said, unit_path)
    if name and (found := find(name)) is not None:
        return found
    bring()
    from cross_init.definitions.load import load as read

    unit = read(said, of_user, unit_path)
    if name:
        keep(unit, name)
    return unit


def _name(said: str, unit_path: tuple[str, ...]) -> str:
    """By which it is kept; "" if what is found depends on more than these words."""
    if b"SYSTEMD_UNIT_PATH" in posix.environ or not all(path.startswith("/") for path in unit_path):
        return ""
    name = ":".join((said, *unit_path)).replace("/", "|")
    is_name = (said.startswith("/") or "/" not in said) and "\0" not in name and not name.startswith(".")
    return name if is_name and len(name.encode("utf-8", "surrogateescape")) <= NAME_MOST else ""


def identity(path: str) -> "Identity":
    """What changes whenever something does there; None if nothing is there."""
    try:
        status = posix.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def find(name: str) -> Unit | None:
    """What is kept by this name, if it is ours and nothing has changed."""
    try:
        fd = posix.open(f"{FOLDER}/{name}", posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_NONBLOCK | posix.O_CLOEXEC)
    except OSError:
        return None
    try:
        status = posix.fstat(fd)
        is_ours = status.st_mode & 0o170022 == 0o100000 and not status.st_uid  # inode(7): a file, and root's to write
        data = posix.read(fd, SIZE_MOST) if is_ours else b""
    except OSError:
        return None
    finally:
        posix.close(fd)
    if not data or not (is_private(BASE, 0) and is_private(OURS, 0) and is_private(FOLDER, 0)):
        return None
    try:
        *words, seen, state = loads(data)  # noqa: S302 (root has written it, and nobody else can)
        if words != [name, CODE] or any(identity(each) != was for each, was in seen):
            return None
        return restored(*state)
    except (EOFError, ValueError, TypeError, KeyError, AttributeError):
        return None


def keep(unit: Unit, name: str) -> None:
    """Keep it for the next start, if that may be; that it cannot be is no failure."""
    from time import time

    state = kept_of(unit)
    if state is None or not unit.looked_at:
        return
    seen = {**{path: identity(path) for path in unit.looked_at}, **_code()}
    limit = (time() - YOUNG_S) * 1e9
    if any(was is not None and max(was[3:]) > limit for was in seen.values()):
        return
    try:
        data = dumps((name, CODE, tuple(seen.items()), state))
        if (
            len(data) <= SIZE_MOST
            and is_private(BASE, 0)
            and make_private(OURS, 0, 0o711)
            and make_private(FOLDER, 0, 0o700)
        ):
            _write(name, data)
    except (OSError, ValueError):
        pass


def _write(name: str, data: bytes) -> None:
    """All of it, or nothing. Raises OSError."""
    new = f"{FOLDER}/.{posix.urandom(8).hex()}"
    fd = posix.open(new, posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC, 0o600)
    try:
        is_whole = posix.write(fd, data) == len(data)
    except OSError:
        is_whole = False
    finally:
        posix.close(fd)
    if is_whole:
        posix.rename(new, f"{FOLDER}/{name}")
    else:
        posix.unlink(new)


def _code() -> "dict[str, Identity]":
    """The files of those who have read and kept it; where our modules are no files, the one that they are in."""
    found: dict[str, Identity] = {}
    for name, module in modules.items():
        path = getattr(module, "__file__", PROGRAM) if name.startswith((READERS, __name__)) else ""
        while path:
            if is_there := identity(path):
                found[path] = is_there
                break
            path = path.rpartition("/")[0]
    return found


def kept_of(unit: Unit) -> "tuple[Any, ...] | None":
    """All of it, in values that marshal knows; None if it depends on more than files."""
    definition = unit.definition
    if definition.sockets or any("%" in said.value for said in unit.lines):
        return None
    groups: list[State] = []
    several: list[tuple[int, str, str, tuple[tuple[object, ...], ...]]] = []
    for at, group in enumerate(GROUPS):
        plain: State = {}
        for field, value in vars(getattr(definition, group)).items():
            kind = type(value[0]).__name__ if isinstance(value, tuple) and value else ""
            if kind in KINDS and isinstance(value, tuple):
                slots = KINDS[kind].__slots__
                several.append((at, field, kind, tuple(tuple(getattr(each, slot) for slot in slots) for each in value)))
            else:
                plain[field] = value
        groups.append(plain)
    own = (definition.name, definition.instance, definition.files, definition.origins, definition.others)
    lines = tuple((said.section, said.key, said.value, said.origin, said.row, said.ignored) for said in unit.lines)
    return own, tuple(groups), tuple(several), lines, tuple(unit.remarks)


def restored(
    own: "tuple[str, str, tuple[str, ...], dict[str, tuple[str, int]], dict[str, tuple[str, ...]]]",
    groups: "tuple[State, ...]",
    several: "tuple[tuple[int, str, str, tuple[tuple[object, ...], ...]], ...]",
    lines: "tuple[tuple[str, str, str, tuple[str, int], tuple[str, str, str, str] | None, str], ...]",
    remarks: tuple[str, ...],
) -> Unit:
    """The unit that this was."""
    definition = Definition(own[0], own[1])
    definition.files, definition.origins, definition.others = own[2:]
    parts = [getattr(definition, group) for group in GROUPS]
    for part, plain in zip(parts, groups, strict=True):
        vars(part).update(plain)
    for at, field, kind, values in several:
        made = []
        for each in values:
            one = object.__new__(KINDS[kind])
            for slot, value in zip(KINDS[kind].__slots__, each, strict=True):
                setattr(one, slot, value)
            made.append(one)
        setattr(parts[at], field, tuple(made))
    unit = Unit(definition)
    for section, key, value, origin, row, ignored in lines:
        said = Said(section, key, value, origin, row)
        said.ignored = ignored
        unit.lines.append(said)
    unit.remarks = list(remarks)
    return unit
