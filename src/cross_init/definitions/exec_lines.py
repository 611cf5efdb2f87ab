"""Command lines, as ExecStart= has them (systemd.service(5), "Command lines"): the signs before the program, words, and
several commands with a semicolon between them. Variables are put in when a command is run.
"""

from cross_init.definitions.definition import Command
from cross_init.definitions.reading import Reading, Refused
from cross_init.definitions.values import simplified
from cross_init.definitions.words import END, next_word, semicolon

Commands = tuple[Command, ...]


def commands(text: str, old: Commands, reading: Reading) -> Commands:
    """The commands of a line behind those of the lines before it; an empty line resets them."""
    if not text:
        return ()
    found = list(old)
    at = 0
    while at != END:
        try:
            first, at = _word(text, at, reading)
        except ValueError as error:
            reading.remark(f"{text}: {error}")
            break
        if first is None:
            break
        if first == ";":
            continue
        command, name = prefixed(first, reading)
        words: list[str] = []
        try:
            path = reading.expand(name)
            command.path = _program(path)
            at = _arguments(text, at, words, reading)
        except ValueError as error:
            if command.may_fail:
                reading.remark(f"{text}: {error}")
                break
            raise Refused(str(error)) from None
        # "@": what follows is argv[0]. A name of no letters is none.
        command.argv = tuple(words) if command.argv else (path, *words)
        if not command.argv or not command.argv[0]:
            if command.may_fail:
                break
            raise Refused("there is nothing behind the name of the program, which @ needs")
        found.append(command)
    return tuple(found)


def prefixed(word: str, reading: Reading) -> tuple[Command, str]:
    """A command with what the signs before the program say, and the program's name. Behind "@" argv is not empty."""
    command = Command("", (), reading.origin)
    at = 0
    for at, sign in enumerate(word):  # noqa: B007
        if sign == "-" and not command.may_fail:
            command.may_fail = True
        elif sign == "@" and not command.argv:
            command.argv = ("@",)
        elif sign == ":" and not command.literal:
            command.literal = True
        elif sign == "|" and not command.login_shell:
            command.login_shell = True
        elif (sign in "+!" and not command.privileges) or (sign == "!" and command.privileges == "!"):
            command.privileges += sign
        else:
            break
    else:
        at = len(word)
    return command, word[at:]


def _arguments(text: str, at: int, words: list[str], reading: Reading) -> int:
    """Add the words to these up to a semicolon that stands alone; returns where it goes on. Raises ValueError."""
    while at != END:
        sign, behind = semicolon(text, at)
        if sign == ";":
            return behind
        if sign:
            words.append(";")
            at = behind
            continue
        word, at = _word(text, at, reading)
        if word is None:
            break
        words.append(reading.expand(word))
    return END


def _word(text: str, at: int, reading: Reading) -> tuple[str | None, int]:
    """The next word; a backslash that says nothing stays, and is remarked upon. Raises ValueError."""
    try:
        return next_word(text, at, escapes=True)
    except ValueError as error:
        found = next_word(text, at, escapes=True, lenient=True)
        reading.remark(f"{text}: {error}; the backslash stays")
        return found


def _program(path: str) -> str:
    """Raises ValueError."""
    if not path:
        raise ValueError("it names no program")
    if any(ord(letter) < 32 or ord(letter) == 127 or letter in "\"'\\" for letter in path):
        raise ValueError(f"{path}: there are characters in the program's name that may not be there")
    if path.endswith("/"):
        raise ValueError(f"{path}: it is a directory")
    if path.startswith("/"):
        return simplified(path)
    if "/" in path or path in (".", "..") or len(path) > 255:
        raise ValueError(f"{path}: a program is an absolute path, or a name without a slash")
    return path
