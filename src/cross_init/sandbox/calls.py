"""Lists of system calls as a unit writes them, several lines merged: SystemCallFilter=, SystemCallLog=. Pure."""

from cross_init.sandbox.groups import GROUPS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    Lines = tuple[tuple[bool, tuple[str, ...]], ...]

WITHOUT_ERROR = -1  # the name alone was said
KILL = -2  # the process


def named(group: str) -> "Iterator[str]":
    """The calls of a group, and of the groups in it; none if there is no such group."""
    for name in GROUPS.get(group, "").split():
        if name.startswith("@"):
            yield from named(name)
        else:
            yield name


def merged(lines: "Lines", is_log: bool = False) -> tuple[bool, dict[str, int]]:
    """Whether the list is of those that may be made, as its first line says, and the list: names, each with its error.

    A line of the other kind takes out what it names; but with an error, in a list of those that may be made, it has
    the call refused with that one. is_log: no errors, and nothing is in it by itself.
    """
    is_allowed = lines[0][0]
    found = dict.fromkeys(named("@default"), WITHOUT_ERROR) if is_allowed and not is_log else {}
    for allows, words in lines:
        for word in words:
            name, colon, error_text = word.partition(":")
            error = error_number(error_text) if colon else WITHOUT_ERROR
            if error is None or (colon and (allows or is_log)):
                continue  # systemd ignores it as well
            names = named(name) if name.startswith("@") else (name,)
            if allows == is_allowed or (is_allowed and error != WITHOUT_ERROR):
                found |= dict.fromkeys(names, error)
            else:
                for each in names:
                    found.pop(each, None)
    return is_allowed, found


def error_number(text: str) -> int | None:
    """An error by its name or number, KILL for kill; None if it is none."""
    if text == "kill":
        return KILL
    import errno

    number = getattr(errno, text, None) if text.startswith("E") else None
    if number is None and text.isascii() and text.isdigit():
        number = int(text)
    return number if isinstance(number, int) and 0 <= number < 4096 else None
