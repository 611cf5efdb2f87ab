"""What nearly every start asks of the kernel, and system calls whose failure needs a sentence."""

import posix

from cross_init.model import Failure

NO_PROCESS = "the kernel gave no process for it; is a limit on processes reached?"


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
    import errno

    hints = {  # what a sandbox or a limit makes fail anywhere, and what to do
        errno.EMFILE: "raise the limit on open files (ulimit -n; systemd: LimitNOFILE=)",
        errno.ENFILE: "too many are open on this machine",
        errno.EAFNOSUPPORT: "allow UNIX sockets (systemd: AF_UNIX in RestrictAddressFamilies=)",
        errno.ENOSPC: "make room there",
        errno.EROFS: "it cannot be written to here",
    }
    hint = hints.get(error.errno or 0)
    return f"{error.strerror or error}{f'; {hint}' if hint else ''}"


def is_private(folder: str | int, user: int) -> bool:
    """Whether it is a folder of this user's in which nobody else can make anything.

    By a path this counts only where nobody else can put something else in its place; else ask by a descriptor.
    """
    try:
        status = posix.fstat(folder) if isinstance(folder, int) else posix.lstat(folder)
    except OSError:
        return False
    return status.st_mode & 0o170000 == 0o040000 and status.st_uid == user and not status.st_mode & 0o022


def is_there(pid: int) -> bool:
    """Whether there is a process of this number, whoever's it is."""
    try:
        posix.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


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


def process_stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on, the state (proc_pid_stat(5)); none if the process is gone."""
    return read(f"/proc/{pid}/stat").rpartition(")")[2].split()  # the command's name, in parentheses, may hold anything


def process_state(pid: int) -> str:
    """R, S, D, T (stopped), Z, ...; "" if the process is gone."""
    return (process_stat(pid) or [""])[0]
