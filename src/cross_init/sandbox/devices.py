"""A /dev of its own (PrivateDevices=): the devices that every program needs, and no other."""

import posix

from cross_init.kernel.folders import KIND, LINK, SOCKET
from cross_init.sandbox.mount_table import MS_BIND, MS_NOEXEC, MS_NOSUID, MS_STRICTATIME, mount

NODES = ("ptmx", "null", "zero", "full", "random", "urandom", "tty")
SHARED = ("pts", "shm")  # and, if the machine has them, OPTIONAL
OPTIONAL = ("mqueue", "hugepages")
LINKS = {"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"}
CORE = "/proc/kcore"
LOG = "/run/systemd/journal/dev-log"
DEVICE = 0o060000  # of which a character device has one bit less (inode(7))
CHARACTER = 0o020000


def make(at: str) -> list[str]:
    """Mount one there; returns what is mounted in it. Raises OSError."""
    shared = []
    posix.mkdir(at, 0o755)
    mount("tmpfs", at, "tmpfs", MS_NOSUID | MS_STRICTATIME | MS_NOEXEC, "mode=0755,size=4m,nr_inodes=64k")
    for name in (*SHARED, *OPTIONAL):
        posix.mkdir(f"{at}/{name}", 0o755)
        try:
            mount(f"/dev/{name}", f"{at}/{name}", "", MS_BIND)
            shared.append(name)
        except FileNotFoundError:
            continue  # the machine lacks it
        except OSError:
            if name in SHARED:
                raise
    _log(at)
    for name in NODES:
        try:
            if name == "ptmx" and posix.lstat(f"/dev/{name}").st_mode & KIND == LINK:
                posix.symlink("pts/ptmx", f"{at}/ptmx")
            else:
                _node(name, at)
        except FileNotFoundError:
            continue
    links = {**LINKS, "core": CORE} if posix.access(CORE, posix.F_OK) else LINKS
    for name, target in links.items():
        posix.symlink(target, f"{at}/{name}")
    return shared


def _log(at: str) -> None:
    """The log's socket: where systemd has it, or the one that stands there."""
    try:
        is_socket = posix.lstat("/dev/log").st_mode & KIND == SOCKET
    except OSError:
        is_socket = False
    if is_socket:
        posix.mknod(f"{at}/log", 0o100600)
        mount("/dev/log", f"{at}/log", "", MS_BIND)
    else:
        posix.symlink(LOG, f"{at}/log")


def _node(name: str, at: str) -> None:
    """The same device; the machine's own, where none may be made. Raises OSError."""
    status = posix.stat(f"/dev/{name}")
    kind = status.st_mode & KIND
    if kind not in (CHARACTER, DEVICE):
        return
    try:
        posix.mknod(f"{at}/{name}", status.st_mode, status.st_rdev)
    except PermissionError:
        posix.mknod(f"{at}/{name}", 0o100000)
        mount(f"/dev/{name}", f"{at}/{name}", "", MS_BIND)
    number = f"{posix.major(status.st_rdev)}:{posix.minor(status.st_rdev)}"
    folder = f"{at}/{'char' if kind == CHARACTER else 'block'}"
    try:
        posix.mkdir(folder, 0o755)
    except FileExistsError:
        pass  # it has others already
    posix.symlink(f"../{name}", f"{folder}/{number}")
