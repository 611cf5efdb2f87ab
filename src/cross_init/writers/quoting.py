"""One word as each init's format has it, so that nothing in it is read as anything else.

No format here can have a NUL, nor can the word of a process. What a format has no way to say raises Failure.
"""

from cross_init.errors import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./+:,@%")


def shell(text: str) -> str:
    """An argument of a command of sh(1) ("Single Quotes"), where no reserved word is. Raises Failure."""
    found = _without_nul(text)
    if found and BARE.issuperset(found.replace("=", "") if found.startswith("-") else found):
        return found
    return "'" + text.replace("'", "'\\''") + "'"


def execline(text: str) -> str:
    """A word as execlineb(1) reads it ("Quoting"). Raises Failure."""
    if text and BARE.issuperset(_without_nul(text).replace("=", "")):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def comments(remarks: "Iterable[str]", width: int = 0) -> str:
    """Lines that begin with #, one for each, or as many as it takes in this width; none goes on in the next."""
    lines = [f"# {_one_line(each)}" for each in remarks]
    if width:
        from textwrap import TextWrapper

        fold = TextWrapper(width, subsequent_indent="#   ", break_long_words=False, break_on_hyphens=False)
        lines = [part for line in lines for part in fold.wrap(line)]
    return "".join(f"{line.rstrip(chr(92))}\n" for line in lines)


def _one_line(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text).rstrip("\\")


def supervisord(text: str) -> str:
    """A word of command= (supervisord.conf(5)): of shlex, after % and with no "; comment" in it. Raises Failure."""
    if "\n" in text or "\r" in text:
        raise Failure(f"{text!r}: supervisord.conf cannot have a line's end in a word")
    quoted = "'" + _without_nul(text).replace("'", "'\"'\"'").replace("%", "%%") + "'"
    return "".join(
        f"''{letter}" if letter in ";#" and before.isspace() else letter
        for before, letter in zip(" " + quoted[:-1], quoted, strict=True)
    )


def xml(text: str) -> str:
    """The text of an element (XML 1.0, 2.2 and 2.11). Raises Failure on a character that XML does not have."""
    for letter in text:
        if (letter < " " and letter not in "\t\n\r") or "\ud800" <= letter <= "\udfff" or letter in "\ufffe\uffff":
            raise Failure(f"{text!r}: XML cannot have the character {letter!r}")
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#13;")


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise Failure(f"{text!r}: no word of a process can have a NUL")
    return text
