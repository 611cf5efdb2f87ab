"""What --listen, and other options, are given: [NAME=]KIND:REST[,OPTION...], taken apart and said in words."""

import _socket

from cross_init.bounds import as_port, number
from cross_init.errors import Failure
from cross_init.sockets.options import (
    ACCEPTS,
    ANY,
    IP,
    IPV6,
    LOCAL,
    MESSAGES,
    NODE,
    PATH,
    SOCKET,
    UNIX,
    Options,
    in_words,
    read,
    split,
)
from cross_init.sockets.passed import NOT_A_SOCKET, OTHER_FILES, TYPES, Passed

FORMS = (
    "[NAME=]tcp:HOST:PORT, udp:HOST:PORT, unix:PATH, unix-dgram:PATH, unix-seqpacket:PATH, fifo:PATH, or one of the "
    "rarer kinds (see the manual), and perhaps options behind it, as ,mode=0660"
)
STREAMS = "tcp:HOST:PORT or unix:PATH"  # all that other options take
NO_SOCKET = 0  # no kind of socket
KINDS = {
    "tcp": _socket.SOCK_STREAM,
    "udp": _socket.SOCK_DGRAM,
    "unix": _socket.SOCK_STREAM,
    "unix-dgram": _socket.SOCK_DGRAM,
    "unix-seqpacket": _socket.SOCK_SEQPACKET,
    "fifo": NO_SOCKET,
    "vsock": _socket.SOCK_STREAM,
    "vsock-dgram": _socket.SOCK_DGRAM,
    "vsock-seqpacket": _socket.SOCK_SEQPACKET,
    "netlink": _socket.SOCK_RAW,
    "special": NO_SOCKET,
    "mqueue": NO_SOCKET,
}
INET = ("tcp", "udp")
PATHS = {"unix": "/@", "unix-dgram": "/@", "unix-seqpacket": "/@", "fifo": "/", "special": "/", "mqueue": "/"}
IPV6_ANY = "::"
NUMBER_MAX = (1 << 32) - 1
ANY_CID = NUMBER_MAX  # VMADDR_CID_ANY, vsock(7)
FAMILY_MAX = 255  # of netlink's


class Address:
    """What --listen, or another option, was given: [NAME=]KIND:REST[,OPTION...], taken apart."""

    __slots__ = ("at", "host", "kind", "name", "option", "options", "path", "port", "text")

    def __init__(
        self, name: str, kind: str, host: str, port: int, path: str, text: str, option: str, options: Options
    ) -> None:
        self.at = ""  # the line that asks for it, where that is a unit's
        self.name = name
        self.kind = kind
        self.host = host
        self.port = port
        self.path = path
        self.text = text
        self.option = option
        self.options = options

    @property
    def accepts(self) -> bool:
        """Whether it accepts connections."""
        return KINDS[self.kind] in (_socket.SOCK_STREAM, _socket.SOCK_SEQPACKET)

    @property
    def is_socket(self) -> bool:
        """Whether it is a socket at all."""
        return KINDS[self.kind] != NO_SOCKET

    @property
    def has_path(self) -> bool:
        """Whether it has a path in the file system, which is made."""
        return self.path.startswith("/") and self.kind not in ("special", "mqueue")

    @property
    def said(self) -> str:
        """What asks for it, for a message."""
        return self.at or f"{self.option} {self.text}"

    def suits(self, what_for: str) -> bool:
        """Whether it is what an option is for (options.py)."""
        is_unix = self.kind.startswith("unix")
        those = {
            PATH: self.has_path,
            NODE: self.has_path or self.kind == "mqueue",
            ACCEPTS: self.accepts,
            IP: self.kind in INET,
            IPV6: self.kind in INET and ":" in self.host and self.host != IPV6_ANY,
            UNIX: is_unix,
            MESSAGES: self.kind in ("udp", "netlink"),
            LOCAL: is_unix or self.kind == "netlink",
            SOCKET: self.is_socket,
            ANY: self.is_socket or self.kind == "fifo",
        }
        return those.get(what_for, what_for == f"{self.kind}:")

    def announced(self) -> Passed:
        """What will be passed, before it is open (fd -1): enough to see whether the daemon can be given it."""
        if not self.is_socket:
            return Passed(
                -1, self.name, NOT_A_SOCKET, OTHER_FILES[0o010000 if self.kind == "fifo" else 0o100000], "", False
            )
        family = self.kind.partition("-")[0]
        if self.kind in INET:
            family = "inet6" if ":" in self.host else "inet"
        where = self.path if self.path else (self.host, self.port)
        return Passed(-1, self.name, family, TYPES[int(KINDS[self.kind])], where, self.accepts)

    def traits(self) -> str:
        """What the socket gets beside its address, in words."""
        options, words = self.options, []
        if self.suits(NODE):
            owner = ":".join((options.user, options.group)).rstrip(":")
            words += [f"mode {options.mode:04o}", f"of {owner}"][: 2 if owner else 1]
        if self.has_path:
            words.append(f"a missing folder is made with {options.folder_mode:04o}")
        if self.host == IPV6_ANY:
            words.append("IPv6 only")
        if self.accepts:
            words.append(f"backlog {options.backlog}")
        words += in_words(options)
        words += ["kept over a restart"] * options.keep
        words += ["removed at the service's end"] * options.remove_on_stop
        return ", ".join(words)


