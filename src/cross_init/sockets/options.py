r"""What may stand behind the address of --listen: ,OPTION or ,OPTION=VALUE, as systemd.socket(5) has it. Pure: no I/O.

    unix:/run/web/socket,mode=0660,user=web,group=www-data,folder-mode=0750,backlog=128,remove-on-stop

A comma that belongs to the address is written \, and a backslash before a comma or a backslash \\.
"""

from cross_init.bounds import number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

MODE, FOLDER_MODE, BACKLOG = 0o666, 0o755, 4096  # systemd.socket(5), SocketMode=, DirectoryMode=, Backlog=
BACKLOG_MAX = (1 << 31) - 1  # a C int; the kernel caps it at net.core.somaxconn (listen(2))
# What an option is for: a path in the file system, a socket that accepts connections, TCP, any.
PATH, ACCEPTS, TCP, ANY = "a path", "a socket that accepts connections", "tcp:", "any socket"


class Options:
    """What was asked for, or is so if nothing was. given: the options that were written.

    mode, folder_mode: as chmod(2) has them. user, group: names or numbers, "" for ours. backlog: see listen(2).
    """

    __slots__ = ("backlog", "folder_mode", "given", "group", "keep", "keep_alive", "mode", "remove_on_stop", "user")

    def __init__(self) -> None:
        self.mode = MODE
        self.user = ""
        self.group = ""
        self.folder_mode = FOLDER_MODE
        self.backlog = BACKLOG
        self.keep = False
        self.keep_alive = False
        self.remove_on_stop = False
        self.given: list[str] = []


def mode(text: str) -> int | None:
    """Rights as chmod(1) has them in octal, 0660."""
    octal = text.isascii() and text.isdigit() and 3 <= len(text) <= 4 and not set(text) & {"8", "9"}
    value = int(text, 8) if octal else 0o1000
    return value if value <= 0o777 else None


def backlog(text: str) -> int | None:
    """How many connections may wait to be accepted."""
    return number(text, 1, BACKLOG_MAX)


# Option: (what it is for, how its value is read, what to write there); a flag has no value.
OPTIONS: "dict[str, tuple[str, Callable[[str], object] | None, str]]" = {
    "mode": (PATH, mode, "an octal number, 000 to 0777, as 0660"),
    "user": (PATH, str, "the name of a user, or a number"),
    "group": (PATH, str, "the name of a group, or a number"),
    "folder-mode": (PATH, mode, "an octal number, 000 to 0777, as 0755"),
    "backlog": (ACCEPTS, backlog, f"a number, 1 to {BACKLOG_MAX}"),
    "keep": (ANY, None, ""),
    "keep-alive": (TCP, None, ""),
    "remove-on-stop": (PATH, None, ""),
}
FORMS = ", ".join(option if value is None else f"{option}=" for option, (_, value, _) in OPTIONS.items())


def split(text: str) -> tuple[str, list[str]]:
    """The address, and the options behind it."""
    parts, at = [""], 0
    while at < len(text):
        letter = text[at]
        if letter == "\\" and text[at + 1 : at + 2] in (",", "\\"):
            at += 1
            parts[-1] += text[at]
        elif letter == ",":
            parts.append("")
        else:
            parts[-1] += letter
        at += 1
    return parts[0], parts[1:]


def escape(address: str) -> str:
    """How this address is written, so that split() finds it whole."""
    written = ""
    for at, letter in enumerate(address):
        meant = letter == "," or (letter == "\\" and address[at + 1 : at + 2] in ("", ",", "\\"))
        written += f"\\{letter}" if meant else letter
    return written


def read(words: list[str], suits: "Callable[[str], bool]") -> tuple[Options, str]:
    """The options that these words are; and what is wrong with them, in words, "" if nothing.

    suits: whether the address is what an option is for.
    """
    options = Options()
    for word in words:
        name, equals, value = word.partition("=")
        if name not in OPTIONS:
            return options, f"{word or 'an empty word'} is no option; there are {FORMS}; a comma of the address is \\,"
        what_for, take, what = OPTIONS[name]
        if name in options.given:
            return options, f"{name} stands there twice"
        if not suits(what_for):
            return options, f"{name} is for {what_for}: leave it out"
        if take is None:
            if equals:
                return options, f"{name} takes no value"
            taken: object = True
        else:
            taken = take(value) if value else None
            if taken is None:
                return options, f"{word}: write {name}= and {what}"
        setattr(options, name.replace("-", "_"), taken)
        options.given.append(name)
    if options.keep and options.remove_on_stop:
        return options, "what is kept over a restart is not removed at the end of a start: leave out one of the two"
    return options, ""
