"""Values about standard streams, the log and credentials: StandardOutput=, SyslogFacility=, SetCredential=, ..."""

from cross_init.definitions.reading import Reading
from cross_init.definitions.values import UNIT_LETTERS, number, simplified
from cross_init.definitions.words import END, escaped, next_word

Pairs = tuple[tuple[str, str], ...]
Data = tuple[tuple[str, bytes], ...]
INPUTS = ("null", "tty", "tty-force", "tty-fail", "data", "socket", "fd")
OUTPUTS = ("inherit", "null", "tty", "journal", "kmsg", "journal+console", "kmsg+console", "socket", "fd")
OBSOLETE = {"syslog": "journal", "syslog+console": "journal+console"}
LEVELS = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
FACILITIES = ["kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp"]
DATA_MOST = 1 << 26  # bytes


def standard_input(text: str, _: object, reading: Reading) -> str:
    """Where it is read from."""
    return _stream(text, INPUTS, ("file",), reading)


def standard_output(text: str, _: object, reading: Reading) -> str:
    """Where it is written to; also of errors."""
    return _stream(OBSOLETE.get(text, text), OUTPUTS, ("file", "append", "truncate"), reading)


def _stream(text: str, choices: tuple[str, ...], files: tuple[str, ...], reading: Reading) -> str:
    """Raises ValueError."""
    kind, colon, rest = text.partition(":")
    if colon and kind == "fd":
        name = reading.expand(rest)
        if not _is_descriptor_name(name):
            raise ValueError(f"{name}: it is no name of a descriptor")
        return f"fd:{name}" if name else "fd"
    if colon and kind in files:
        return f"{kind}:{simplified(reading.expand(rest))}"
    if text not in choices:
        raise ValueError(f"it may be {', '.join((*choices, *(f'{kind}:PATH' for kind in files)))}")
    return text


def _is_descriptor_name(name: str) -> bool:
    return len(name) <= 255 and all(32 <= ord(letter) < 127 and letter != ":" for letter in name)


def input_text(text: str, old: bytes, reading: Reading) -> bytes:
    """A line that it reads, with escapes; an empty one resets them."""
    if not text:
        return b""
    said = reading.expand(c_unescaped(text)).encode("utf-8", "surrogateescape")
    return _not_too_long(old + said + b"\n")


def input_data(text: str, old: bytes, reading: Reading) -> bytes:
    """What it reads, in Base64; an empty line resets it."""
    return _not_too_long(old + base64(text)) if text else b""


def _not_too_long(data: bytes) -> bytes:
    if len(data) > DATA_MOST:
        raise ValueError(f"it is longer than {DATA_MOST} bytes")
    return data


def base64(text: str) -> bytes:
    """Raises ValueError."""
    from binascii import Error, a2b_base64

    try:
        return a2b_base64("".join(text.split()), strict_mode=True)
    except Error:
        raise ValueError("it is no Base64") from None


def c_unescaped(text: str, nul: bool = False) -> str:
    """With escapes made what they mean. Raises ValueError."""
    parts: list[str] = []
    at = 0
    while at < len(text):
        if text[at] != "\\":
            parts.append(text[at])
            at += 1
            continue
        said, at, _ = escaped(text, at + 1, nul)
        if not said:
            raise ValueError(f"\\{text[at : at + 1]} means nothing")
        parts.append(said)
    return "".join(parts)


def facility(text: str, _: object, reading: Reading) -> str:
    """A facility of syslog(3)."""
    names = (*FACILITIES, *(f"local{number}" for number in range(8)))
    if text.isdigit() and int(text) < len(FACILITIES):
        return FACILITIES[int(text)]
    if text not in names:
        raise ValueError("it is no facility of syslog")
    return text


def level(text: str, _: object, reading: Reading) -> str:
    """A level of syslog(3)."""
    if text.isdigit():
        return LEVELS[number(text, 0, 7)]
    if text not in LEVELS:
        raise ValueError(f"it may be {', '.join(LEVELS)}")
    return text


def level_or_none(text: str, old: object, reading: Reading) -> str:
    """A level, or with nothing: as if it had not been said."""
    return level(text, old, reading) if text else ""


def namespace(text: str, _: object, reading: Reading) -> str:
    """The name of a log."""
    name = reading.expand(text)
    if any(letter not in f"{UNIT_LETTERS}@" for letter in name) or name in (".", "..") or len(name) > 200:
        raise ValueError(f"{name}: it is no name of a log")
    return name


def load_credential(text: str, old: Pairs, reading: Reading) -> Pairs:
    """NAME:PATH, or the name alone for one of ours; an empty line resets them."""
    if not text:
        return ()
    name, rest = _credential(text, reading)
    path = reading.expand(rest) or name
    if "/" in path and (not path.startswith("/") or simplified(path) != path):
        raise ValueError(f"{path}: it is no absolute path")
    return (*((each, said) for each, said in old if each != name), (name, path))


def set_credential(text: str, old: Data, reading: Reading) -> Data:
    """NAME:TEXT, with escapes; an empty line resets them."""
    if not text:
        return ()
    name, rest = _credential(text, reading)
    if not rest:
        raise ValueError("it is NAME:TEXT")
    data = c_unescaped(rest, nul=True).encode("utf-8", "surrogateescape")
    return (*((each, said) for each, said in old if each != name), (name, data))


def set_credential_encrypted(text: str, old: Data, reading: Reading) -> Data:
    """NAME:BASE64; an empty line resets them."""
    if not text:
        return ()
    name, rest = _credential(text, reading)
    return (*((each, said) for each, said in old if each != name), (name, base64(rest)))


def import_credential(text: str, old: Pairs, reading: Reading) -> Pairs:
    """A pattern, and perhaps behind a colon what its beginning becomes; an empty line resets them."""
    if not text:
        return ()
    pattern, _, name = reading.expand(text).partition(":")
    return (*old, (pattern, name))


def _credential(text: str, reading: Reading) -> tuple[str, str]:
    """Its name, and what stands behind the colon. Raises ValueError."""
    word, at = next_word(text, 0, ":", quotes=False, each=True)
    name = reading.expand(word or "")
    if not name or "/" in name or name in (".", "..") or len(name) > 255 or not _is_descriptor_name(name):
        raise ValueError(f"{name}: it is no name of a credential")
    return name, "" if at == END else text[at:]


def open_file(text: str, old: "Files", reading: Reading) -> "Files":
    """PATH:NAME:OPTIONS, of which the path alone will do; an empty line resets them."""
    if not text:
        return ()
    path, _, rest = text.partition(":")
    name, _, options = rest.partition(":")
    path = simplified(reading.expand(path))
    known = tuple(filter(None, options.split(",")))
    if not {*known} <= {"read-only", "append", "truncate", "graceful"}:
        raise ValueError("an option is read-only, append, truncate or graceful")
    return (*old, (path, name or path.rpartition("/")[2], known))


Files = tuple[tuple[str, str, tuple[str, ...]], ...]
