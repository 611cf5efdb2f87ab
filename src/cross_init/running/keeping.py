"""Keeping what was read of a unit, for the next start (kept.py): a start that finds it kept does without this."""

import posix
from marshal import dumps
from sys import modules

from cross_init.definitions.said import Unit
from cross_init.kernel.folders import make_private
from cross_init.kernel.linux import is_private
from cross_init.running.kept import BASE, CODE, FOLDER, GROUPS, KINDS, OURS, PROGRAM, SIZE_MOST, identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cross_init.running.kept import Identity, State

YOUNG_S = 2  # what is as young may be changed once more with the same times: the kernel's clock for files is coarse
READERS = ("cross_init.definitions.", "cross_init.running.kept", "cross_init.running.keeping")


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
        path = getattr(module, "__file__", PROGRAM) if name.startswith(READERS) else ""
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
