r"""What may stand behind the address of --listen: ,OPTION or ,OPTION=VALUE, as systemd.socket(5) has it. Pure: no I/O.

    unix:/run/web/socket,mode=0660,user=web,group=www-data,folder-mode=0750,backlog=128,remove-on-stop

A comma that belongs to the address is written \, and a backslash before a comma or a backslash \\.
"""

from cross_init.bounds import number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

MODE, FOLDER_MODE, BACKLOG = 0o666, 0o755, 4096  # systemd.socket(5), SocketMode=, DirectoryMode=, Backlog=
INT_MAX = (1 << 31) - 1  # a C int; the kernel caps a backlog at net.core.somaxconn (listen(2))
LONG_MAX = (1 << 63) - 1
# What an option is for: a path in the file system that we make, or a queue, a socket that accepts connections, ...
PATH, NODE, ACCEPTS = "a path", "a path or a queue", "a socket that accepts connections"
TCP, UDP, IP, UNIX = "tcp:", "udp:", "tcp: or udp:", "unix:, unix-dgram: or unix-seqpacket:"
MESSAGES, LOCAL = "udp: or netlink:", "a UNIX socket or netlink:"
IPV6 = "an IPv6 address but [::]"  # which is IPv6 alone anyway
FIFO, QUEUE, SPECIAL, SOCKET, ANY = "fifo:", "mqueue:", "special:", "a socket", "any socket"


class Options:
    """What was asked for, or is so if nothing was. given: the options that were written.

    mode, folder_mode: as chmod(2) has them. user, group: names or numbers, "" for ours. backlog: see listen(2).
    symlinks: paths that are to lead there. max_messages, message_size: of a queue, 0: the kernel's. settings: what the
    kernel is told of the socket, see settings.py.
    """

    __slots__ = (
        *("backlog", "folder_mode", "given", "group", "keep", "max_messages", "message_size", "mode", "protocol"),
        *("remove_on_stop", "settings", "symlinks", "user", "writable"),
    )

    def __init__(self) -> None:
        self.mode = MODE
        self.user = ""
        self.group = ""
        self.folder_mode = FOLDER_MODE
        self.backlog = BACKLOG
        self.keep = False
        self.remove_on_stop = False
        self.protocol = ""
        self.writable = False
        self.max_messages = 0
        self.message_size = 0
        self.symlinks: list[str] = []
        self.settings: dict[str, int | str] = {}
        self.given: list[str] = []


def mode(text: str) -> int | None:
    """Rights as chmod(1) has them in octal, 0660."""
    octal = text.isascii() and text.isdigit() and 3 <= len(text) <= 4 and not set(text) & {"8", "9"}
    value = int(text, 8) if octal else 0o1000
    return value if value <= 0o777 else None


def count(text: str) -> int | None:
    """One at least, as many as an int of C's can say."""
    return number(text, 1, INT_MAX)


def whole(text: str) -> int | None:
    """The same, and none."""
    return number(text, 0, INT_MAX)


def long(text: str) -> int | None:
    """One at least, as many as a long of C's can say."""
    return number(text, 1, LONG_MAX)


def octet(text: str) -> int | None:
    """What fits in one."""
    return number(text, 0, 255)


def path(text: str) -> str | None:
    """An absolute path."""
    return text if text.startswith("/") and not text.endswith("/") else None


def device(text: str) -> str | None:
    """A network interface's name (IFNAMSIZ)."""
    return text if 0 < len(text.encode("utf-8", "surrogateescape")) < 16 and "/" not in text else None


def protocol(text: str) -> str | None:
    """Another one than the kind of socket has by itself."""
    return text if text in PROTOCOLS else None


def exactness(text: str) -> str | None:
    """Of the times at which packets came."""
    return text if text in ("us", "ns") else None


