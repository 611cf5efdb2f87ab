"""A command in one word of the command line, split as systemd does it (systemd.service(5), "Command lines").

Blanks separate words, quotation marks of both kinds keep them together, a backslash stands before what is meant
literally or says a character. There is no shell. Variables are put in when the command is run.
"""

from cross_init.errors import Failure

BLANKS = " \t\n\r"
SAID = {
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    "s": " ",
    "\\": "\\",
    '"': '"',
    "'": "'",
    ";": ";",
    " ": " ",
}
NUMBERS = {"x": (2, 16), "u": (4, 16), "U": (8, 16), **dict.fromkeys("01234567", (3, 8))}  # digits, base
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
    word, quote, at = "", "", 0
    is_word = is_plain = False
    for_end = text + " "
    while at < len(for_end):
        letter = for_end[at]
        at += 1
        if letter == "\\":
            said, at = _escaped(text, at)
            word, is_word, is_plain = word + said, True, False
        elif quote and at < len(for_end):
            word += letter if letter != quote else ""
            quote = quote if letter != quote else ""
        elif letter in ("'", '"'):
            quote, is_word, is_plain = letter, True, False
        elif letter in BLANKS:
            if is_word and is_plain and word == ";":
                raise ValueError('it is one command; for several, use /bin/sh -c "..."')
            if is_word:
                words.append(word)
            word, is_word, is_plain = "", False, False
        else:
            is_plain = is_plain or not is_word
            word, is_word = word + letter, True
    if quote:
        raise ValueError(f"the quotation mark {quote} has no end")
    return words


def _escaped(text: str, at: int) -> tuple[str, int]:
    """What the letters from here on mean, behind a backslash; and where it goes on. Raises ValueError."""
    letter = text[at : at + 1]
    if letter in SAID:
        return SAID[letter], at + 1
    if letter in NUMBERS:
        length, base = NUMBERS[letter]
        begin = at if base == 8 else at + 1
        digits = text[begin : begin + length]
        try:
            code = int(digits, base) if len(digits) == length and digits.isalnum() else 0
            if code:
                return chr(code), begin + length
        except (ValueError, OverflowError):
            pass
    raise ValueError(f"\\{letter} means nothing")
