"""The common kinds of values: truth values, texts, paths, numbers, times, lists. Rarer ones have files of their own.

Each is a function of the text as it was written, what the field has so far, and the reading; what the table of
directives has behind a kind's name comes behind that. Each returns what the field is to be, and raises ValueError or
Refused.
"""

from cross_init.definitions.definition import INFINITY
from cross_init.definitions.reading import Reading, Refused
from cross_init.definitions.words import BLANKS, words

Texts = tuple[str, ...]
YES = ("1", "yes", "y", "true", "t", "on")
NO = ("0", "no", "n", "false", "f", "off")
INT_MAX, UINT_MAX = (1 << 31) - 1, (1 << 32) - 1
PATH_MAX = 4096
UNITS = {  # systemd.time(7), in microseconds; of two that begin alike the longer one first
    **dict.fromkeys(("seconds", "second", "sec", "s"), 1_000_000),
    **dict.fromkeys(("minutes", "minute", "min"), 60_000_000),
    **dict.fromkeys(("months", "month", "M"), 2_629_800_000_000),
    **dict.fromkeys(("msec", "ms"), 1000),
    "m": 60_000_000,
    **dict.fromkeys(("hours", "hour", "hr", "h"), 3_600_000_000),
    **dict.fromkeys(("days", "day", "d"), 86_400_000_000),
    **dict.fromkeys(("weeks", "week", "w"), 604_800_000_000),
    **dict.fromkeys(("years", "year", "y"), 31_557_600_000_000),
    **dict.fromkeys(("usec", "us", "μs", "µs"), 1),
}
SIZES = "EPTGMKB"  # of which each is 1024 of the next one, but for the last


def truth(text: str) -> bool | None:
    """Whether it is a yes or a no; None if it is neither."""
    folded = text.lower()
    return True if folded in YES else False if folded in NO else None


def boolean(text: str, _: object, reading: Reading) -> bool:
    """Yes or no."""
    said = truth(text)
    if said is None:
        raise ValueError("it is neither yes nor no")
    return said


def boolean_or_none(text: str, old: object, reading: Reading) -> bool:
    """One without which systemd does not load the unit."""
    try:
        return boolean(text, old, reading)
    except ValueError as error:
        raise Refused(str(error)) from None


def tristate(text: str, old: object, reading: Reading) -> bool | None:
    """Yes, no, or with nothing: as if it had not been said."""
    return boolean(text, old, reading) if text else None


def choice(text: str, _: object, reading: Reading, *choices: str) -> str:
    """One of these words."""
    if text not in choices:
        raise ValueError(f"it may be {', '.join(choices)}")
    return text


def choice_or_truth(text: str, _: object, reading: Reading, *choices: str) -> str:
    """One of these words, of which yes and no may be said otherwise."""
    said = truth(text)
    if said is not None:
        return "yes" if said else "no"
    return choice(text, _, reading, *choices)


def string(text: str, _: object, reading: Reading) -> str:
    """A text, with its specifiers."""
    return reading.expand(text)


def plain(text: str, _: object, reading: Reading) -> str:
    """A text as it is."""
    return text


def path(text: str, _: object, reading: Reading) -> str:
    """An absolute path, or nothing."""
    return simplified(reading.expand(text)) if text else ""


def path_or_none(text: str, old: object, reading: Reading) -> str:
    """One without which systemd does not load the unit."""
    try:
        return path(text, old, reading)
    except ValueError as error:
        raise Refused(str(error)) from None


def pid_file(text: str, _: object, reading: Reading) -> str:
    """A path, below /run if it is relative."""
    if not text:
        return ""
    said = reading.expand(text)
    try:
        return without_var(simplified(said if said.startswith("/") else f"{reading.expand('%t')}/{said}"))
    except ValueError as error:
        raise Refused(str(error)) from None


def without_var(said: str) -> str:
    """Below /run what was said to be below /var/run, as systemd has it."""
    return said.removeprefix("/var") if said.startswith("/var/run/") else said


def simplified(said: str, is_relative: bool = False) -> str:
    """The path without doubled slashes and dots. Raises ValueError."""
    if said.startswith("/") == is_relative:
        raise ValueError("the path is absolute" if is_relative else "the path is not absolute")
    parts = [part for part in said.split("/") if part not in ("", ".")]
    whole = ("" if is_relative else "/") + "/".join(parts)
    if ".." in parts or len(whole) >= PATH_MAX or any(len(part) > 255 for part in parts) or not whole:
        raise ValueError("the path goes through .., or is too long" if whole else "the path is empty")
    return whole


def unsigned(text: str, _: object, reading: Reading, most: int = UINT_MAX) -> int:
    """A number from 0."""
    return number(text, 0, most)


def integer(text: str, _: object, reading: Reading, least: int = -INT_MAX - 1, most: int = INT_MAX) -> int:
    """A number."""
    return number(text, least, most)


