"""The few system calls that Python has no function for: by ctypes, or in the static file by a module that is built in.

That one (tools/static/main.c) has a function `call` for them, as a static program loads no library (dlopen(3)).
"""

import posix
import sys

from cross_init.errors import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# Whether two descriptors are one open file: its number differs, where it was there before all got the same ones.
KCMP = {"x86_64": 312, "aarch64": 272, "riscv64": 272, "loongarch64": 272}
# Kinds of namespaces (linux/sched.h).
CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC = 0x20000, 0x2000000, 0x4000000, 0x8000000
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
KCMP_FILE = 0  # linux/kcmp.h
IOPRIO_SET = {"x86_64": 251, "aarch64": 30, "riscv64": 30, "loongarch64": 30}  # the C library has no function for it
SET_MEMPOLICY = {"x86_64": 238, "aarch64": 237, "riscv64": 237, "loongarch64": 237}  # likewise
ADD_KEY = {"x86_64": 248, "aarch64": 217, "riscv64": 217, "loongarch64": 217}  # likewise, as is the next one
KEYCTL = {"x86_64": 250, "aarch64": 219, "riscv64": 219, "loongarch64": 219}
KEYCTL_JOIN_SESSION_KEYRING, KEYCTL_SETPERM, KEYCTL_LINK = 1, 5, 8  # linux/keyctl.h, as are the next ones
OF_SESSION, OF_USER = -3, -4  # KEY_SPEC_..._KEYRING
KEY_IS_READ = 0x0B0B0000  # viewed, read and found, by who has it and by its user
PR_SET_TIMERSLACK, PR_SET_NO_NEW_PRIVS, PR_SET_THP_DISABLE, PR_SET_MEMORY_MERGE = 29, 38, 41, 67  # linux/prctl.h
CAPABILITY_VERSION_3 = 0x20080522  # linux/capability.h
PIDFD_GETFD = 438  # asm-generic/unistd.h; the C library has no function for it before glibc 2.36


BUILT_IN = "cross_init_calls" in sys.builtin_module_names
_functions: "dict[str, Callable[..., int]]" = {}  # those of the C library that were called


def need_library(what: str) -> None:
    """See whether they can be made. what: what needs that, in words. Raises Failure."""
    if BUILT_IN:
        return
    try:
        __import__("_ctypes")
    except ImportError:  # Debian's python3-minimal
        raise Failure(f"{what}: this Python has no module ctypes; install python3") from None


def _call(name: str, *arguments: int | bytes) -> int:
    """A function of the C library, of ints and paths. Raises OSError, and Failure where Python has no ctypes."""
    if BUILT_IN:
        from cross_init_calls import call

        return call(name, *arguments)
    need_library(f"calling {name}")
    from _ctypes import get_errno

    if name not in _functions:
        _functions[name] = _function(name)
    result: int = _functions[name](*arguments)
    if result < 0:
        number: int = get_errno()
        raise OSError(number, posix.strerror(number))
    return result


def _function(name: str) -> "Callable[..., int]":
    """As ctypes has it, of whose parts in Python a start would wait three times as long."""
    import _ctypes

    class Int(_ctypes._SimpleCData):  # type: ignore[type-arg]
        _type_ = "i"

    class Function(_ctypes.CFuncPtr):
        _flags_ = _ctypes.FUNCFLAG_CDECL | _ctypes.FUNCFLAG_USE_ERRNO
        _restype_ = Int

    program: Any = None  # this one
    found: Callable[..., int] = Function(_ctypes.dlsym(_ctypes.dlopen(program, 0), name))
    return found


def inotify_open() -> int:
    """A descriptor to watch paths with (inotify(7)), non-blocking. Raises OSError."""
    return _call("inotify_init1", posix.O_NONBLOCK | posix.O_CLOEXEC)


def inotify_add(fd: int, path: str, events: int) -> None:
    """Watch a path as well. Raises OSError."""
    _call("inotify_add_watch", fd, path.encode("utf-8", "surrogateescape"), events)


