"""A control group of one service's own (cgroups(7), version 2): what is in it is the service's, whatever it has become.

It is made below our own, where that can be written to, as in a container that is given its part of the tree. Where
systemd runs, the tree is its own. Nothing here fails: where there can be none, others ways to know have to do.
"""

import posix
from time import monotonic, sleep

from cross_init.kernel.linux import read

SYSTEMD = "/run/systemd/system"  # is there where systemd runs (sd_booted(3))
GONE_S, STEP_S = 2.0, 0.01  # how long the kernel may take to empty one whose processes were killed
MODE = 0o755


class Group:
    """One that was made. path: its folder. name: as it stands in /proc/PID/cgroup."""

    __slots__ = ("name", "path")

    def __init__(self, path: str, name: str) -> None:
        self.path = path
        self.name = name

    def enter(self) -> None:
        """Have this process be in it, and what it starts."""
        _write(f"{self.path}/cgroup.procs", b"0")

    def has(self, pid: int) -> bool:
        """Whether this process is in it, or in one that the service has made below it."""
        name = name_of(pid)
        return name == self.name or name.startswith(f"{self.name}/")

    def kill(self) -> None:
        """SIGKILL for all that is in it, at once (since Linux 5.14)."""
        _write(f"{self.path}/cgroup.kill", b"1")

    def remove(self, was_killed: bool = True) -> None:
        """The service has ended: remove it, if nothing is in it any more, or will be in a moment."""
        until = monotonic() + (GONE_S if was_killed else 0.0)
        while not _remove(self.path) and monotonic() < until:
            sleep(STEP_S)  # the kernel tells nobody who may not wait for an event file here


def make(service: str) -> Group | None:
    """A new one below our own; None where there can be none."""
    place = own_folder()
    if not place:
        return None
    path, name = place
    last = f"cross-init.{service.replace('/', '-')}.{posix.getpid()}"[-200:]
    try:
        posix.mkdir(f"{path}/{last}", MODE)
    except OSError:
        return None
    return Group(f"{path}/{last}", f"{name.rstrip('/')}/{last}")


def own_folder() -> tuple[str, str] | None:
    """Where the group that we are in can be written to, and its name; None if it cannot, or is systemd's."""
    try:
        posix.stat(SYSTEMD)
        return None
    except OSError:
        pass
    name = name_of(posix.getpid())
    for line in read("/proc/self/mountinfo", 1 << 20).split("\n"):  # proc_pid_mountinfo(5)
        fields, _, kind = line.partition(" - ")
        words = fields.split(" ")
        if not kind.startswith("cgroup2 ") or len(words) < 5:
            continue
        root, place = words[3].rstrip("/"), words[4].rstrip("/")
        if name == root or name.startswith(f"{root}/"):
            path = f"{place}{name[len(root) :].rstrip('/')}"
            if posix.access(path, posix.W_OK | posix.X_OK, effective_ids=True) and _is_writable(path):
                return path, name
    return None


def _is_writable(path: str) -> bool:
    """Whether processes can be moved there; the file system may be mounted to be read only."""
    try:
        posix.close(posix.open(f"{path}/cgroup.procs", posix.O_WRONLY | posix.O_CLOEXEC))
        return "threaded" not in read(f"{path}/cgroup.type")
    except OSError:
        return False


def name_of(pid: int) -> str:
    """The group of a process, as our own cgroup namespace names it; "" if that is not known."""
    for line in read(f"/proc/{pid}/cgroup").split("\n"):
        if line.startswith("0::"):
            return line[3:]
    return ""


def _remove(path: str) -> bool:
    """This one, and those below it; whether it is gone."""
    try:
        for entry in posix.listdir(path):
            if posix.stat(f"{path}/{entry}", follow_symlinks=False).st_mode & 0o170000 == 0o040000:
                _remove(f"{path}/{entry}")
        posix.rmdir(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _write(path: str, data: bytes) -> None:
    try:
        fd = posix.open(path, posix.O_WRONLY | posix.O_CLOEXEC)
        try:
            posix.write(fd, data)
        finally:
            posix.close(fd)
    except OSError:
        pass  # an older kernel, or a group that takes no processes
