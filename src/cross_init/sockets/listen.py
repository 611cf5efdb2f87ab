"""--listen: open sockets ourselves, so that a socket-activated daemon can be tried from any shell."""

import _socket
import errno
import posix

from cross_init.bounds import as_port
from cross_init.errors import Failure, print_error, why
from cross_init.sockets.options import ACCEPTS, ANY, PATH, TCP, Options, read, split
from cross_init.sockets.passed import NOT_A_SOCKET, OTHER_FILES, TYPES, Passed, describe

FORMS = (
    "[NAME=]tcp:HOST:PORT, udp:HOST:PORT, unix:PATH, unix-dgram:PATH, unix-seqpacket:PATH or fifo:PATH, and perhaps "
    "options behind it, as ,mode=0660"
)
STREAMS = "tcp:HOST:PORT or unix:PATH"  # all that other options take
FIFO = 0  # no kind of socket
KINDS = {
    "tcp": _socket.SOCK_STREAM,
    "udp": _socket.SOCK_DGRAM,
    "unix": _socket.SOCK_STREAM,
    "unix-dgram": _socket.SOCK_DGRAM,
    "unix-seqpacket": _socket.SOCK_SEQPACKET,
    "fifo": FIFO,
}
IPV6_ANY = "::"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Kept(Protocol):
        """Sockets that stay open over a restart."""

        def open(self, address: "Address") -> Passed | None:
            """The one for this address, if there is one from an earlier start."""

        def remember(self, address: "Address", passed: Passed) -> None:
            """This one is the daemon's, and is to be kept."""


class Address:
    """What --listen, or another option, was given: [NAME=]KIND:REST[,OPTION...], taken apart."""

    __slots__ = ("host", "kind", "name", "option", "options", "path", "port", "text")

    def __init__(
        self, name: str, kind: str, host: str, port: int, path: str, text: str, option: str, options: Options
    ) -> None:
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
    def has_path(self) -> bool:
        """Whether it has a path in the file system."""
        return self.path.startswith("/")

    def announced(self) -> Passed:
        """What will be passed, before it is open (fd -1): enough to see whether the daemon can be given it."""
        if KINDS[self.kind] == FIFO:
            return Passed(-1, self.name, NOT_A_SOCKET, OTHER_FILES[0o010000], "", False)
        family = "unix" if self.path else "inet6" if ":" in self.host else "inet"
        where = self.path if self.path else (self.host, self.port)
        return Passed(-1, self.name, family, TYPES[int(KINDS[self.kind])], where, self.accepts)

    def traits(self) -> str:
        """What the socket gets beside its address, in words."""
        options, words = self.options, []
        if self.has_path:
            owner = ":".join((options.user, options.group)).rstrip(":")
            words += [f"mode {options.mode:04o}", f"of {owner}"][: 2 if owner else 1]
            words.append(f"a missing folder is made with {options.folder_mode:04o}")
        if self.host == IPV6_ANY:
            words.append("IPv6 only")
        if self.accepts:
            words.append(f"backlog {options.backlog}")
        words += ["keep-alive"] * options.keep_alive
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
    if kind not in ("tcp", "udp"):
        if not where.startswith(("/", "@")[: 1 if kind == "fifo" else 2]) or len(where) < 2:
            instead = "" if kind == "fifo" else " (or @NAME)"
            raise Failure(f"{option} {text}: {where or 'nothing'} is no absolute path{instead}; write {forms}")
    else:
        host, colon, text_of_port = where.rpartition(":")
        found = as_port(text_of_port) if colon else None
        if found is None:
            raise Failure(f"{option} {text}: it has to end with :PORT, 0 to 65535; write {forms}")
        port = found
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            raise Failure(f"{option} {text}: an IPv6 address stands in brackets: {kind}:[{host.strip('[]')}]:{port}")
    address = Address(name, kind, host, port, "" if kind in ("tcp", "udp") else where, text, option, Options())
    suits = {PATH: address.has_path, ACCEPTS: address.accepts, TCP: kind == "tcp", ANY: True}
    address.options, wrong = read(words, suits.__getitem__)
    if wrong:
        raise Failure(f"{option} {text}: {wrong}")
    return address


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


def open_all(addresses: list[Address], kept: "Kept | None" = None) -> list[Passed]:
    """Open them all, or leave nothing behind but folders. kept: what is open from an earlier start. Raises Failure."""
    opened: list[Passed] = []
    for address in addresses:
        try:
            opened.append((kept and kept.open(address)) or open_socket(address))
            if kept is not None and address.options.keep:
                kept.remember(address, opened[-1])
        except Failure:
            for done, passed in zip(addresses, opened, strict=False):
                posix.close(passed.fd)
                if done.has_path and KINDS[done.kind] != FIFO and not done.options.keep:
                    remove_abandoned(done.path, KINDS[done.kind])
            raise
    return opened


