"""A value's words, as systemd parts them (systemd.syntax(7), "Quoting"): blanks, both quotation marks, escapes.

Each directive has its own of the few ways in which this is done, which are the parameters here.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

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
}
NUMBERS = {"x": (2, 16), "u": (4, 16), "U": (8, 16), **dict.fromkeys("01234567", (3, 8))}  # digits, base
DIGITS = {16: "0123456789abcdefABCDEF", 8: "01234567"}
END = -1  # where the next word is: nowhere


def words(text: str, *, quotes: bool = True, escapes: bool = False, keep: bool = False) -> "Iterator[str]":
    """All words. Raises ValueError in their middle, as what stands before counts.

    quotes: quotation marks keep words together. escapes: a backslash says a character. keep: it has no meaning; with
    neither, it stands before what is meant literally.
    """
    if "\\" not in text and "'" not in text and '"' not in text:
        yield from text.split()
        return
    at = 0
    while at != END:
        word, at = next_word(text, at, quotes=quotes, escapes=escapes, keep=keep)
        if word is not None:
            yield word


def next_word(
    text: str,
    at: int,
    separators: str = BLANKS,
    *,
    quotes: bool = True,
    escapes: bool = False,
    keep: bool = False,
    each: bool = False,
    lenient: bool = False,
) -> tuple[str | None, int]:
    """The word from here on, None if there is none, and where the next one begins. Raises ValueError.

    each: two separators have an empty word between them. lenient: a backslash that says nothing stays.
    """
    if at == END:
        return None, END
    if each:
        if at == len(text):
            return "", END
    else:
        while at < len(text) and text[at] in separators:
            at += 1
        if at == len(text):
            return None, END
    word, quote, is_raw = "", "", False
    while at < len(text):
        letter = text[at]
        at += 1
        if letter == "\\" and not keep:
            if at == len(text):
                if lenient and not quote:
                    return _whole(f"{word}\\", is_raw), END
                raise ValueError("\\ means nothing")
            said, behind, is_byte = escaped(text, at) if escapes else (text[at], at + 1, False)
            if not said and not lenient:
                raise ValueError(f"\\{text[at]} means nothing")
            word += said or f"\\{text[at]}"
            at = behind if said else at + 1
            is_raw = is_raw or is_byte
        elif quote:
            if letter == quote:
                quote = ""
            else:
                word += letter
        elif quotes and letter in ("'", '"'):
            quote = letter
        elif letter in separators:
            if not each:
                while at < len(text) and text[at] in separators:
                    at += 1
                at = at if at < len(text) else END
            return _whole(word, is_raw), at
        else:
            word += letter
    if quote:
        raise ValueError(f"the quotation mark {quote} has no end")
    return _whole(word, is_raw), END


def semicolon(text: str, at: int) -> tuple[str, int]:
    """A semicolon that stands alone here in a command line, with its backslash; "" if none. Where the next word is."""
    sign = ";" if text[at : at + 1] == ";" else "\\;" if text[at : at + 2] == "\\;" else ""
    behind = at + len(sign)
    if not sign or text[behind : behind + 1] not in ("", *BLANKS):
        return "", at
    while behind < len(text) and text[behind] in BLANKS:
        behind += 1
    return sign, behind if behind < len(text) else END


def escaped(text: str, at: int, nul: bool = False) -> tuple[str, int, bool]:
    """What the letters from here on mean, behind a backslash; "" if nothing; where it goes on; if that is one byte.

    nul: it may be the character 0.
    """
    letter = text[at : at + 1]
    if letter in SAID:
        return SAID[letter], at + 1, False
    if letter not in NUMBERS:
        return "", at, False
    length, base = NUMBERS[letter]
    begin = at if base == 8 else at + 1
    digits = text[begin : begin + length]
    if len(digits) < length or any(each not in DIGITS[base] for each in digits):
        return "", at, False
    code = int(digits, base)
    is_byte = length <= 3
    if (not code and not nul) or code > (0xFF if is_byte else 0x10FFFF) or 0xD800 <= code <= 0xDFFF:
        return "", at, False
    return chr(code if code < 0x80 or not is_byte else 0xDC00 + code), begin + length, is_byte and code >= 0x80


def _whole(word: str, is_raw: bool) -> str:
    """The word; bytes that were said one by one may make a letter together."""
    return word.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape") if is_raw else word
