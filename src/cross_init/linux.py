"""The few system calls that Python lacks or whose failure needs a sentence, and what /proc says of a process."""

import errno
import posix

from cross_init.model import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket

LIMITS = {  # what a sandbox or a limit makes fail anywhere, and what to do
    errno.EMFILE: "raise the limit on open files (ulimit -n; systemd: LimitNOFILE=)",
    errno.ENFILE: "too many are open on this machine",
    errno.EAFNOSUPPORT: "allow UNIX sockets (systemd: AF_UNIX in RestrictAddressFamilies=)",
    errno.ENOSPC: "make room there",
    errno.EROFS: "it cannot be written to here",
}
NO_PROCESS = "the kernel gave no process for it; is a limit on processes reached?"
SO_ATTACH_FILTER = 26  # socket(7); asm-generic/socket.h: the same number on every architecture that Python is built for
# Whether two descriptors are one open file: its number differs, where it was there before all got the same ones.
KCMP = {"x86_64": 312, "aarch64": 272, "riscv64": 272, "loongarch64": 272}
KCMP_FILE = 0  # linux/kcmp.h
PIDFD_GETFD = 438  # asm-generic/unistd.h; the C library has no function for it before glibc 2.36
PIDFD_GET_INFO, PIDFD_INFO_EXIT = 0xC040FF0B, 0x8  # linux/pidfd.h; a struct of 64 bytes, the exit code at its end
BPF_RETURN_0 = (0x06, 0, 0, 0)  # BPF_RET | BPF_K: accept 0 bytes of the packet, which drops it


def read(path: str, most: int = 65536) -> str:
    """The text of a file in /proc, "" if it cannot be read; most: how many bytes of it."""
    try:
        fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return ""
    text = b""
    try:
        while len(text) < most and (part := posix.read(fd, most - len(text))):
            text += part
    except OSError:
        return ""
    finally:
        posix.close(fd)
    return text.decode("utf-8", "replace")


def why(error: OSError) -> str:
    """What a system call failed of, and what to do if that is known."""
    hint = LIMITS.get(error.errno or 0)
    return f"{error.strerror or error}{f'; {hint}' if hint else ''}"


def is_private(folder: str, user: int) -> bool:
    """Whether it is a folder of this user's in which nobody else can make anything."""
    try:
        status = posix.lstat(folder)
    except OSError:
        return False
    return status.st_mode & 0o170000 == 0o040000 and status.st_uid == user and not status.st_mode & 0o022


def is_socket(fd: int) -> bool:
    """Whether this is the descriptor of a socket."""
    try:
        return posix.fstat(fd).st_mode & 0o170000 == 0o140000  # S_IFSOCK, inode(7)
    except OSError:
        return False


def fork(what: str) -> int:
    """posix.fork(). what: what the new process is for, in words. Raises Failure."""
    try:
        return posix.fork()
    except OSError as error:
        raise Failure(f"{what}: {NO_PROCESS} ({error.strerror})") from None


def drop_everything(sock: "socket") -> None:
    """Make this datagram socket a black hole: from now on every message to it succeeds and vanishes.

    The kernel drops each one as it arrives and closes the descriptors in it, so a sender is never held up, not even
    when nobody reads. What is queued already stays readable. No privilege is needed. Raises OSError.
    """
    from _socket import SOL_SOCKET
    from array import array
    from struct import pack

    instruction = array("B", pack("HBBI", *BPF_RETURN_0))
    where, _ = instruction.buffer_info()
    sock.setsockopt(SOL_SOCKET, SO_ATTACH_FILTER, pack("HP", 1, where))


