"""One connection: who is at its ends, as the kernel knows it; and who listens somewhere, before he is heard."""

import _socket
import posix
import sys

MAPPED = "::ffff:"  # how an IPv6 socket shows an IPv4 client (ipv6(7))

Address = tuple[str, int] | str  # an IP address and a port, or a path ("" without one, or if it is abstract)


def ends(fd: int) -> tuple[Address, Address | None]:
    """Our end and the client's; None if that has gone already."""
    sock = _socket.socket(fileno=fd)
    try:
        here = plain(sock.getsockname())
        try:
            return here, plain(sock.getpeername())
        except OSError:
            return here, None
    finally:
        sock.detach()


def source(fd: int) -> str | None:
    """Where the client is: a host's address, a user by his number, a machine's CID; None if it has gone already."""
    sock = _socket.socket(fileno=fd)
    try:
        where: object = sock.getpeername()
    except OSError:
        return None
    finally:
        sock.detach()
    if sock.family == _socket.AF_UNIX:
        return f"user {credentials(fd)[1]}"
    shown = plain(where) or where  # of vsock's, two numbers
    return str(shown[0]) if isinstance(shown, tuple) else str(shown)


def plain(address: object) -> Address:
    """An address without what only IPv6 has; an IPv4 client's as IPv4, which is what rules are written for."""
    if isinstance(address, tuple) and isinstance(address[0], str):
        host, port = address[:2]
        is_mapped = host.startswith(MAPPED) and "." in host
        return host.removeprefix(MAPPED) if is_mapped else host, port
    return address if isinstance(address, str) else ""


def prober(kind: int) -> _socket.socket:
    """A UNIX socket to look with who is there: connecting it waits for nobody (a full queue: BlockingIOError).

    Nobody can send anything to it, not even whoever accepts it: what a stranger sends may make our close() wait, by a
    descriptor among it with SO_LINGER (socket(7)).
    """
    sock = _socket.socket(_socket.AF_UNIX, kind | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK)
    sock.shutdown(_socket.SHUT_RD)
    return sock


def listener(address: str | bytes, kind: int) -> tuple[int, int]:
    """The process and the user that listen at this address. Raises OSError; BlockingIOError if its queue is full."""
    sock = prober(kind)
    try:
        sock.connect(address)
        return credentials(sock.fileno())[:2]
    finally:
        sock.close()


def credentials(fd: int) -> tuple[int, int, int]:
    """The process, user and group that connected to a UNIX socket (SO_PEERCRED, unix(7))."""
    sock = _socket.socket(fileno=fd)
    try:
        data = sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)
    finally:
        sock.detach()
    pid, uid, gid = (int.from_bytes(data[at : at + 4], sys.byteorder) for at in (0, 4, 8))
    return pid, uid, gid


def claim(pid: int) -> tuple[int, int, bytes]:
    """What makes a message this process's; for another one than our own that takes CAP_SYS_ADMIN (unix(7))."""
    data = b"".join(number.to_bytes(4, sys.byteorder) for number in (pid, posix.geteuid(), posix.getegid()))
    return _socket.SOL_SOCKET, _socket.SCM_CREDENTIALS, data


def may_claim() -> bool:
    """Whether we may speak as another process: as process 1, which there is always."""
    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    try:
        ours.sendmsg([b"x"], [claim(1)])
    except OSError:
        return False
    finally:
        ours.close()
        theirs.close()
    return True
