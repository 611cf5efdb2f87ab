"""What a bridge says of a daemon that it hands over: what a resident needs to watch it as a watcher would.

It is the command line's options once more, and what the bridge has found out beside them. The form is that of
watch/wire.py, behind a beginning that has its number: whoever reads another number refuses. A description also waits in
the deposit for the next resident, which may be of a later version: that one has to read it. The first three descriptors
are the same in every version. Pure.
"""

from cross_init.watch.wire import Malformed, Value, decode, encode

BEGINNING = b"hand-over 1 "
LONGEST = 1 << 16  # bytes
TEXTS = (
    *("options", "command", "init", "told", "service", "instance", "state_file", "channel", "roles"),
    *("store", "endpoint", "removals", "environ"),
)
NUMBERS = ("pid", "is_guess", "since")
OPEN = ("init.", "told.", "channel.", "condition.")  # how the names begin of what each of these takes by itself
# What each descriptor is that comes with it, in this order; several may be of one kind.
VERDICT, PIDFD, ERRORS, CHANNEL, INIT = "verdict", "pidfd", "errors", "channel", "init"
ENDPOINT, REMOVAL, LINE = "endpoint", "removal", "line"  # a line: to who looks at a condition
ROLES = (VERDICT, PIDFD, ERRORS, CHANNEL, INIT, ENDPOINT, REMOVAL, LINE)
ONE = (VERDICT, PIDFD, ERRORS)  # of these there is one
FDS_MAX = 64

Fields = dict[str, Value]


class Unknown(Malformed):
    """It is of a version that is not ours."""


def write(fields: "Fields") -> bytes:
    """The description that says this. Raises Malformed if it cannot be said, or is too long."""
    data = BEGINNING + encode(fields)
    if len(data) > LONGEST:
        raise Malformed("its command line is too long")
    return data


def read(data: bytes) -> "Fields":
    """What a description says: with all that has to be there, each of its kind. Raises Malformed."""
    if not data.startswith(BEGINNING):
        raise Unknown("it is from another version")
    if len(data) > LONGEST:
        raise Malformed("it is too long")
    fields = decode(data[len(BEGINNING) :])
    kinds: dict[str, type] = {**dict.fromkeys(TEXTS, str), **dict.fromkeys(NUMBERS, int), "began": float}
    for name, kind in kinds.items():
        if type(fields.get(name)) is not kind:
            raise Malformed(f"{name} is missing")
    if unknown := [name for name in fields if name not in kinds and not name.startswith(OPEN)]:
        raise Malformed(f"{unknown[0]} is not known")
    roles = listed(fields["roles"])
    if len(roles) > FDS_MAX or set(roles) - {*ROLES} or any(roles.count(role) != 1 for role in ONE):
        raise Malformed("its descriptors are not as they have to be")
    return fields


def join(words: "list[str] | tuple[str, ...]") -> str:
    """Words in which there is no NUL, as one text."""
    return "".join(f"{word}\0" for word in words)


def listed(text: "Value") -> list[str]:
    """These words. Raises Malformed."""
    if not isinstance(text, str) or (text and not text.endswith("\0")):
        raise Malformed("a list does not end")
    return text.split("\0")[:-1]


def as_value(thing: object) -> "Value | None":
    """What an attribute holds, in a form that can be written; None: there is none for it."""
    if isinstance(thing, bool):
        return int(thing)
    if isinstance(thing, str | int | float):
        return thing
    if isinstance(thing, bytes):
        return thing.decode("latin-1")
    if isinstance(thing, tuple) and all(isinstance(each, str) and "\0" not in each for each in thing):
        return join(thing)
    return None


def as_attribute(value: "Value", before: object) -> object:
    """The same read again: of the kind of what was there before. Raises Malformed."""
    try:
        if isinstance(before, bool) and value in (0, 1):
            return bool(value)
        if isinstance(before, bytes) and isinstance(value, str):
            return value.encode("latin-1")
    except UnicodeEncodeError:
        raise Malformed("a text is none of bytes") from None
    if isinstance(before, tuple):
        return tuple(listed(value))
    if type(before) is type(value):
        return value
    raise Malformed("a value is not of its kind")
