"""Ask the kernel itself which sockets listen, over netlink (sock_diag(7)).

/proc/net/unix shows names as they are, and a name may hold anything, line ends too: whoever may bind a socket can write
lines there that look like the kernel's. Here names come framed, as bytes. What is listed is our network namespace's.

Where the kernel does not answer (unix_diag or inet_diag left out of it, or not to be loaded: ENOENT; no netlink in a
sandbox: EAFNOSUPPORT, EPROTONOSUPPORT, EPERM, EACCES), OSError is raised, as it is for all else that fails here.
Nothing that has no such answer may be taken from /proc/net instead: the caller says what to do, in a line.
"""

import _socket
import errno
import posix
from sys import byteorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

AF_NETLINK, NETLINK_SOCK_DIAG = 16, 4  # not every Python has names for these
SOCK_DIAG_BY_FAMILY, ERROR, DONE = 20, 2, 3  # message types (linux/sock_diag.h, linux/netlink.h)
DUMP = 0x301  # NLM_F_REQUEST, NLM_F_DUMP
HEADER, ATTRIBUTE = 16, 4  # sizes of struct nlmsghdr and nlattr
UNIX_RECORD, INET_RECORD = 16, 72  # sizes of struct unix_diag_msg and inet_diag_msg
LISTENS = 10  # TCP_LISTEN, of UNIX sockets as well (net/tcp_states.h)
NAME, FILE, USER = 0, 1, 7  # UNIX_DIAG_NAME, UNIX_DIAG_VFS, UNIX_DIAG_UID
SHOW_NAME, SHOW_FILE, SHOW_USER = 0x1, 0x2, 0x40  # UDIAG_SHOW_...
NOBODY_KNOWS = -1
TCP = 6
LONGEST = 1 << 17  # bytes of one datagram; the kernel makes them of 32 KiB at most


def unix_listeners() -> "Iterator[tuple[bytes, int, int, int]]":
    """Every UNIX socket that listens: its name, its type, its inode and its user. Raises OSError.

    The name is as it was bound: a path, perhaps a relative one, or an abstract name with its NUL in front. Several
    sockets may have one path: it was removed and bound anew, or is another one in another mount namespace. The user is
    the one who made the socket, -1 before Linux 5.3. Users may have many of them.
    """
    for record in _dump(_unix_request(SHOW_NAME | SHOW_USER)):
        yield from unix_listener(record)


def unix_at(path: str) -> set[int]:
    """The inodes of the UNIX sockets that listen and stand at this path now. Raises OSError.

    None, where the file system does not say the same of a file to us as to the kernel itself (Btrfs, overlays).
    """
    try:
        status = posix.stat(path)
    except OSError:
        return set()
    device = posix.major(status.st_dev) << 20 | posix.minor(status.st_dev)  # MKDEV of linux/kdev_t.h
    wanted = _word(status.st_ino & 0xFFFFFFFF) + _word(device & 0xFFFFFFFF)
    records = _dump(_unix_request(SHOW_FILE))
    return {_number(record, 4, 4) for record in records if attributes(record[UNIX_RECORD:]).get(FILE) == wanted}


def tcp_listeners() -> "Iterator[tuple[bytes, int, int, int]]":
    """Every TCP socket that listens: its address (4 bytes, or 16), its port, its inode and its user. Raises OSError.

    The user is the one who made the socket. An IPv4 address that was bound on an IPv6 socket has 16 bytes (ipv6(7)).
    """
    for family in (_socket.AF_INET, _socket.AF_INET6):
        request = bytes((family, TCP, 0, 0)) + _word(1 << LISTENS) + bytes(40) + b"\xff" * 8
        for record in _dump(request):
            yield from tcp_listener(record)


def unix_listener(record: bytes) -> list[tuple[bytes, int, int, int]]:
    """The socket that this record is of, if it listens: name, type, inode and user. Raises OSError."""
    if len(record) < UNIX_RECORD:
        raise _malformed()
    family, kind, state = record[:3]
    if family != _socket.AF_UNIX or state != LISTENS:
        return []
    said = attributes(record[UNIX_RECORD:])
    name, user = said.get(NAME, b""), said.get(USER, b"")
    if not name.startswith(b"\0"):
        name = name.removesuffix(b"\0")  # the kernel ends a path with one
    return [(name, kind, _number(record, 4, 4), _number(user, 0, 4) if len(user) == 4 else NOBODY_KNOWS)]


