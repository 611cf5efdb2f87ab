"""A daemon that cannot find its notification socket any more: a chroot(2), or other namespaces, have taken it away.

It says that it is ready to nobody, and nobody hears of that either. So one that is waited for is looked at a few times,
and when its time is over; no more, as it costs a wake-up. Only what the kernel itself writes is read
(proc_pid_mountinfo(5), proc_pid_root(5), proc_pid_ns(5)): the file system that the daemon has chosen for its root need
not answer.
"""

import posix

from cross_init.kernel.linux import read
from cross_init.readiness.condition import Condition

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.readiness.subject import Subject
    from cross_init.watch.event_loop import Timer

LOOKS_S = (2.0, 8.0, 50.0)  # until each look, in seconds; a start of more than a minute is not looked at any more
SAID = "READY=1"  # what is waited for, as notification.py has it
LARGEST = 1 << 24  # bytes of a list of mounts


class Reach(Condition):
    """Looks whether the daemon reaches its socket, until it is ready or that was said. It asks for nothing to hold."""

    def __init__(self, path: str) -> None:
        """path: of the socket; "" if its name is abstract."""
        super().__init__("")
        self.path = path
        self.looks = list(LOOKS_S)
        self.watched: Subject | None = None
        self.timer: Timer | None = None

    def attach(self, watched: "Subject") -> None:
        """Look in a while."""
        self.watched = watched
        self.timer = watched.loop.after(self.looks.pop(0), self._look)

    def _look(self) -> None:
        self.timer = None
        self.time_is_over()
        if self.looks and self.watched is not None:
            self.timer = self.watched.loop.after(self.looks.pop(0), self._look)

    def time_is_over(self) -> None:
        """Say it if it is so. Once is enough."""
        watched = self.watched
        if watched is None or SAID not in watched.outstanding:
            self.looks = []
            return
        speakers = watched.family() if watched.notify_access == "all" else [watched.pid]
        for pid in speakers:
            if reason := why_not(pid, self.path):
                who = "" if pid == watched.pid else f"its process {pid} "
                socket, other = (self.path, "abstract") if self.path else ("(an abstract name)", "path")
                watched.reporter.say(
                    f"{who}cannot reach its notification socket {socket}: {reason}: use --notify-socket {other}"
                )
                self.stop()
                return

    def stop(self) -> None:
        """Look no more."""
        if self.watched is not None:
            self.watched.loop.cancel(self.timer)
            self.watched, self.looks = None, []


def why_not(pid: int, path: str) -> str:
    """Why this process does not reach the socket at this path of ours, or the abstract one; "" if it may."""
    try:
        if not path:
            is_ours = posix.readlink(f"/proc/{pid}/ns/net") == posix.readlink("/proc/self/ns/net")
            return "" if is_ours else "it is in another network namespace, where our abstract names are not found"
        root = posix.readlink(f"/proc/{pid}/root")
        own, theirs = (read(f"/proc/{who}/mountinfo", LARGEST) for who in ("self", pid))
        if not own or posix.readlink(f"/proc/{pid}/root") != root:
            return ""  # it is just doing it: the next look will tell
    except OSError:
        return ""  # it has ended, or is not ours to look at
    # The mount that a chroot is in is not among those that are shown below it, of which there may be none.
    found = place(theirs, path) or place(own, root.rstrip("/") + path)
    if found == place(own, path):
        return ""
    if root != "/":
        return f"its root directory is {root}"
    return "it is in another mount namespace, without that folder"


def place(mounts: str, path: str) -> tuple[str, str] | None:
    """The file system, and the path in it, that this path leads to; None if none of these mounts is above it.

    On the way down, the mounts that stand on the present one count, the first that is met first; what one of them hides
    stands on another.
    """
    rows = [line.split(" ")[:5] for line in mounts.split("\n") if line.count(" ") > 4]
    known = {row[0] for row in rows}
    here: list[str] | None = None
    while True:
        on = [row for row in rows if (row[1] == here[0] if here else row[1] not in known) and leads_to(row[4], path)]
        if not on:
            break
        here = min(on, key=lambda row: len(row[4]))
        rows.remove(here)
    if here is None:
        return None
    _, _, device, root, point = here
    return device, f"{root.rstrip('/')}/{path[len(point.rstrip('/')) + 1 :]}".rstrip("/")


def leads_to(point: str, path: str) -> bool:
    """Whether a mount here is on the way to this path."""
    return path == point or path.startswith(point.rstrip("/") + "/")