PROTOCOLS = {"mptcp": (TCP, 262), "sctp": (TCP, 132), "udplite": (UDP, 136)}  # what they are for; IPPROTO_..., in.h
COUNT, WHOLE = f"a number, 1 to {INT_MAX}", f"a number, 0 to {INT_MAX}"
# Option: (what it is for, how its value is read, what to write there); a flag has no value.
OPTIONS: "dict[str, tuple[str, Callable[[str], object] | None, str]]" = {
    "mode": (NODE, mode, "an octal number, 000 to 0777, as 0660"),
    "user": (NODE, str, "the name of a user, or a number"),
    "group": (NODE, str, "the name of a group, or a number"),
    "folder-mode": (PATH, mode, "an octal number, 000 to 0777, as 0755"),
    "symlink": (PATH, path, "an absolute path"),
    "backlog": (ACCEPTS, count, COUNT),
    "keep": (ANY, None, ""),
    "remove-on-stop": (NODE, None, ""),
    "protocol": (IP, protocol, "mptcp or sctp with tcp:, udplite with udp:"),
    "max-messages": (QUEUE, long, f"a number, 1 to {LONG_MAX}"),
    "message-size": (QUEUE, long, f"a number, 1 to {LONG_MAX}"),
    "writable": (SPECIAL, None, ""),
}
SETTINGS: "dict[str, tuple[str, Callable[[str], object] | None, str]]" = {
    "device": (IP, device, "a network interface, as eth0"),
    "reuse-port": (IP, None, ""),
    "reuse-address": (UDP, None, ""),
    "free-bind": (IP, None, ""),
    "transparent": (IP, None, ""),
    "ipv6-only": (IPV6, None, ""),
    "keep-alive": (TCP, None, ""),
    "keep-alive-time": (TCP, count, COUNT),
    "keep-alive-interval": (TCP, count, COUNT),
    "keep-alive-probes": (TCP, count, COUNT),
    "defer-accept": (TCP, count, COUNT),
    "no-delay": (TCP, None, ""),
    "congestion": (TCP, str, "the name of an algorithm, as cubic"),
    "broadcast": (UDP, None, ""),
    "pass-credentials": (LOCAL, None, ""),
    "pass-pidfd": (UNIX, None, ""),
    "pass-security": (LOCAL, None, ""),
    "pass-packet-info": (MESSAGES, None, ""),
    "refuse-descriptors": (UNIX, None, ""),
    "timestamping": (SOCKET, exactness, "us or ns"),
    "priority": (SOCKET, whole, WHOLE),
    "receive-buffer": (SOCKET, count, COUNT),
    "send-buffer": (SOCKET, count, COUNT),
    "mark": (SOCKET, whole, WHOLE),
    "tos": (IP, octet, "a number, 0 to 255"),
    "ttl": (IP, octet, "a number, 0 to 255"),
    "pipe-size": (FIFO, count, COUNT),
}
OPTIONS |= SETTINGS
MANY = ("symlink",)  # what may stand there several times
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
        if name in options.given and name not in MANY:
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
        _set(options, name, taken)
        options.given.append(name)
    if options.protocol and not suits(PROTOCOLS[options.protocol][0]):
        return options, f"protocol={options.protocol} is for {PROTOCOLS[options.protocol][0]}: leave it out"
    if bool(options.max_messages) != bool(options.message_size):
        return options, "max-messages and message-size go together (mq_open(3)): write both, or none"
    if options.keep and options.remove_on_stop:
        return options, "what is kept over a restart is not removed at the end of a start: leave out one of the two"
    return options, ""


def _set(options: Options, name: str, value: object) -> None:
    if name in SETTINGS:
        assert isinstance(value, int | str)
        options.settings[name] = value
    elif name in MANY:
        assert isinstance(value, str)
        options.symlinks.append(value)
    else:
        setattr(options, name.replace("-", "_"), value)


def in_words(options: Options) -> list[str]:
    """What --explain says of a socket's protocol, links and settings."""
    words = [f"protocol {options.protocol}"] * bool(options.protocol)
    words += [f"linked from {each}" for each in options.symlinks]
    return words + [name if value is True else f"{name} {value}" for name, value in options.settings.items()]