def tcp_listener(record: bytes) -> list[tuple[bytes, int, int, int]]:
    """The socket that this record is of, if it listens: address, port, inode and user. Raises OSError."""
    if len(record) < INET_RECORD:
        raise _malformed()
    size = {int(_socket.AF_INET): 4, int(_socket.AF_INET6): 16}.get(record[0], 0)
    if not size or record[1] != LISTENS:
        return []
    port = int.from_bytes(record[4:6], "big")
    return [(record[8 : 8 + size], port, _number(record, 68, 4), _number(record, 64, 4))]


def attributes(data: bytes) -> dict[int, bytes]:
    """The attributes behind a record, by their types (netlink(7)). Raises OSError."""
    found: dict[int, bytes] = {}
    at = 0
    while at < len(data):
        size = _number(data, at, 2)
        if size < ATTRIBUTE or at + size > len(data):
            raise _malformed()
        found[_number(data, at + 2, 2) & 0x3FFF] = data[at + ATTRIBUTE : at + size]
        at += -(-size // 4) * 4
    return found


def messages(data: bytes) -> list[tuple[int, bytes]]:
    """The messages in a datagram, each with its type (netlink(7)). Raises OSError."""
    found: list[tuple[int, bytes]] = []
    at = 0
    while at < len(data):
        size = _number(data, at, 4)
        if size < HEADER or at + size > len(data):
            raise _malformed()
        found.append((_number(data, at + 4, 2), data[at + HEADER : at + size]))
        at += -(-size // 4) * 4
    return found


def refusal(kind: int, payload: bytes) -> OSError | None:
    """What a message of type ERROR or DONE says has failed; None if it is the end of a whole answer."""
    number = -int.from_bytes(payload[:4], byteorder, signed=True)
    if 0 < number < 4096:
        return OSError(number, posix.strerror(number))
    return None if number == 0 and kind == DONE else _malformed()


def why_not(error: OSError) -> str:
    """Why the kernel did not say which sockets listen, and what to do."""
    hints = {
        errno.ENOENT: "load the kernel's modules unix_diag and tcp_diag",
        **dict.fromkeys(
            (errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.EPERM, errno.EACCES),
            "allow netlink sockets (systemd: AF_NETLINK in RestrictAddressFamilies=)",
        ),
    }
    hint = hints.get(error.errno or 0)
    return f"the kernel does not say which sockets listen (sock_diag): {error.strerror}{f'; {hint}' if hint else ''}"


def _dump(request: bytes) -> "Iterator[bytes]":
    """The records that the kernel has for this request. Raises OSError."""
    sock = _socket.socket(AF_NETLINK, _socket.SOCK_RAW | _socket.SOCK_CLOEXEC, NETLINK_SOCK_DIAG)
    try:
        # It answers while it is asked, and while an answer is taken: there is never anything to wait for.
        sock.setblocking(False)
        header = _word(HEADER + len(request)) + _word(SOCK_DIAG_BY_FAMILY, 2) + _word(DUMP, 2) + bytes(8)
        sock.send(header + request)
        while True:
            data, _, flags, sender = sock.recvmsg(LONGEST)
            if sender[0] != 0:
                continue  # a process, which the kernel lets do that if it may administer the network
            if flags & _socket.MSG_TRUNC:
                raise _malformed()
            for kind, payload in messages(data):
                if kind in (ERROR, DONE):
                    refused = refusal(kind, payload)
                    if refused is not None:
                        raise refused
                    return
                if kind == SOCK_DIAG_BY_FAMILY:
                    yield payload
    finally:
        sock.close()


def _unix_request(show: int) -> bytes:
    """A struct unix_diag_req for those that listen."""
    return bytes((_socket.AF_UNIX, 0, 0, 0)) + _word(1 << LISTENS) + _word(0) + _word(show) + b"\xff" * 8


def _word(value: int, size: int = 4) -> bytes:
    return value.to_bytes(size, byteorder)


def _number(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], byteorder)


def _malformed() -> OSError:
    return OSError(errno.EBADMSG, "the kernel's list of sockets (sock_diag) has a form that is not known here")
