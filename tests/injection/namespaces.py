"""Namespaces of one's own for one run: mount, PID and network, an empty /run, and nothing outside that changes.

The process that runs in them is PID 1 there: it reaps what loses its parent, and with its end all ends.
"""

import ctypes
import os
import signal
import socket
import struct
from pathlib import Path

CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWIPC = 0x20000, 0x20000000, 0x40000000, 0x08000000
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
PR_SET_PDEATHSIG = 1
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> int:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), what)
    return result


def end_with_parent() -> None:
    """SIGKILL for this process when its parent ends."""
    _checked(_libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0), "prctl")


def unshare() -> None:
    """What this process forks next is PID 1 of new namespaces. Raises OSError."""
    _checked(_libc.unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC), "unshare")


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    """mount(2). Raises OSError."""
    words = [word.encode() for word in (source, target, kind)]
    _checked(_libc.mount(*words, ctypes.c_ulong(flags), data.encode()), f"mounting {target}")


def settle_in(kept: Path) -> None:
    """As PID 1 of them: /proc, an empty /run, a network. kept: a folder that nobody is to write to. Raises OSError."""
    mount("none", "/", "", MS_REC | MS_PRIVATE)
    mount(str(kept), str(kept), "", MS_BIND)
    mount("none", str(kept), "", MS_REMOUNT | MS_BIND | MS_RDONLY)
    mount("proc", "/proc", "proc", 0)
    mount("tmpfs", "/run", "tmpfs", 0, "mode=0755")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        import fcntl

        request = struct.pack("16sH14x", b"lo", 0)
        flags = struct.unpack_from("H", fcntl.ioctl(any_socket, SIOCGIFFLAGS, request), 16)[0]
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | IFF_UP))


def inotify(folder: str) -> int:
    """A descriptor that can be read when a file in this folder was written to the end, or moved there (inotify(7))."""
    fd = _checked(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), "inotify_init1")
    _checked(_libc.inotify_add_watch(fd, folder.encode(), 0x8 | 0x80), folder)  # IN_CLOSE_WRITE | IN_MOVED_TO
    return fd
