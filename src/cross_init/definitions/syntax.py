"""The lines of a unit's file, as systemd.syntax(7) has them: sections, assignments, comments, continuation. No file is
opened here, and what a key means is not known.
"""

COMMENTS = "#;"
BLANKS = " \t\n\r"
BOM = "\ufeff"


class Malformed(Exception):
    """This is no unit's file at all: systemd would not load it. line: where, from 1."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line


Line = tuple[int, str, str, str]  # the number of its first line, the section, the key, the value
Remark = tuple[int, str]


def read(data: bytes, sections: tuple[str, ...]) -> tuple[list[Line], list[Remark]]:
    """The assignments below these sections, and what systemd would warn of. Raises Malformed.

    What is no UTF-8 comes as surrogates (PEP 383).
    """
    found: list[Line] = []
    remarks: list[Remark] = []
    section = ""
    is_ignored = False
    for number, line in _joined(_lines(data.decode("utf-8", "surrogateescape"))):
        text = line.strip(BLANKS)
        if not text:
            continue
        if not _is_utf8(text):
            raise Malformed(number, "it is no UTF-8")
        if text[0] == "[":
            if text[-1] != "]":
                raise Malformed(number, f"{text}: a section's name ends with ]")
            section = text[1:-1]
            is_ignored = section not in sections
            if is_ignored and not section.startswith("X-"):
                remarks.append((number, f"[{section}] is no section of such a unit"))
            continue
        if is_ignored:
            continue
        key, equals, value = text.partition("=")
        if not section:
            remarks.append((number, f"{text}: it stands before any section"))
        elif not equals:
            remarks.append((number, f"{text}: an equals sign is missing"))
        elif not key:
            remarks.append((number, f"{text}: a key is missing before the equals sign"))
        else:
            found.append((number, section, key.rstrip(BLANKS), value.lstrip(BLANKS)))
    return found, remarks


def _lines(text: str) -> list[str]:
    """The lines as systemd parts them: a line feed, a carriage return or a NUL, and of two different ones both."""
    if "\r" not in text and "\0" not in text:
        return text.split("\n")
    lines, line, ends = [], "", ""
    for letter in text:
        if letter in "\n\r\0":
            if ends and letter not in ends:
                ends += letter
                continue
            lines.append(line)
            line, ends = "", letter
        else:
            line, ends = line + letter, ""
    return [*lines, line]


def _joined(lines: list[str]) -> "list[tuple[int, str]]":
    """The lines without comments, each with those that continue it; and the number of its first."""
    found: list[tuple[int, str]] = []
    begun, first = "", 0
    has_bom = False
    for number, line in enumerate(lines, 1):
        stripped = line.lstrip(BLANKS)
        if stripped and stripped[0] in COMMENTS:
            continue
        if not has_bom and line.startswith(BOM):
            line, has_bom = line[1:], True
        first = first if begun else number
        text = begun + line
        begun = ""
        if (len(text) - len(text.rstrip("\\"))) % 2:
            begun = f"{text[:-1]} "
        else:
            found.append((first, text))
    if begun:
        found.append((first, begun))
    return found


def _is_utf8(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)
