"""A command in one word of the command line, split as systemd does it (systemd.service(5), "Command lines").

Blanks separate words, quotation marks of both kinds keep them together, a backslash stands before what is meant
literally or says a character. There is no shell. Variables are put in when the command is run.
"""

from cross_init.definitions.words import BLANKS, END, next_word, semicolon
from cross_init.errors import Failure

PREFIXES = "@:+!|"  # of systemd's, for what is not ours to give; the dash means that a failure is no matter


def parse(option: str, text: str) -> list[str]:
    """The words; the first is the program, perhaps with a dash before it. Raises Failure."""
    try:
        words = split(text)
    except ValueError as error:
        raise Failure(f"{option} {text}: {error}; words are written as in a systemd unit (ExecStop=)") from None
    if not words or words[0] in ("", "-"):
        raise Failure(f"{option}: it names no command")
    if words[0].removeprefix("-")[0] in PREFIXES:
        raise Failure(
            f"{option} {text}: of the signs that may stand before a command in a unit, only the dash is known"
        )
    return words


def split(text: str) -> list[str]:
    """Raises ValueError, with the reason."""
    words: list[str] = []
    rest = text.lstrip(BLANKS)
    at = 0
    while at != END:
        sign, behind = semicolon(rest, at)
        if sign == ";":
            raise ValueError('it is one command; for several, use /bin/sh -c "..."')
        word, at = (";", behind) if sign else next_word(rest, at, escapes=True)
        if word is not None:
            words.append(word)
    return words
