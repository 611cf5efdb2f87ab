"""One client's connection: who is at its ends, as the kernel knows it."""

import _socket
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


def plain(address: object) -> Address:
    """An address without what only IPv6 has; an IPv4 client's as IPv4, which is what rules are written for."""
    if isinstance(address, tuple) and isinstance(address[0], str):
        host, port = address[:2]
        is_mapped = host.startswith(MAPPED) and "." in host
        return host.removeprefix(MAPPED) if is_mapped else host, port
    return address if isinstance(address, str) else ""


def credentials(fd: int) -> tuple[int, int, int]:
    """The process, user and group that connected to a UNIX socket (SO_PEERCRED, unix(7))."""
    sock = _socket.socket(fileno=fd)
    try:
        data = sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)
    finally:
        sock.detach()
    pid, uid, gid = (int.from_bytes(data[at : at + 4], sys.byteorder) for at in (0, 4, 8))
    return pid, uid, gid