def process_stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on, the state (proc_pid_stat(5)); none if the process is gone."""
    try:
        fd = posix.open(f"/proc/{pid}/stat", posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return []
    try:
        text = posix.read(fd, 4096)
    except OSError:
        return []
    finally:
        posix.close(fd)
    return text[text.rindex(b")") + 1 :].decode().split()  # the command's name, in parentheses, may hold anything


def process_state(pid: int) -> str:
    """R, S, D, T (stopped), Z, ...; "" if the process is gone."""
    return (process_stat(pid) or [""])[0]


def descends(pid: int, ancestor: int) -> bool:
    """Whether pid is the ancestor, one of its descendants, or in the session that it leads.

    A descendant whose parents have ended belongs to init; only its session still tells where it came from.
    """
    own = process_stat(ancestor)
    leads = len(own) > 3 and own[3] == str(ancestor)
    first = process_stat(pid)
    if leads and len(first) > 3 and first[3] == str(ancestor):
        return True
    for _ in range(1000):  # longer than any real line of descent; processes come and go while we look
        if pid == ancestor:
            return True
        fields = process_stat(pid)
        pid = int(fields[1]) if len(fields) > 1 else 0
        if pid <= 1:
            return pid == ancestor
    return False


def pending_signals(pid: int) -> int:
    """The signals that wait, blocked, for the process as a whole: bit N-1 for signal N (proc_pid_status(5))."""
    try:
        fd = posix.open(f"/proc/{pid}/status", posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return 0
    try:
        for line in posix.read(fd, 65536).splitlines():
            if line.startswith(b"ShdPnd:"):
                return int(line.split()[1], 16)
    except OSError:
        pass
    finally:
        posix.close(fd)
    return 0


def _call(name: str, *arguments: int | bytes) -> int:
    """A function of the C library, of ints and paths. Raises OSError, and Failure where Python has no ctypes."""
    try:
        import ctypes
    except ImportError:  # Debian's python3-minimal
        raise Failure(f"calling {name}: this Python has no module ctypes; install python3") from None
    library = ctypes.CDLL(None, use_errno=True)
    result: int = library[name](*arguments)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, posix.strerror(number))
    return result


def inotify_open() -> int:
    """A descriptor to watch paths with (inotify(7)), non-blocking. Raises OSError."""
    return _call("inotify_init1", posix.O_NONBLOCK | posix.O_CLOEXEC)


def inotify_add(fd: int, path: str, events: int) -> None:
    """Watch a path as well. Raises OSError."""
    _call("inotify_add_watch", fd, path.encode("utf-8", "surrogateescape"), events)


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parents end (PR_SET_CHILD_SUBREAPER, prctl(2)). Raises OSError."""
    _call("prctl", 36, 1, 0, 0, 0)


def copy_descriptor(pidfd: int, fd: int) -> int:
    """A copy of another process's descriptor, closed at exec (pidfd_getfd(2)). Raises OSError."""
    return _call("syscall", PIDFD_GETFD, pidfd, fd, 0)


def same_open_file(one: int, other: int) -> bool:
    """Whether two of our descriptors are the same open file (kcmp(2), open(2)).

    Where the kernel does not say: whether they are the same file, opened in the same way, as systemd has it then.
    """
    from fcntl import F_GETFL, fcntl

    first, second = posix.fstat(one), posix.fstat(other)
    if (first.st_dev, first.st_ino) != (second.st_dev, second.st_ino):
        return False
    number, pid = KCMP.get(posix.uname().machine), posix.getpid()
    if number is not None:
        try:
            return _call("syscall", number, pid, pid, KCMP_FILE, one, other) == 0
        except (OSError, Failure):
            pass  # forbidden, or left out of this kernel
    same: bool = fcntl(one, F_GETFL) == fcntl(other, F_GETFL)
    return same


def process_owner(pid: int) -> int:
    """The user of a process that matters for what it may do, by number; -1 if it is gone (proc_pid_status(5), Uid)."""
    for line in read(f"/proc/{pid}/status").splitlines():
        if line.startswith("Uid:"):
            return max(map(int, line.split()[1:3]))  # real and effective
    return -1


def process_of(pidfd: int) -> int:
    """The process that a pidfd refers to (proc_pid_fdinfo(5)); 0 if it is none, or has ended."""
    for line in read(f"/proc/self/fdinfo/{pidfd}").splitlines():
        key, _, value = line.partition(":")
        if key == "Pid" and value.strip().isdigit():
            return int(value)
    return 0


def pidfd_identity(pidfd: int) -> int:
    """The number that no other process's pidfd ever has (sd_notify(3), MAINPIDFDID); 0 before Linux 6.9.

    pidfd: not of this process, and open. Before, all pidfds shared one inode.
    """
    own = posix.pidfd_open(posix.getpid())
    shared = posix.fstat(own).st_ino
    posix.close(own)
    number = posix.fstat(pidfd).st_ino
    return 0 if number == shared else number


def exit_of_stranger(pidfd: int) -> int:
    """The wait status of an ended process that is not our child; 0 if the kernel does not tell.

    It does since Linux 6.15, once the process's own parent has waited for it (linux/pidfd.h, PIDFD_INFO_EXIT).
    """
    from fcntl import ioctl
    from sys import byteorder

    info = bytearray(PIDFD_INFO_EXIT.to_bytes(8, byteorder) + bytes(56))
    try:
        ioctl(pidfd, PIDFD_GET_INFO, info)
    except OSError:
        return 0
    has = int.from_bytes(info[:8], byteorder) & PIDFD_INFO_EXIT
    return int.from_bytes(info[60:], byteorder) if has else 0