def open_socket(address: Address) -> Passed:
    """Open, bind and, for a stream, listen. Raises Failure."""
    try:
        fd = _opened(address)
    except Failure as failure:
        raise Failure(f"{address.option} {address.text}: {failure}") from None
    except (OSError, _socket.gaierror) as error:
        raise cannot_listen(address, error) from None
    passed = describe(fd, address.name)
    if not address.path and not address.port:
        print_error(f"listening on {passed.where()}", 0)
    return passed


def cannot_listen(address: Address, error: OSError) -> Failure:
    """Why, and what to do."""
    reason = why(error)
    instead = "remove what stands there" if address.has_path else "choose another address"
    advice = {
        errno.EADDRINUSE: f"end what listens there, or {instead}",
        errno.ENOENT: "make the folder first",
        errno.EACCES: "ports below 1024 and others' folders need privileges",
        errno.EPERM: "only root may give a socket to others, and no link of another user's is followed",
        errno.EADDRNOTAVAIL: "choose an address of this machine",
    }.get(error.errno or 0, "" if ";" in reason else "check the address")
    what = f"{address.option} {address.text}: cannot listen there: {reason}"
    return Failure(f"{what}; {advice}" if advice else what)


def _opened(address: Address) -> int:
    """Raises OSError, Failure."""
    if KINDS[address.kind] == FIFO:
        from cross_init.sockets.placing import open_fifo

        return open_fifo(address)
    sock = _bound_unix(address) if address.path else bound_inet(address)
    if address.options.keep_alive:
        sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_KEEPALIVE, 1)
    if address.accepts:
        sock.listen(address.options.backlog)
    return sock.detach()


def bound_inet(address: Address) -> _socket.socket:
    """A socket that is bound there, and does not listen yet. Raises OSError, socket.gaierror."""
    kind = KINDS[address.kind]
    passive = 1  # AI_PASSIVE: no host means every address
    host = address.host.encode("utf-8", "surrogateescape") or None  # as text it would be checked by Python's own IDNA
    found = _socket.getaddrinfo(host, address.port, 0, int(kind), 0, passive)
    if not address.host:  # prefer [::], which serves IPv4 as well where the machine has both
        found.sort(key=lambda entry: entry[0] != _socket.AF_INET6)
    error: OSError | None = None
    for family, _, protocol, _, where in found:
        sock = None
        try:
            sock = _socket.socket(family, kind, protocol)
            if kind == _socket.SOCK_STREAM:  # for datagrams it would let two daemons share the port (socket(7))
                sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
            if family == _socket.AF_INET6 and where[0] == IPV6_ANY:
                # [::] is one of two that may have the port; no host at all means both. Whatever net.ipv6.bindv6only is.
                sock.setsockopt(_socket.IPPROTO_IPV6, _socket.IPV6_V6ONLY, int(bool(address.host)))
            sock.bind(where)
        except OSError as failed:
            error = error or failed
            if sock is not None:
                sock.close()
            continue
        return sock
    raise error or OSError(errno.EADDRNOTAVAIL, "no such address")


def _bound_unix(address: Address) -> _socket.socket:
    sock = _socket.socket(_socket.AF_UNIX, KINDS[address.kind])
    try:
        if address.has_path:
            from cross_init.sockets.placing import bind

            bind(sock, address)
        else:
            sock.bind("\0" + address.path[1:])
    except BaseException:
        sock.close()
        raise
    return sock


def remove_abandoned(path: str, kind: int) -> bool:
    """Remove a socket that nobody has open any more: the kernel refuses to connect to it. Whether it was one.

    The folder may be another user's, who exchanges it for another one meanwhile: it is looked at and removed in the one
    that was opened.
    """
    from cross_init.kernel.folders import folder_of
    from cross_init.sockets.connection import prober

    probe = prober(kind)
    try:
        inside, name = folder_of(path)
        try:
            probe.connect(f"/proc/self/fd/{inside}/{name}")
        except ConnectionRefusedError:
            if posix.stat(name, dir_fd=inside, follow_symlinks=False).st_mode & 0o170000 == 0o140000:  # inode(7)
                posix.unlink(name, dir_fd=inside)
                return True
        finally:
            posix.close(inside)
    except OSError:
        pass  # somebody is there, or it is gone
    finally:
        probe.close()
    return False