def move_to_network(network: int) -> None:
    """Let this thread be in the network namespace of this descriptor. Raises OSError, Failure."""
    enter(network, CLONE_NEWNET)


def leave(spaces: int) -> None:
    """Have new namespaces of these kinds, as unshare(2) has them. Raises OSError, Failure."""
    _call("unshare", spaces)


def enter(space: int, kind: int) -> None:
    """Be in the namespace of this descriptor, which is of this kind (setns(2)). Raises OSError, Failure."""
    _call("setns", space, kind)


def mount(source: bytes, target: bytes, kind: bytes, flags: int, options: bytes = b"") -> None:
    """Mount it, or change a mount (mount(2)). kind: of file system. What is empty is not said. Raises OSError."""
    _call("mount", source or 0, target, kind or 0, flags, options or 0)


def unmount(target: bytes, flags: int = 0) -> None:
    """Unmount it (umount2(2)). Raises OSError, Failure."""
    _call("umount2", target, flags)


def by_number(name: str, numbers: dict[str, int], *arguments: int | bytes) -> int:
    """A call that the C library has no function for, or not everywhere. numbers: by the machine. Raises OSError."""
    machine = posix.uname().machine
    if machine not in numbers:
        raise OSError(38, f"nobody has said which number {name}(2) has on {machine}")
    return _call("syscall", numbers[machine], *arguments)


def set_memory_policy(policy: int, nodes: bytes, bits: int) -> None:
    """Which nodes' memory this process takes (set_mempolicy(2)). nodes: a mask of so many bits less one, or none."""
    by_number("set_mempolicy", SET_MEMPOLICY, policy, nodes or 0, bits if nodes else 0)


def join_new_keyring() -> None:
    """Have a session keyring that nobody else has, the real user's (keyctl(2)). Raises OSError, Failure."""
    by_number("keyctl", KEYCTL, KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0)


def link_user_keyring() -> None:
    """Have the real user's own keyring in it. Raises OSError, Failure."""
    by_number("keyctl", KEYCTL, KEYCTL_LINK, OF_USER, OF_SESSION, 0, 0)


def add_user_key(name: bytes, value: bytes) -> None:
    """A key in it that is read, and not changed (add_key(2)). Raises OSError, Failure."""
    key = by_number("add_key", ADD_KEY, b"user", name, value, len(value), OF_SESSION)
    by_number("keyctl", KEYCTL, KEYCTL_SETPERM, key, KEY_IS_READ, 0, 0)


def remove_object(kind: str, number: int) -> None:
    """One of System V's (shmctl(2), semctl(2), msgctl(2)). kind: shm, sem, msg. Raises OSError, Failure."""
    _call(f"{kind}ctl", number, 0, 0)  # IPC_RMID is 0, and the second is the third of semctl


def copy_descriptor(pidfd: int, fd: int) -> int:
    """A copy of another process's descriptor, closed at exec (pidfd_getfd(2)). Raises OSError."""
    return _call("syscall", PIDFD_GETFD, pidfd, fd, 0)


def process_control(*words: int) -> None:
    """Have the kernel treat this process in this way (prctl(2)). Raises OSError, Failure."""
    _call("prctl", *words, *(0,) * (5 - len(words)))


def set_io_priority(priority: int) -> None:
    """This process's, its class and level as one number (ioprio_set(2)). Raises OSError, Failure."""
    by_number("ioprio_set", IOPRIO_SET, 1, 0, priority)


def set_personality(number: int) -> None:
    """personality(2). Raises OSError, Failure."""
    _call("personality", number)


def set_capabilities(effective: int, permitted: int, inheritable: int) -> None:
    """Of this process (capset(2)). Raises OSError, Failure."""
    sets = (effective, permitted, inheritable)
    halves = b"".join((each >> shift & 0xFFFFFFFF).to_bytes(4, sys.byteorder) for shift in (0, 32) for each in sets)
    header = CAPABILITY_VERSION_3.to_bytes(4, sys.byteorder) + bytes(4)
    _call("capset", header, halves)


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
