"""--adopt-socket ADDRESS: take over a listening socket that another process holds for the service.

Upstart passes a job its socket only when a client has started it. After a manual start the socket bridge goes on
holding the port, and the job could neither get it nor open it anew. The kernel lets root copy a descriptor out of a
process (pidfd_getfd(2)). The socket is found by its address in the kernel's table of listening sockets, and from there
on by its inode alone; it is taken from a process of root's only, since anybody may listen on some port.
"""

import _socket
import posix

from cross_init.kernel_knows import process_owner
from cross_init.linux import read, why
from cross_init.listen import Address, parse
from cross_init.model import Failure
from cross_init.sockets import Passed, describe
from cross_init.system_calls import copy_descriptor

LISTENS = "0A"  # proc_pid_net(5), tcp
ACCEPTS = 0x10000  # proc_pid_net(5), unix
LONGEST = 1 << 24


def adopt(text: str) -> Passed:
    """The listening socket at this address, as a descriptor of ours. Raises Failure."""
    address = parse(text)
    what = f"--adopt-socket {text}"
    if address.kind not in ("tcp", "unix"):
        raise Failure(f"{what}: only sockets that listen can be found: write tcp:HOST:PORT or unix:PATH")
    inodes = listening_at(address)
    if not inodes:
        raise Failure(f"{what}: nobody listens there: start the service's socket first")
    if posix.geteuid() != 0:
        raise Failure(f"{what}: taking a socket from another process needs root")
    refused = "no process can be found that holds it"
    for pid, fd, inode in holders(inodes):
        owner = process_owner(pid)
        if owner != 0:
            raise Failure(f"{what}: process {pid} holds it, which is user {owner}'s and not root's: who is that?")
        try:
            taken = take(pid, fd, inode)
        except OSError as error:
            refused = f"taking it from process {pid} failed: {why(error)}"
            continue
        if taken is not None:
            return describe(taken, address.name)
    raise Failure(f"{what}: {refused}")


def listening_at(address: Address) -> set[str]:
    """The inodes of the sockets that listen at exactly this address, in our network namespace. Raises Failure."""
    if address.path:
        found = (line.split(None, 7) for line in read("/proc/self/net/unix", LONGEST).splitlines()[1:])
        return {each[6] for each in found if len(each) == 8 and int(each[3], 16) & ACCEPTS and each[7] == address.path}
    try:
        host = address.host.encode("utf-8", "surrogateescape") or None
        places = {entry[4][0] for entry in _socket.getaddrinfo(host, address.port, 0, int(_socket.SOCK_STREAM), 0, 1)}
    except (OSError, _socket.gaierror) as error:
        raise Failure(f"--adopt-socket {address.text}: looking up {address.host}: {error}") from None
    wanted = {f"{as_in_proc(str(place))}:{address.port:04X}" for place in places}
    lines = [line for table in ("tcp", "tcp6") for line in read(f"/proc/self/net/{table}", LONGEST).splitlines()[1:]]
    fields = [line.split() for line in lines]
    return {each[9] for each in fields if len(each) > 9 and each[3] == LISTENS and each[1] in wanted}


def as_in_proc(host: str) -> str:
    """An IP address as the kernel prints it there: words of 32 bits in this machine's byte order (proc_pid_net(5))."""
    from sys import byteorder

    data = _socket.inet_pton(_socket.AF_INET6 if ":" in host else _socket.AF_INET, host.partition("%")[0])
    words = [data[at : at + 4] for at in range(0, len(data), 4)]
    return "".join(f"{int.from_bytes(word, byteorder):08X}" for word in words)


def holders(inodes: set[str]) -> list[tuple[int, int, str]]:
    """Who has one of these sockets open: process, descriptor and inode."""
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    found = []
    for name in posix.listdir("/proc"):
        if not name.isdigit() or int(name) == posix.getpid():
            continue
        folder = f"/proc/{name}/fd"
        try:
            for fd in posix.listdir(folder):
                link = posix.readlink(f"{folder}/{fd}")
                if link in wanted:
                    found.append((int(name), int(fd), wanted[link]))
        except OSError:
            continue  # it has ended
    return found


def take(pid: int, fd: int, inode: str) -> int | None:
    """A copy of the process's descriptor, None if it is not that socket any more. Raises OSError."""
    pidfd = posix.pidfd_open(pid)
    try:
        # Only now that the process cannot be taken for another one: it has to be root's still.
        if process_owner(pid) != 0:
            return None
        taken = copy_descriptor(pidfd, fd)
    finally:
        posix.close(pidfd)
    if str(posix.fstat(taken).st_ino) != inode:
        posix.close(taken)
        return None
    return taken