def integer_or_none(
    text: str, _: object, reading: Reading, least: int = -INT_MAX - 1, most: int = INT_MAX
) -> int | None:
    """A number, or with nothing: as if it had not been said."""
    return number(text, least, most) if text else None


def number(text: str, least: int, most: int) -> int:
    """As C has it: 0x, 0o, 0b or 0 before it say its base. Raises ValueError."""
    digits = text.lstrip(BLANKS)
    sign = -1 if digits[:1] == "-" else 1
    digits = digits[1:] if digits[:1] in ("-", "+") else digits
    bases = {"0x": 16, "0X": 16, "0b": 2, "0o": 8}
    base = bases.get(digits[:2], 8 if digits[:1] == "0" and len(digits) > 1 else 10)
    digits = digits[2:] if digits[:2] in bases else digits
    if not (digits.isascii() and digits.isalnum() and len(digits) <= 64):
        raise ValueError("it is no number")
    try:
        value = sign * int(digits, base)
    except ValueError:
        raise ValueError("it is no number") from None
    if not least <= value <= most:
        raise ValueError(f"it is not from {least} to {most}")
    return value


def mode(text: str, _: object, reading: Reading) -> int:
    """A file's mode, in octal."""
    if not (text.isascii() and text.isdigit() and len(text) < 64):
        raise ValueError("it is no mode, as 0755")
    value = int(text, 8)
    if value > 0o7777:
        raise ValueError("it is no mode, as 0755")
    return value


def seconds(text: str, _: object, reading: Reading) -> int:
    """A time."""
    return usec(text)


def seconds_or_infinity(text: str, _: object, reading: Reading) -> int:
    """A time, of which nothing is no bound."""
    return usec(text) if text else INFINITY


def seconds_not_zero(text: str, _: object, reading: Reading) -> int:
    """A time, of which 0 is no bound."""
    return usec(text) or INFINITY


def seconds_or_none(text: str, _: object, reading: Reading) -> int | None:
    """A time, or with nothing: as if it had not been said."""
    return usec(text) if text else None


def start_and_stop(text: str, _: object, reading: Reading) -> None:
    """TimeoutSec=, which says two."""
    value = usec(text) or INFINITY
    reading.put("ending.timeout_start", value)
    reading.put("ending.timeout_stop", value)


def usec(text: str, unit: int = 1_000_000) -> int:
    """A time span (systemd.time(7)) in microseconds. unit: of a number without one. Raises ValueError."""
    rest = text.strip(BLANKS)
    if rest == "infinity":
        return INFINITY
    total = 0
    if not rest:
        raise ValueError("it is no time, as 5s or 1min 30s")
    while rest:
        whole = _digits(rest)
        rest = rest[len(whole) :]
        is_decimal = rest.startswith(".")
        decimals = _digits(rest[1:]) if is_decimal else ""
        rest = rest[1 + len(decimals) :] if is_decimal else rest
        if not (whole or is_decimal) or (is_decimal and not decimals) or len(whole) > 19:
            raise ValueError("it is no time, as 5s or 1min 30s")
        behind = rest.lstrip(BLANKS)
        name = next((name for name in UNITS if behind.startswith(name)), "")
        if not name and rest and rest == behind:
            raise ValueError("it is no time, as 5s or 1min 30s")
        rest = behind[len(name) :].lstrip(BLANKS)
        part = factor = UNITS.get(name, unit)
        total += int(whole or 0) * factor
        for digit in decimals:
            part //= 10
            total += int(digit) * part
        if total >= INFINITY:
            raise ValueError("it is too long a time")
    return total


def _digits(text: str) -> str:
    """Those with which it begins."""
    at = 0
    while at < len(text) and text[at] in "0123456789":
        at += 1
    return text[:at]


def size(text: str, _: object, reading: Reading) -> int:
    """A size in bytes."""
    return bytes_of(text)


def bytes_of(text: str) -> int:
    """A size as 1G 500M, of 1024 each. Raises ValueError."""
    rest, total, at = text, 0, 0
    while True:
        rest = rest.lstrip(BLANKS)
        whole = _digits(rest)
        rest = rest[len(whole) :]
        decimals = ""
        if rest.startswith("."):
            decimals = _digits(rest[1:])
            rest = rest[1 + len(decimals) :]
        rest = rest.lstrip(BLANKS)
        letter = rest[:1] if rest[:1] and rest[:1] in SIZES[at:] else ""
        if not whole or (not letter and rest) or at > len(SIZES):
            raise ValueError("it is no size, as 512M")
        factor = 1 << (10 * (len(SIZES) - 1 - SIZES.index(letter)) if letter else 0)
        total += int(whole) * factor + (int(int(decimals) / 10 ** len(decimals) * factor) if decimals else 0)
        if total > INFINITY:
            raise ValueError("it is too large")
        if not letter or not rest[1:]:
            return total
        at = SIZES.index(letter) + 1
        rest = rest[1:]


