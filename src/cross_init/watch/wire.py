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
TEXT, INTEGER, REAL = b"t", b"i", b"r"

Value = str | int | float


class Malformed(ValueError):
    """It is not what encode() writes."""


def encode(fields: "Mapping[str, Value]") -> bytes:
    """The message that says this. Raises Malformed for what it has no form for."""
    body = b"".join(_frame(_text(name)) + _kind(value) + _frame(_written(value)) for name, value in fields.items())
    return BEGINNING + _frame(body)


def decode(message: bytes) -> dict[str, Value]:
    """What a message says; the types of the values are exact: str, int, float. Raises Malformed."""
    if not message.startswith(BEGINNING):
        raise Malformed("it begins with something else")
    body, end = _taken(message, len(BEGINNING))
    fields: dict[str, Value] = {}
    at = 0
    while at < len(body):
        name, at = _taken(body, at)
        kind = body[at : at + 1]
        value, at = _taken(body, at + 1)
        fields[_as_text(name)] = _read(kind, value)
    # This finds whatever could be written in two ways: a name that comes twice, 007, 1e3, what comes behind the end.
    if end != len(message) or encode(fields) != message:
        raise Malformed("it says the same in another way")
    return fields


def split(said: bytes) -> list[bytes]:
    """The messages that stand one behind the other in this. Raises Malformed."""
    found: list[bytes] = []
    while said:
        _, end = _taken(said, len(BEGINNING))
        found.append(said[:end])
        said = said[end:]
    return found


def _frame(data: bytes) -> bytes:
    if len(data) >= 10**DIGITS_MAX:
        raise Malformed("it is too long")
    return b"%d:%b," % (len(data), data)


def _taken(data: bytes, at: int) -> tuple[bytes, int]:
    """What the frame that begins here holds, and where the next thing begins."""
    colon = data.find(b":", at, at + DIGITS_MAX + 1)
    length = data[at : max(colon, at)]
    if not length.isdigit():  # bytes: ASCII alone
        raise Malformed("a length is missing")
    end = colon + 1 + int(length)
    if data[end : end + 1] != b",":
        raise Malformed("a frame does not end where it says")
    return data[colon + 1 : end], end + 1


def _kind(value: Value) -> bytes:
    kind = KINDS.get(type(value))
    if kind is None:
        raise Malformed(f"there is no form for {type(value).__name__}")
    return kind


def _written(value: Value) -> bytes:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int) and abs(value) > INTEGER_MAX:
        raise Malformed("an integer is too large")
    if isinstance(value, float) and not abs(value) < float("inf"):
        raise Malformed("a number is none")
    return repr(value).encode()


def _read(kind: bytes, data: bytes) -> Value:
    if kind == TEXT:
        return _as_text(data)
    try:
        if kind == INTEGER and len(data) <= len(str(-INTEGER_MAX)):
            return int(data)
        if kind == REAL:
            return float(data)
    except ValueError:
        pass
    raise Malformed("a value is not of its kind")


# Words that are no UTF-8 are held as lone surrogates, and have to come through as well.
def _text(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _as_text(data: bytes) -> str:
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        raise Malformed("a text is no UTF-8") from None


KINDS: dict[type, bytes] = {str: TEXT, int: INTEGER, float: REAL}
