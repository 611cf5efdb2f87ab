"""JSON (RFC 8259), for programs. In ASCII, so nothing in it moves a terminal's cursor.

Debian's python3-minimal has no module json.
"""

ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
INDENT = "  "


def as_json(value: object, indent: str = "") -> str:
    """A text, a number, a truth value, None, or a list of such, or a dictionary by texts. indent: of its line."""
    inner = f"\n{indent}{INDENT}"
    if isinstance(value, str):
        return text(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, dict):
        entries, ends = [f"{text(key)}: {as_json(each, indent + INDENT)}" for key, each in value.items()], "{}"
    else:
        assert isinstance(value, list | tuple)
        entries, ends = [as_json(each, indent + INDENT) for each in value], "[]"
    body = f"{inner}{f',{inner}'.join(entries)}\n{indent}" if entries else ""
    return f"{ends[0]}{body}{ends[1]}"


def text(value: str) -> str:
    """A text in quotation marks; a letter beyond the first 65,536 becomes two halves, as UTF-16 has it."""
    shown = []
    for letter in value:
        number = ord(letter)
        if letter in ESCAPES:
            shown.append(ESCAPES[letter])
        elif 32 <= number < 127:
            shown.append(letter)
        elif number < 0x10000:
            shown.append(f"\\u{number:04x}")
        else:
            shown.append(f"\\u{0xD7C0 + (number >> 10):04x}\\u{0xDC00 + (number & 0x3FF):04x}")
    return f'"{"".join(shown)}"'
