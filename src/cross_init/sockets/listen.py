"""--listen: open sockets ourselves, so that a socket-activated daemon can be tried from any shell."""

import _socket
import errno
import posix

from cross_init.bounds import as_port
from cross_init.errors import Failure, print_error
from cross_init.sockets.passed import Passed, describe

FORMS = "[NAME=]tcp:HOST:PORT, udp:HOST:PORT, unix:PATH or unix-dgram:PATH"
STREAMS = "tcp:HOST:PORT or unix:PATH"  # all that other options take
BACKLOG = 4096  # systemd.socket(5), Backlog=; the kernel caps it at net.core.somaxconn
KINDS = {
    "tcp": _socket.SOCK_STREAM,
    "udp": _socket.SOCK_DGRAM,
    "unix": _socket.SOCK_STREAM,
    "unix-dgram": _socket.SOCK_DGRAM,
}


class Address:
    """What --listen, or another option, was given: [NAME=]KIND:REST, taken apart."""

    __slots__ = ("host", "kind", "name", "option", "path", "port", "text")

    def __init__(self, name: str, kind: str, host: str, port: int, path: str, text: str, option: str) -> None:
        self.name = name
        self.kind = kind
        self.host = host
        self.port = port
        self.path = path
        self.text = text
        self.option = option

    def announced(self) -> Passed:
        """What will be passed, before it is open (fd -1): enough to see whether the daemon can be given it."""
        family = "unix" if self.path else "inet6" if ":" in self.host else "inet"
        listening = KINDS[self.kind] == _socket.SOCK_STREAM
        where = self.path if self.path else (self.host, self.port)
        return Passed(-1, self.name, family, "stream" if listening else "datagram", where, listening)


def parse(text: str, option: str = "--listen") -> Address:
    """Take the argument of --listen, or of another option, apart.

    IPv6 hosts stand in brackets; a path that begins with @ is abstract. Raises Failure.
    """
    name, equals, rest = text.partition("=")
    if not equals or ":" in name or "/" in name:  # the equals sign belongs to a path
        name, rest = "", text
    kind, _, where = rest.partition(":")
    forms = FORMS if option == "--listen" else STREAMS
    if kind not in KINDS:
        raise Failure(f"{option} {text}: {kind or 'an empty word'} is no kind of socket; write {forms}{meant(rest)}")
    if kind.startswith("unix"):
        if not where.startswith(("/", "@")) or len(where) < 2:
            raise Failure(f"{option} {text}: {where or 'nothing'} is no absolute path (or @NAME); write {forms}")
        return Address(name, kind, "", 0, where, text, option)
    host, colon, text_of_port = where.rpartition(":")
    port = as_port(text_of_port) if colon else None
    if port is None:
        raise Failure(f"{option} {text}: it has to end with :PORT, 0 to 65535; write {forms}")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise Failure(f"{option} {text}: an IPv6 address stands in brackets: {kind}:[{host.strip('[]')}]:{port}")
    return Address(name, kind, host, port, "", text, option)


def parse_stream(text: str) -> Address:
    """Take the argument of --adopt-socket apart. Raises Failure."""
    option = "--adopt-socket"
    address = parse(text, option)
    if address.kind not in ("tcp", "unix"):
        raise Failure(f"{option} {text}: only sockets that listen can be found: write tcp:HOST:PORT or unix:PATH")
    return address


def parse_http(text: str) -> Address:
    """Take the argument of --health-listen apart. Raises Failure."""
    option = "--health-listen"
    address = parse(text, option)
    if address.kind not in ("tcp", "unix") or address.name:
        raise Failure(f"{option} {text}: HTTP is served on tcp:HOST:PORT or unix:PATH, without a name")
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


def open_all(addresses: list[Address]) -> list[Passed]:
    """Open them all, or leave nothing behind. Raises Failure."""
    opened: list[Passed] = []
    for address in addresses:
        try:
            opened.append(open_socket(address))
        except Failure:
            for done, passed in zip(addresses, opened, strict=False):
                posix.close(passed.fd)
                if done.path.startswith("/"):
                    remove_abandoned(done.path, KINDS[done.kind])
            raise
    return opened


def open_socket(address: Address) -> Passed:
    """Open, bind and, for a stream, listen. Raises Failure."""
    try:
        sock = _bound_unix(address) if address.path else bound_inet(address)
        if KINDS[address.kind] == _socket.SOCK_STREAM:
            sock.listen(BACKLOG)
    except (OSError, _socket.gaierror) as error:
        raise cannot_listen(address, error) from None
    fd = sock.detach()
    passed = describe(fd, address.name)
    if not address.path and not address.port:
        print_error(f"listening on {passed.where()}", 0)
    return passed


def cannot_listen(address: Address, error: OSError) -> Failure:
    """Why, and what to do."""
    reason = error.strerror or str(error)
    instead = "remove what stands there" if address.path.startswith("/") else "choose another address"
    advice = {
        errno.EADDRINUSE: f"end what listens there, or {instead}",
        errno.ENOENT: "make the folder first",
        errno.EACCES: "ports below 1024 and others' folders need privileges",
        errno.EADDRNOTAVAIL: "choose an address of this machine",
    }.get(error.errno or 0, "check the address")
    return Failure(f"{address.option} {address.text}: cannot listen there: {reason}; {advice}")


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
            sock.bind(where)
        except OSError as failed:
            error = error or failed
            if sock is not None:
                sock.close()
            continue
        return sock
    raise error or OSError(errno.EADDRNOTAVAIL, "no such address")


def _bound_unix(address: Address) -> _socket.socket:
    where = "\0" + address.path[1:] if address.path.startswith("@") else address.path
    sock = _socket.socket(_socket.AF_UNIX, KINDS[address.kind])
    try:
        sock.bind(where)
    except OSError as error:
        in_the_way = error.errno == errno.EADDRINUSE and where.startswith("/")
        if not in_the_way or not remove_abandoned(where, sock.type):
            sock.close()
            raise
        sock.bind(where)
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
