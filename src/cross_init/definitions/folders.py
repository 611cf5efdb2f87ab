"""Values about folders and mounts: WorkingDirectory=, RuntimeDirectory= and its like, ReadOnlyPaths=, BindPaths=."""

from cross_init.definitions.definition import Bind, Directory
from cross_init.definitions.reading import Reading, Refused
from cross_init.definitions.values import simplified
from cross_init.definitions.words import BLANKS, END, next_word, words

Texts = tuple[str, ...]
Pairs = tuple[tuple[str, str], ...]


def working_directory(text: str, _: object, reading: Reading) -> str:
    """A path, ~ for the home, and a dash before it if it may be missing."""
    said = text.removeprefix("-")
    may_lack = said != text
    if said not in ("", "~"):
        try:
            said = simplified(reading.expand(said))
        except ValueError as error:
            if may_lack:
                raise
            raise Refused(str(error)) from None
    if text:
        reading.put("context.working_directory_may_lack", may_lack)
    return said


def directories(text: str, old: tuple[Directory, ...], reading: Reading) -> tuple[Directory, ...]:
    """Relative paths, each perhaps with a colon and a link to it; an empty line resets them."""
    if not text:
        return ()
    found = {each.path: each for each in old}
    try:
        for word in words(text, keep=True):
            _directory(word, found, reading)
    except ValueError as error:
        reading.remark(f"{text}: {error}")
    return tuple(sorted(found.values(), key=lambda each: each.path.split("/")))


def _directory(word: str, found: dict[str, Directory], reading: Reading) -> None:
    """Add one, or say why not. Raises ValueError."""
    parts: list[str] = []
    at = 0
    while at != END:
        part, at = next_word(_without_escaped_colons(word), at, ":", quotes=False, escapes=True, each=True)
        parts.append((part or "").replace("\x1e", ":"))
    if not parts[0]:
        raise ValueError(f"{word}: it names no directory")
    try:
        path = simplified(reading.expand(parts[0]), is_relative=True)
        if path.split("/")[0] == "private":
            raise ValueError("private is systemd's own")
        target = simplified(reading.expand(parts[1]), is_relative=True) if parts[1:] and parts[1] else ""
        if target and reading.key == "ConfigurationDirectory":
            raise ValueError("a link is not possible here")
    except ValueError as error:
        reading.remark(f"{word}: {error}")
        return
    before = found.get(path)
    links = (*before.links, target) if before and target not in before.links else before.links if before else (target,)
    found[path] = Directory(path, tuple(filter(None, links)), "ro" in parts[2:3])


def _without_escaped_colons(word: str) -> str:
    """With a sign that stands for a colon that a backslash made one of the name's."""
    return word.replace("\\\\", "\\x5c").replace("\\:", "\x1e") if "\\" in word else word


def flagged_paths(text: str, old: Texts, reading: Reading) -> Texts:
    """Absolute paths, before each - if it may be missing, + if it is below the root directory."""
    if not text:
        return ()
    found = list(old)
    try:
        for word in words(text):
            flags = word[: len(word) - len(word.removeprefix("-").removeprefix("+"))]
            try:
                found.append(flags + simplified(reading.expand(word[len(flags) :])))
            except ValueError as error:
                reading.remark(f"{word}: {error}")
    except ValueError as error:
        reading.remark(f"{text}: {error}")
    return tuple(found)


def binds(text: str, old: tuple[Bind, ...], reading: Reading) -> tuple[Bind, ...]:
    """SOURCE:TARGET:OPTIONS, of which the source alone will do. Both directives share one list."""
    if not text:
        return ()
    found = list(old)
    at = 0
    try:
        while at != END:
            parts: list[str] = []
            while at != END and len(parts) < 3:
                part, behind = next_word(text, at, BLANKS if len(parts) == 2 else f":{BLANKS}", each=True)
                parts.append(part or "")
                ends_at_colon = behind != END and text[behind - 1] == ":"
                at = behind
                if not ends_at_colon:
                    break
            if parts == [""]:
                continue
            try:
                found.append(_bind(parts, reading))
            except ValueError as error:
                reading.remark(f"{':'.join(parts)}: {error}")
    except ValueError as error:
        reading.remark(f"{text}: {error}")
    return tuple(found)


def _bind(parts: list[str], reading: Reading) -> Bind:
    """Raises ValueError."""
    said = reading.expand(parts[0])
    source = simplified(said.removeprefix("-"))
    target = simplified(reading.expand(parts[1])) if len(parts) > 1 else source
    options = parts[2] if len(parts) > 2 else ""
    if options not in ("", "rbind", "norbind"):
        raise ValueError("an option is rbind or norbind")
    return Bind(source, target, said.startswith("-"), options != "norbind", "ReadOnly" in reading.key)


def file_systems(text: str, old: Pairs, reading: Reading) -> Pairs:
    """PATH:OPTIONS, of which the path alone will do; an empty line resets them."""
    if not text:
        return ()
    found = list(old)
    try:
        for word in words(text):
            path, _, options = word.partition(":")
            try:
                found.append((simplified(reading.expand(path)), options))
            except ValueError as error:
                reading.remark(f"{word}: {error}")
    except ValueError as error:
        reading.remark(f"{text}: {error}")
    return tuple(found)