def parse(text: str, option: str = "--listen") -> Address:
    """Take the argument of --listen, or of another option, apart.

    IPv6 hosts stand in brackets; a path that begins with @ is abstract; what options there are, options.py says.
    Raises Failure.
    """
    whole, words = split(text)
    name, equals, rest = whole.partition("=")
    if not equals or ":" in name or "/" in name:  # the equals sign belongs to a path
        name, rest = "", whole
    kind, _, where = rest.partition(":")
    forms = FORMS if option == "--listen" else STREAMS
    if kind not in KINDS:
        raise Failure(f"{option} {text}: {kind or 'an empty word'} is no kind of socket; write {forms}{meant(rest)}")
    host, port = "", 0
    if kind in PATHS:
        if not where.startswith(tuple(PATHS[kind])) or len(where) < 2:
            instead = " (or @NAME)" if "@" in PATHS[kind] else ""
            raise Failure(f"{option} {text}: {where or 'nothing'} is no absolute path{instead}; write {forms}")
    elif kind in INET:
        host, colon, text_of_port = where.rpartition(":")
        found = as_port(text_of_port) if colon else None
        if found is None:
            raise Failure(f"{option} {text}: it has to end with :PORT, 0 to 65535; write {forms}")
        port = found
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            raise Failure(f"{option} {text}: an IPv6 address stands in brackets: {kind}:[{host.strip('[]')}]:{port}")
    else:
        host, port, wrong = _place(kind, where)
        if wrong:
            raise Failure(f"{option} {text}: {wrong}")
    address = Address(name, kind, host, port, where if kind in PATHS else "", text, option, Options())
    address.options, wrong = read(words, address.suits)
    if wrong:
        raise Failure(f"{option} {text}: {wrong}")
    return address


def _place(kind: str, where: str) -> tuple[str, int, str]:
    """The host and the port, as Address has them, of what stands behind the kind; and what is wrong with it, if so."""
    host, _, port = where.partition(":")
    if kind == "netlink":
        from cross_init.kernel.netlink_families import NAMES

        named = [each for each, name in NAMES.items() if name == host]
        family = named[0] if named else number(host, 0, FAMILY_MAX)
        groups = number(port, 0, NUMBER_MAX) if port else 0
        if family is None or groups is None:
            return "", 0, f"{where or 'nothing'}: write netlink:FAMILY or netlink:FAMILY:GROUPS, as kobject-uevent:1"
        return str(family), groups, ""
    cid = number(host, 0, NUMBER_MAX) if host else ANY_CID
    found = number(port, 0, NUMBER_MAX)
    if cid is None or found is None:
        return "", 0, f"{where or 'nothing'}: write {kind}:CID:PORT, or {kind}::PORT, two numbers"
    return str(cid), found, ""


def parse_stream(text: str) -> Address:
    """Take the argument of --adopt-socket apart. Raises Failure."""
    option = "--adopt-socket"
    address = parse(text, option)
    if address.kind not in ("tcp", "unix"):
        raise Failure(f"{option} {text}: only sockets that listen can be found: write tcp:HOST:PORT or unix:PATH")
    if address.options.given:
        raise Failure(f"{option} {text}: the socket is there already, so options say nothing: leave them out")
    return address


def parse_http(text: str) -> Address:
    """Take the argument of --health-listen apart. Raises Failure."""
    option = "--health-listen"
    address = parse(text, option)
    if address.kind not in ("tcp", "unix") or address.name:
        raise Failure(f"{option} {text}: HTTP is served on tcp:HOST:PORT or unix:PATH, without a name")
    if address.options.remove_on_stop or address.options.keep:
        raise Failure(f"{option} {text}: it ends with the service, and its path: leave out keep and remove-on-stop")
    return address


def meant(text: str) -> str:
    """What an address without a kind probably is, as the end of a sentence."""
    from cross_init.spelling import nearest

    kind, colon, rest = text.partition(":")
    found = nearest(kind, KINDS) if colon else ""
    host, _, port = text.rpartition(":")
    if text.startswith(("/", "@")):
        found, rest = "unix", text
    elif not found and as_port(port) is not None:
        found, rest = "tcp", f"{host}:{port}"
    return f"; did you mean {found}:{rest}?" if found else ""
