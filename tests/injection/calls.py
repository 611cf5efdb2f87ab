"""Which errors a system call may have: the table of what is made to fail, and how.

They are those of the manual pages that a machine can really show to a program that makes no mistake: resources that
run out, a signal that interrupts, what a sandbox or an old kernel forbids, and peers that are gone.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from errno import (
    EACCES,
    EADDRINUSE,
    EAGAIN,
    ECONNABORTED,
    EINTR,
    EINVAL,
    EIO,
    EMFILE,
    ENFILE,
    ENOBUFS,
    ENOENT,
    ENOMEM,
    ENOSPC,
    ENOSYS,
    EOPNOTSUPP,
    EPERM,
    EPIPE,
    EROFS,
    errorcode,
)
from fcntl import F_DUPFD, F_DUPFD_CLOEXEC
from socket import MSG_DONTWAIT

WRITES = ("write", "pwritev2")
MAY_WAIT = ("recvfrom", "recvmsg", "sendto", "sendmsg", "connect")  # EAGAIN: if told not to
FLAGS = {"recvfrom": 3, "recvmsg": 2, "sendto": 3, "sendmsg": 2}  # which argument says so
KILL, ERROR = "kill", "error"
KINDS = (KILL, ERROR)
FILES = (EMFILE, ENFILE, ENOMEM)
# "read, pipe": what it may have on a pipe; output: standard output or error, which others share. No error is here that
# would say what is not true: that the other end is gone (its process is killed instead), that a pipe of ours is full.
# Not here either: brk(2), whose failure is no number below zero; what cannot fail as it is used (getpid(2), kill(2) of
# an own child as root, ...).
ERRORS: dict[str, tuple[int, ...]] = {
    "accept4": (*FILES, ECONNABORTED, EINTR),
    "bind": (EACCES, EADDRINUSE, ENOMEM, ENOSPC, EROFS),
    "chdir": (EACCES, ENOENT),
    "chmod": (EPERM, EROFS),
    "clock_nanosleep": (EINTR,),
    "clone": (EAGAIN, ENOMEM),
    "clone3": (EAGAIN, ENOMEM, ENOSYS),
    "close": (),
    "close, file": (EIO, EINTR),
    "connect": (EAGAIN, EACCES),
    "dup": (EMFILE,),
    "dup2": (EMFILE, EINTR),
    "dup3": (EMFILE, EINTR),
    "epoll_create1": FILES,
    "execve": (EACCES, EAGAIN, ENOMEM, EIO),
    "faccessat": (EACCES,),
    "faccessat2": (EACCES, ENOSYS),
    "fchmod": (EPERM, EROFS),
    "fchmodat": (EPERM, EROFS),
    "fchownat": (EPERM, EROFS),
    "fcntl": (EMFILE,),
    "fork": (EAGAIN, ENOMEM),
    "fstat": (EIO, ENOMEM),
    "ftruncate": (EIO,),
    "getcwd": (ENOENT, ENOMEM),
    "getdents64": (EIO, ENOMEM),
    "getpeername": (ENOBUFS,),
    "getrandom": (EAGAIN, EINTR, ENOSYS),
    "getsockname": (ENOBUFS,),
    "getsockopt": (ENOMEM, ENOBUFS),
    "inotify_add_watch": (ENOSPC, ENOMEM, EACCES),
    "inotify_init1": FILES,
    "kcmp": (EPERM, ENOSYS),
    "linkat": (ENOSPC, EROFS),
    "listen": (EADDRINUSE, ENOMEM),
    "lstat": (EACCES, ENOMEM),
    "memfd_create": FILES,
    "mkdir": (EACCES, ENOSPC, EROFS),
    "mkdirat": (EACCES, ENOSPC, EROFS),
    "mmap": (ENOMEM,),
    "newfstatat": (EACCES, EIO, ENOMEM),
    "open": (EACCES, *FILES, EINTR),
    "openat": (EACCES, *FILES, EINTR),
    "pidfd_getfd": (EMFILE, EPERM, ENOSYS),
    "pidfd_open": (*FILES, ENOSYS),
    "pipe2": FILES,
    "poll": (EINTR, ENOMEM),
    "ppoll": (EINTR, ENOMEM),
    "prctl": (EINVAL, EPERM),
    "prlimit64": (EPERM,),
    "pselect6": (EINTR, ENOMEM),
    "pwritev2": (EAGAIN, EINTR, EIO, ENOSPC, ENOSYS, EOPNOTSUPP, EPIPE),
    "read": (EINTR, ENOMEM),
    "read, file": (EINTR, EIO, ENOMEM),
    "read, pipe": (EINTR,),
    "readlink": (EACCES, ENOMEM),
    "readlinkat": (EACCES, ENOMEM),
    "recvfrom": (EINTR, ENOMEM),
    "recvmsg": (EAGAIN, EINTR, ENOMEM),
    "rename": (EACCES, EIO, ENOSPC, EROFS),
    "renameat": (EACCES, EIO, ENOSPC, EROFS),
    "renameat2": (EACCES, EIO, ENOSPC, EROFS),
    "rmdir": (EACCES, EROFS),
    "rt_sigtimedwait": (EINTR,),
    "sendmsg": (EAGAIN, ENOBUFS, ENOMEM),
    "sendto": (EAGAIN, ENOBUFS, ENOMEM),
    "setsid": (EPERM,),
    "setsockopt": (ENOMEM, EPERM),
    "shutdown": (ENOBUFS,),
    "socket": (*FILES, EACCES, ENOBUFS),
    "socketpair": FILES,
    "stat": (EACCES, EIO, ENOMEM),
    "statx": (EACCES, EIO, ENOMEM),
    "timerfd_create": FILES,
    "unlink": (EACCES, EIO, EROFS),
    "unlinkat": (EACCES, EIO, EROFS),
    "utimensat": (EPERM, EROFS),
    "wait4": (EINTR,),
    "waitid": (EINTR,),
    "write": (EINTR,),
    "write, file": (EINTR, EIO, ENOSPC),
    "write, output": (EAGAIN, EINTR, EIO, ENOSPC, EPIPE),
}


@dataclass(frozen=True, order=True)
class Fault:
    """One fault: the count-th call of this name that the process with this role makes; error 0: SIGKILL before it.

    at: what it has to be about, see Call.
    """

    role: str
    call: str
    count: int
    at: str
    error: int

    @property
    def kind(self) -> str:
        return ERROR if self.error else KILL

    def __str__(self) -> str:
        return f"{self.role} {self.call}#{self.count} {self.at} {errorcode[self.error] if self.error else 'SIGKILL'}"


@dataclass(frozen=True)
class Call:
    """One that was made, with its first arguments. kind: what the first is a descriptor of; waits: it may have to."""

    role: str
    name: str
    arguments: tuple[int, ...] = (0, 0, 0, 0)
    kind: str = "none"
    waits: bool = True

    @property
    def errors(self) -> tuple[int, ...]:
        if self.name == "fcntl" and self.arguments[1] not in (F_DUPFD, F_DUPFD_CLOEXEC):
            return ()  # what only asks about an open descriptor, or changes it, cannot fail
        kind = "output" if self.name in WRITES and self.arguments[0] in (1, 2) else self.kind
        found = ERRORS.get(f"{self.name}, {kind}", ERRORS.get(self.name, ()))
        flags = FLAGS.get(self.name)
        waits = self.waits and not (flags is not None and self.arguments[flags] & MSG_DONTWAIT)
        return tuple(error for error in found if error != EAGAIN or not waits or self.name not in MAY_WAIT)


def faults(calls: Iterable[Call], kinds: Iterable[str] = KINDS) -> list[Fault]:
    """All that these calls, in the order in which they were made, can meet."""
    made: dict[tuple[str, str], int] = {}
    found: list[Fault] = []
    for each in calls:
        count = made[each.role, each.name] = made.get((each.role, each.name), 0) + 1
        errors = ((0,) if KILL in kinds else ()) + (each.errors if ERROR in kinds else ())
        found += [Fault(each.role, each.name, count, each.kind, error) for error in errors]
    return found
