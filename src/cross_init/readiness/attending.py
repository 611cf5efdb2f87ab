"""Whether a process attends to a socket that it was passed: in epoll, poll, select or accept, or serves a client.

The kernel shows what an epoll watches (proc_pid_fdinfo(5)), and in which system call a thread waits
(proc_pid_syscall(5)); the list that poll(2) was given is in the process's memory. Nothing of this can be seen of
io_uring. What we may not look at is no evidence; who asks is told.
"""

import posix
from sys import byteorder

from cross_init.kernel.linux import read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.sockets.passed import Passed

EPOLL = "anon_inode:[eventpoll]"
ACCEPTS_TCP = "inet_csk_accept"  # where in the kernel a thread waits then (proc_pid_wchan(5))
ESTABLISHED = "01"  # proc_pid_net(5), tcp
MOST = 65536  # bytes of a list for poll(2): 8,192 descriptors
POLLFD = 8  # bytes of a struct pollfd, its descriptor first
# What a system call waits for: the descriptor in its first argument, a list for poll(2), or sets for select(2).
ONE, LIST, SETS = "one", "list", "sets"
GENERIC = {202: ONE, 242: ONE, 207: ONE, 212: ONE, 243: ONE, 63: ONE, 65: ONE, 73: LIST, 72: SETS}
CALLS: dict[str, dict[int, str]] = {  # accept, accept4, recvfrom, recvmsg, recvmmsg, read, readv, (p)poll, (p)select
    "x86_64": {43: ONE, 288: ONE, 45: ONE, 47: ONE, 299: ONE, 0: ONE, 19: ONE}
    | {7: LIST, 271: LIST, 23: SETS, 270: SETS},
    "aarch64": GENERIC,
    "riscv64": GENERIC,
    "loongarch64": GENERIC,
}


class Sockets:
    """The sockets that a daemon was passed, as they are found again in its processes."""

    def __init__(self, sockets: "list[Passed]", inodes: list[int]) -> None:
        self.inodes = set(inodes)
        self.links = {f"socket:[{inode}]" for inode in inodes}
        self.ports = {
            each.address[1]
            for each in sockets
            if each.family in ("inet", "inet6") and each.listening and isinstance(each.address, tuple)
        }
        self.calls = CALLS.get(posix.uname().machine, {})
        self.is_hidden = False  # what some thread waits for

    def are_attended(self, pid: int, links: dict[int, str]) -> bool:
        """Whether this process, which has these descriptors open, attends to one of the sockets."""
        mine = {fd for fd, link in links.items() if link in self.links}
        if any(self._is_watched(pid, fd) for fd, link in links.items() if link == EPOLL):
            return True
        if self._is_served(pid, set(links.values())):
            return True
        return bool(mine) and any(self._waits(pid, tid, mine) for tid in tasks(pid))

    def _is_watched(self, pid: int, epoll: int) -> bool:
        """Whether it has one of them in this epoll, whichever descriptor it had when it was put there."""
        for line in read(f"/proc/{pid}/fdinfo/{epoll}", 1 << 20).split("\n"):
            fields = line.replace(":", " ").split()
            if fields[:1] == ["tfd"] and "ino" in fields:
                inode = fields[fields.index("ino") + 1 :][:1]
                if inode and int(inode[0], 16) in self.inodes:
                    return True
        return False

    def _is_served(self, pid: int, own: set[str]) -> bool:
        """Whether it has a client's connection to one of the ports."""
        if not self.ports:
            return False
        for table in ("tcp", "tcp6"):
            for line in read(f"/proc/{pid}/net/{table}", 1 << 24).split("\n")[1:]:
                fields = line.split()
                is_own = len(fields) > 9 and fields[3] == ESTABLISHED and f"socket:[{fields[9]}]" in own
                if is_own and int(fields[1].rpartition(":")[2], 16) in self.ports:
                    return True
        return False

    def _waits(self, pid: int, tid: str, mine: set[int]) -> bool:
        """Whether this thread waits for one of them."""
        folder = f"/proc/{pid}/task/{tid}"
        said = read(f"{folder}/syscall")
        if not said:
            if read(f"{folder}/wchan").startswith(ACCEPTS_TCP):
                return True
            self.is_hidden = True
            return False
        words = said.split()
        kind = self.calls.get(int(words[0])) if words[0].isdigit() else None  # "running", or -1: in no system call
        if kind is None:
            return False
        first, second = (int(word, 16) for word in words[1:3])
        if kind == ONE:
            return first & 0xFFFFFFFF in mine
        if kind == LIST:
            data = memory(pid, first, min(second * POLLFD, MOST))
            return any(int.from_bytes(data[at : at + 4], byteorder) in mine for at in range(0, len(data), POLLFD))
        words_read = memory(pid, second, min((first & 0xFFFFFFFF) // 64 * 8 + 8, MOST)) if second else b""
        return any(fd // 8 < len(words_read) and _bit(words_read, fd) for fd in mine)


def _bit(words: bytes, fd: int) -> bool:
    """Whether this descriptor is in an fd_set, which is made of longs of 64 bits."""
    at = fd // 64 * 8
    return bool(int.from_bytes(words[at : at + 8], byteorder) >> fd % 64 & 1)


def tasks(pid: int) -> list[str]:
    """The threads of a process; none if it has ended."""
    try:
        return posix.listdir(f"/proc/{pid}/task")
    except OSError:
        return []


def memory(pid: int, address: int, size: int) -> bytes:
    """What a process has there; nothing if that cannot be had."""
    try:
        fd = posix.open(f"/proc/{pid}/mem", posix.O_RDONLY | posix.O_CLOEXEC)
        try:
            return posix.pread(fd, size, address)
        finally:
            posix.close(fd)
    except (OSError, OverflowError):
        return b""
