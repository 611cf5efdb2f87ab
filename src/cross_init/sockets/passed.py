"""Sockets that are passed to a daemon: describe what an open descriptor is, and move descriptors to their places."""

import _socket
import errno
import posix
from fcntl import F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, FD_CLOEXEC, fcntl

from cross_init.errors import Failure, why
from cross_init.kernel.linux import Environment

FAMILIES = {
    int(_socket.AF_INET): "inet",
    int(_socket.AF_INET6): "inet6",
    int(_socket.AF_UNIX): "unix",
    16: "netlink",  # not every Python has a name for these two
    40: "vsock",
}
TYPES = {
    int(_socket.SOCK_STREAM): "stream",
    int(_socket.SOCK_DGRAM): "datagram",
    int(_socket.SOCK_SEQPACKET): "seqpacket",
    int(_socket.SOCK_RAW): "raw",
}
OTHER_FILES = {0o010000: "FIFO", 0o020000: "character device", 0o040000: "folder", 0o100000: "file or message queue"}
NOT_A_SOCKET = "no socket"


class Passed:
    """An open descriptor that the init passed, or that --listen is going to open (fd -1).

    name: what the init calls it ("" if nothing). family: one of FAMILIES, another family's number, or NOT_A_SOCKET;
    kind: stream, datagram, seqpacket, raw, or for what is no socket the kind of file. address: as getsockname(2) has
    it (for UNIX: bytes if abstract). listening: it accepts connections.
    """

    __slots__ = ("address", "family", "fd", "kind", "listening", "name")

    def __init__(self, fd: int, name: str, family: str, kind: str, address: object, listening: bool) -> None:
        self.fd = fd
        self.name = name
        self.family = family
        self.kind = kind
        self.address = address
        self.listening = listening

    @property
    def is_socket(self) -> bool:
        """Whether it is a socket at all."""
        return self.family != NOT_A_SOCKET

    @property
    def connected(self) -> bool:
        """Whether it is one client's connection, which somebody has accepted."""
        return self.is_socket and self.kind in ("stream", "seqpacket") and not self.listening

    def where(self) -> str:
        """The address for people, as --listen takes it where it can."""
        address = self.address
        if not self.is_socket:
            return self.kind
        if self.family in ("inet", "inet6") and isinstance(address, tuple):
            host = f"[{address[0]}]" if self.family == "inet6" else address[0]
            return f"{'udp' if self.kind == 'datagram' else 'tcp'}:{host}:{address[1]}"
        if self.family == "unix":
            shown = address
            if isinstance(address, bytes):
                shown = "@" + address.lstrip(b"\0").decode("utf-8", "backslashreplace")
            from cross_init.sockets.options import escape

            prefix = {"stream": "unix", "datagram": "unix-dgram"}.get(self.kind, f"unix-{self.kind}")
            return f"{prefix}:{escape(str(shown))}"
        if self.family == "vsock" and isinstance(address, tuple):
            return f"vsock:{address[0]}:{address[1]}"
        return f"address family {self.family}"

    def __str__(self) -> str:
        called = f' "{self.name}"' if self.name else ""
        what = f"fd {self.fd}" if self.fd >= 0 else "--listen"
        return f"{what}{called} ({self.where()})"


def describe(fd: int, name: str = "") -> Passed:
    """What the descriptor fd is. Raises Failure if it is not open."""
    try:
        sock = _socket.socket(fileno=fd)
    except OSError as error:
        if error.errno != errno.ENOTSOCK:
            raise Failure(
                f"the init passed a socket as descriptor {fd}, but looking at it failed: {why(error)}; "
                "what started us between the init and this command must leave it open"
            ) from None
        mode = posix.stat(fd).st_mode & 0o170000
        return Passed(fd, name, NOT_A_SOCKET, OTHER_FILES.get(mode, "message queue or another special file"), "", False)
    try:
        family, kind = int(sock.family), int(sock.type)
        try:
            address: object = sock.getsockname()
        except OSError:  # a family that Python has no form of address for
            address = ""
        try:
            listening = sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_ACCEPTCONN) == 1
        except OSError:
            listening = False
    finally:
        sock.detach()
    return Passed(fd, name, FAMILIES.get(family, str(family)), TYPES.get(kind, str(kind)), address, listening)


def listen_fds(environ: Environment, who: str) -> list[Passed]:
    """LISTEN_FDS from descriptor 3 on, which are for us (model.is_for).

    who: the init that passed them. Raises Failure if one is not open.
    """
    from cross_init.bounds import COUNT_MAX, as_count

    text = environ.get(b"LISTEN_FDS", b"0")
    count = as_count(text)
    if count is None:
        shown = text.decode("utf-8", "replace")
        raise Failure(f"{who} passed sockets, but LISTEN_FDS={shown} is no number of them, 0 to {COUNT_MAX}")
    names = environ.get(b"LISTEN_FDNAMES", b"").decode("utf-8", "surrogateescape").split(":")
    names += [""] * count
    return [
        describe(3 + number, "" if name == "unknown" else name)
        for number, name in zip(range(count), names, strict=False)
    ]


def standard_input(connections: bool = False) -> list[Passed]:
    """Standard input, if it is a listening socket, or a bound one for datagrams: so inetd-like servers pass them.

    connections: or a client's connection. Only an init that passes some may ask for it: a shell's standard input, or a
    test's, may be a socket, too.
    """
    try:
        passed = describe(0)
    except Failure:
        return []
    is_passed = passed.listening or is_bound_datagram(passed) or (connections and passed.connected)
    return [passed] if is_passed else []


def is_bound_datagram(passed: Passed) -> bool:
    """Whether it is a socket for datagrams to which somebody can send some."""
    where = passed.address
    return passed.kind == "datagram" and bool(where[1] if isinstance(where, tuple) else where)


def inherit(fd: int) -> None:
    """Let fd stay open over exec. Raises OSError."""
    fcntl(fd, F_SETFD, fcntl(fd, F_GETFD) & ~FD_CLOEXEC)


def place(sockets: list[Passed], start: int) -> None:
    """Move the sockets' descriptors to start, start+1, ... in this order, to stay open over exec; raises OSError.

    What else has one of these numbers gives way: what we need ourselves is opened after this, or stands high above, and
    what nobody announced has no reader who would find it under another number. The numbers moved from are closed.
    """
    places = [(start + offset, passed) for offset, passed in enumerate(sockets)]
    if any(passed.fd != fd for fd, passed in places):
        # First all out of the way, above every place: one may stand on another's.
        held = [fcntl(passed.fd, F_DUPFD_CLOEXEC, start + len(sockets)) for passed in sockets]
        for passed in sockets:
            posix.close(passed.fd)
        for (fd, passed), source in zip(places, held, strict=True):
            posix.dup2(source, fd, True)
            posix.close(source)
            passed.fd = fd
    for passed in sockets:
        inherit(passed.fd)


def close(sockets: list[Passed]) -> None:
    """Close these descriptors in this process."""
    for passed in sockets:
        posix.close(passed.fd)
