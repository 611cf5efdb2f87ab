"""A unit as an earlier start has read it, if all that was looked at is still the same: reading is a third of a start.

What was read is kept in a folder of root's, where nobody else can write; a file that is broken, or anybody else's, is
as good as none. With it stand the folders and files that were looked at, those of the code that has read them too, each
with what tells whether it has changed. What depends on more is not kept: specifiers, sockets, variables, a user's unit.
"""

import posix
from marshal import loads

from cross_init.definitions.definition import Bind, Check, Command, Definition, Directory
from cross_init.definitions.said import Said, Unit
from cross_init.kernel.linux import is_private

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Identity = tuple[int, int, int, int, int] | None
    State = dict[str, object]

BASE, OURS = "/run", "/run/cross-init"
FOLDER = f"{OURS}/units"
GROUPS = ("commands", "readiness", "context", "ending", "relations")
KINDS = {kind.__name__: kind for kind in (Bind, Check, Command, Directory)}  # what a field may have several of
NAME_MOST = 200  # bytes, of 255 that a file's name may have
SIZE_MOST = 1 << 18
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
        from cross_init.running.keeping import keep

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
        data = posix.read(fd, min(status.st_size, SIZE_MOST)) if is_ours else b""
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
