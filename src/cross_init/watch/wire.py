"""The form in which one process of ours tells another what it knows: framed by lengths, typed, and all or nothing.

Texts come from daemons and command lines, and may hold anything. Nothing in them can end a field or begin one, since no
letter means anything here. Pure.

    a message   BEGINNING, and a frame with its fields one after the other
    a field     a frame with the name, the letter of a kind, a frame with the value
    a frame     its length in bytes, ":", that many bytes, ","
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

BEGINNING = b"cross-init 2 "  # a form that is read differently gets another number
DIGITS_MAX = 7  # of a length
INTEGER_MAX = (1 << 63) - 1
ZERO = ord("0")
TEXT, INTEGER, REAL = b"t", b"i", b"r"

Value = str | int | float


class Malformed(ValueError):
    """It is not what encode() writes."""


def encode(fields: "Mapping[str, Value]") -> bytes:
    """The message that says this. Raises Malformed for what it has no form for."""
    parts = []
    for name, value in fields.items():
        key = name.encode("utf-8", "surrogatepass")
        kind = KINDS.get(type(value))
        if kind is None:
            raise Malformed(f"there is no form for {type(value).__name__}")
        data = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else _written(value)
        parts.append(b"%d:%b,%b%d:%b," % (len(key), key, kind, len(data), data))
    body = b"".join(parts)
    if len(body) >= 10**DIGITS_MAX:
        raise Malformed("it is too long")
    return BEGINNING + b"%d:%b," % (len(body), body)


def decode(message: bytes) -> dict[str, Value]:
    """What a message says; the types of the values are exact: str, int, float. Raises Malformed.

    Nothing is read that could be written in another way: a name that comes twice, 007, 1e3, what comes behind the end.
    """
    if not message.startswith(BEGINNING):
        raise Malformed("it begins with something else")
    body, end = _taken(message, len(BEGINNING))
    if end != len(message):
        raise Malformed("there is something behind its end")
    fields: dict[str, Value] = {}
    at, end = 0, len(body)
    while at < end:
        key, at = _taken(body, at)
        kind = body[at : at + 1]
        value, at = _taken(body, at + 1)
        name = _as_text(key)
        if name in fields:
            raise Malformed("a name comes twice")
        fields[name] = _as_text(value) if kind == TEXT else _read(kind, value)
    return fields


def split(said: bytes) -> list[bytes]:
    """The messages that stand one behind the other in this. Raises Malformed."""
    found: list[bytes] = []
    while said:
        _, end = _taken(said, len(BEGINNING))
        found.append(said[:end])
        said = said[end:]
    return found


def _taken(data: bytes, at: int) -> tuple[bytes, int]:
    """What the frame that begins here holds, and where the next thing begins."""
    colon = data.find(b":", at, at + DIGITS_MAX + 1)
    length = data[at:colon] if colon >= 0 else b""
    if not length.isdigit() or (length[0] == ZERO and len(length) > 1):  # bytes: ASCII alone
        raise Malformed("a length is missing")
    end = colon + 1 + int(length)
    if data[end : end + 1] != b",":
        raise Malformed("a frame does not end where it says")
    return data[colon + 1 : end], end + 1


def _written(value: int | float) -> bytes:
    if isinstance(value, int) and abs(value) > INTEGER_MAX:
        raise Malformed("an integer is too large")
    if isinstance(value, float) and not abs(value) < float("inf"):
        raise Malformed("a number is none")
    return repr(value).encode()


def _read(kind: bytes, data: bytes) -> int | float:
    """A number, which has to stand there as we write it."""
    try:
        if kind == INTEGER and len(data) <= len(str(-INTEGER_MAX)):
            value: int | float = int(data)
        elif kind == REAL:
            value = float(data)
        else:
            raise ValueError
    except ValueError:
        raise Malformed("a value is not of its kind") from None
    if _written(value) != data:
        raise Malformed("it says the same in another way")
    return value


# Words that are no UTF-8 are held as lone surrogates, and have to come through as well.
def _as_text(data: bytes) -> str:
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        raise Malformed("a text is no UTF-8") from None


KINDS: dict[type, bytes] = {str: TEXT, int: INTEGER, float: REAL}