def names(text: str, old: Texts, reading: Reading) -> Texts:
    """Names of units, of which each line adds some. Of a template the instance is this unit's, or its name."""
    found = list(old)
    for word in words(text, quotes=False, keep=True):
        try:
            name = reading.expand(word, of_name=True)
            if not is_unit_name(name):
                raise ValueError("it is no name of a unit")
            if "@." in name:
                prefix = reading.name.rpartition(".")[0]
                name = name.replace("@.", f"@{reading.instance or prefix}.")
        except ValueError as error:
            reading.remark(f"{word}: {error}")
            continue
        if name not in found and not (name == reading.name and "@" in name):
            found.append(name)
    return tuple(found)


UNIT_LETTERS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ:-_.\\"
UNIT_KINDS = ["service", "socket", "device", "mount", "automount", "swap", "target", "path", "timer", "slice", "scope"]


def is_unit_name(name: str) -> bool:
    """Whether a unit can be called that (systemd.unit(5), "Description")."""
    prefix, _, kind = name.rpartition(".")
    letters = prefix.replace("@", "")
    is_known = kind in UNIT_KINDS and len(name) <= 255 and prefix[:1] not in ("", "@")
    return is_known and all(letter in UNIT_LETTERS for letter in letters)


def install_names(text: str, old: Texts, reading: Reading) -> Texts:
    """Names in [Install], which systemctl(1) reads."""
    return (*old, *words(text, keep=True)) if text else ()


def strings(text: str, old: Texts, reading: Reading) -> Texts:
    """Words with their specifiers; an empty line resets them."""
    return (*old, *words(reading.expand(text), keep=True)) if text else ()


def urls(text: str, old: Texts, reading: Reading) -> Texts:
    """Where there is documentation."""
    found = strings(text, old, reading)
    known = ("http://", "https://", "file:/", "info:", "man:")
    for each in found:
        if not each.startswith(known) or each in known:
            reading.remark(f"{each}: it is no URL of documentation")
    return tuple(each for each in found if each.startswith(known) and each not in known)


def paths(text: str, old: Texts, reading: Reading) -> Texts:
    """Absolute paths; an empty line resets them, and a bad one ends the line."""
    found = list(old) if text else []
    for word in words(text):
        found.append(simplified(reading.expand(word)))
    return tuple(found)


def mounts(text: str, old: Texts, reading: Reading) -> Texts:
    """Paths whose mounts are needed; nothing resets them."""
    found = list(old)
    for word in words(text):
        try:
            found.append(simplified(reading.expand(word)))
        except ValueError as error:
            reading.remark(f"{word}: {error}")
    return tuple(found)


def search_path(text: str, old: Texts, reading: Reading) -> Texts:
    """Folders with colons between them."""
    return (*old, *(simplified(reading.expand(each)) for each in text.split(":"))) if text else ()


def account(text: str, _: object, reading: Reading) -> str:
    """A user or a group, by name or number."""
    return valid_account(text, reading) if text else ""


def accounts(text: str, old: Texts, reading: Reading) -> Texts:
    """Several of these."""
    return (*old, *(valid_account(word, reading) for word in words(text, quotes=False))) if text else ()


def valid_account(text: str, reading: Reading) -> str:
    """Raises Refused."""
    try:
        name = reading.expand(text)
    except ValueError as error:
        raise Refused(str(error)) from None
    is_number = name.isascii() and name.isdigit() and (name == "0" or name[0] != "0")
    if is_number and int(name) < UINT_MAX and int(name) != 0xFFFF:
        return name
    digits = name.removeprefix("-")
    if (
        name in ("", ".", "..")
        or name != name.strip(" ")
        or any(letter in ":/" or ord(letter) < 32 or ord(letter) == 127 for letter in name)
        or all(letter in "0123456789" for letter in digits)
    ):
        raise Refused(f"{name}: it is no name of a user or group")
    return name


def raw(text: str, old: Texts, reading: Reading) -> Texts:
    """What we only keep, as the init is told of it; an empty line resets it."""
    return (*old, text) if text else ()


def kill_mode(text: str, _: object, reading: Reading) -> str:
    """Whom a stop is told."""
    return choice(text, _, reading, "control-group", "mixed", "process", "none") if text else "control-group"


def private_tmp(text: str, _: object, reading: Reading) -> str:
    """Whether it has a /tmp of its own; connected is yes."""
    return "yes" if text == "connected" else choice_or_truth(text, _, reading, "disconnected")


def hostname(text: str, _: object, reading: Reading) -> str:
    """Whether the name of the machine may be changed; private and perhaps a name."""
    word, colon, name = text.partition(":")
    said = choice_or_truth(word, _, reading, "private")
    if colon and said == "no":
        raise ValueError("a name is for yes and private")
    return f"{said}:{reading.expand(name)}" if colon and name else said
