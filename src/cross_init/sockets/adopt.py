"""--adopt-socket ADDRESS: take over a listening socket that another process holds for the service.

Upstart passes a job its socket only when a client has started it. After a manual start the socket bridge goes on
holding the port, and the job could neither get it nor open it anew. The kernel lets root copy a descriptor out of a
process (pidfd_getfd(2)). The kernel itself says which sockets listen at the address (sock_diag(7)), and whose
descriptors they are (proc_pid_fd(5)); what was copied is asked once more what it is. It is taken from a process of
root's only, since anybody may listen on some port, or under any path in a mount namespace of his own.
"""

import _socket
import posix

from cross_init.errors import Failure, why
from cross_init.kernel.process_stat import open_descriptors
from cross_init.kernel.procfs import process_owner
from cross_init.kernel.sock_diag import tcp_listeners, unix_at, unix_listeners, why_not
from cross_init.kernel.system_calls import copy_descriptor, need_library
from cross_init.sockets.address import Address
from cross_init.sockets.passed import Passed, describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    # A UNIX socket's name as the kernel has it; or an IP address, a port, and the interface of a link-local address.
    Place = bytes | tuple[bytes, int, int]


def find(address: Address) -> "tuple[set[Place], set[int]]":
    """What this address is: the places that it stands for, and the inodes that listen there. Raises Failure."""
    what = f"--adopt-socket {address.text}"
    places = asked_for(address)
    try:
        inodes = listening_at(places)
        if len(inodes) > 1 and address.path.startswith("/"):
            inodes = inodes & unix_at(address.path) or inodes  # the others were there before, or are elsewhere
    except OSError as error:
        raise Failure(f"{what}: {why_not(error)}") from None
    if not inodes:
        raise Failure(f"{what}: nobody listens there: start the service's socket first")
    if posix.geteuid() != 0:
        raise Failure(f"{what}: taking a socket from another process needs root")
    need_library(what)
    return places, inodes


def adopt(address: Address) -> Passed:
    """The listening socket at this address, as a descriptor of ours. Raises Failure."""
    what = f"--adopt-socket {address.text}"
    places, inodes = find(address)
    refused = "no process can be found that holds it"
    for pid, fd, inode in holders(inodes):
        owner = process_owner(pid)
        if owner != 0:
            refused = f"process {pid} holds it, which is user {owner}'s and not root's: who is that?"
            continue
        try:
            taken = take(pid, fd)
        except OSError as error:
            refused = f"taking it from process {pid} failed: {why(error)}"
            continue
        if posix.fstat(taken).st_ino == inode and is_one_of(listens_at(taken), places):
            return describe(taken, address.name)
        posix.close(taken)
        refused = f"descriptor {fd} of process {pid} is not that socket any more"
    raise Failure(f"{what}: {refused}")


def asked_for(address: Address) -> "set[Place]":
    """The places that this address stands for: a host may have several. Raises Failure."""
    if address.path:
        path = address.path.encode("utf-8", "surrogateescape")
        return {b"\0" + path[1:] if path.startswith(b"@") else path}
    try:
        host = address.host.encode("utf-8", "surrogateescape") or None
        found = _socket.getaddrinfo(host, address.port, 0, int(_socket.SOCK_STREAM), 0, 1)
    except (OSError, _socket.gaierror) as error:
        raise Failure(f"--adopt-socket {address.text}: looking up {address.host}: {error}") from None
    return {inet_place(int(family), where) for family, _, _, _, where in found}


def inet_place(family: int, where: "tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]") -> "Place":
    """An address of getaddrinfo(3) or getsockname(2). An IPv4 address on an IPv6 socket stays what it is."""
    host = str(where[0]).partition("%")[0]
    interface = where[3] if len(where) == 4 else 0
    return _socket.inet_pton(family, host), int(where[1]), interface


def is_one_of(place: "Place | None", places: "set[Place]") -> bool:
    """Whether it was asked for; who names no interface means any."""
    return place in places or (isinstance(place, tuple) and (*place[:2], 0) in places)


def listening_at(places: "set[Place]") -> set[int]:
    """The inodes of the sockets that listen at exactly these places, in our network namespace. Raises OSError."""
    if any(isinstance(place, bytes) for place in places):
        return {inode for name, kind, inode, _ in unix_listeners() if kind == _socket.SOCK_STREAM and name in places}
    without_interface = {place[:2] for place in places if isinstance(place, tuple)}
    return {inode for host, port, inode, _ in tcp_listeners() if (host, port) in without_interface}


def holders(inodes: set[int]) -> list[tuple[int, int, int]]:
    """Who has one of these sockets open: process, descriptor and inode."""
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    others = [int(name) for name in posix.listdir("/proc") if name.isdigit() and int(name) != posix.getpid()]
    return [
        (pid, fd, wanted[link])
        for pid in others
        for fd, link in (open_descriptors(pid) or {}).items()
        if link in wanted
    ]


def take(pid: int, fd: int) -> int:
    """A copy of the process's descriptor. Raises OSError."""
    pidfd = posix.pidfd_open(pid)
    try:
        # Only now that the process cannot be taken for another one: it has to be root's still.
        if process_owner(pid) != 0:
            raise PermissionError(1, "it is not root's any more")
        return copy_descriptor(pidfd, fd)
    finally:
        posix.close(pidfd)


def listens_at(fd: int) -> "Place | None":
    """Where this descriptor listens for streams, as the kernel has it for the socket itself; None if it does not."""
    try:
        sock = _socket.socket(fileno=fd)
    except OSError:
        return None  # no socket
    try:
        listens = sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_ACCEPTCONN)
        if not listens or sock.type != _socket.SOCK_STREAM:
            return None
        where = sock.getsockname()
        if sock.family == _socket.AF_UNIX:
            return where if isinstance(where, bytes) else where.encode("utf-8", "surrogateescape")
        if sock.family in (_socket.AF_INET, _socket.AF_INET6):
            return inet_place(int(sock.family), where)
    except OSError:
        pass
    finally:
        sock.detach()
    return None
