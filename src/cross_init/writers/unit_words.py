"""Words and lines as a systemd unit has them (systemd.syntax(7)), so that it is read back as it was."""

from cross_init.errors import Failure

SAID = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\a": "\\a", "\b": "\\b", "\f": "\\f", "\v": "\\v", "\\": "\\\\"}
BARE = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./+=:,@%$!|*?[]{}()<>&^`~")


def literal(text: str) -> str:
    """With no specifier in it (systemd.unit(5), "Specifiers")."""
    return text.replace("%", "%%")


def line(text: str) -> str:
    """A value that is taken as it is. Raises Failure if it cannot be."""
    is_whole = text == text.strip(" \t") and not (len(text) - len(text.rstrip("\\"))) % 2
    if not is_whole or any(ord(letter) < 32 or "\ud800" <= letter <= "\udfff" for letter in text):
        raise Failure(
            f"{text}: a unit cannot have this (a control character, a blank or backslash at its end, no UTF-8)"
        )
    return text


def word(text: str) -> str:
    """One word where a backslash says a character, as in Exec lines and Environment=."""
    escaped = "".join(_escaped(letter) for letter in text)
    if text and BARE.issuperset(text):
        return text
    quote = "'" if '"' in text and "'" not in text else '"'
    return f"{quote}{escaped.replace(quote, chr(92) + quote)}{quote}"


def _escaped(letter: str) -> str:
    if "\udc80" <= letter <= "\udcff":
        return f"\\x{ord(letter) - 0xDC00:02x}"
    return SAID.get(letter) or (f"\\x{ord(letter):02x}" if ord(letter) < 32 or ord(letter) == 127 else letter)


def plain_word(text: str, blanks: str = " \t") -> str:
    """One word where a backslash stands before what is meant literally, as in lists of paths. Raises Failure."""
    line(text.strip(" \\"))
    marks = ("\\", "'", '"', *blanks)
    return "".join(f"\\{letter}" if letter in marks else letter for letter in text) if text else '""'


def kept_word(text: str) -> str:
    """One word where a backslash has no meaning. Raises Failure if there is no way to say it."""
    line(text.strip(" "))
    if not any(letter in " \t'\"" for letter in text) and text:
        return text
    quote = "'" if '"' in text else '"'
    if quote in text:
        raise Failure(f"{text}: a unit cannot have blanks and both quotation marks in one word here")
    return f"{quote}{text}{quote}"
