"""The state file of a service, for whoever asks: which process it is, and whether that one is starting, ready, ...

It is one line: the word, the daemon's PID, when that process started (proc_pid_stat(5), field 22), and in which boot of
the machine (random(4), boot_id). So it counts only while that very process lives: nobody has to be there to take it
back when the daemon ends, whatever was killed, and it is not taken for a later process with the same number.

Whoever may write the file could say anything of any process. So who asks believes only a file of root's or its own.
"""

import posix
from time import CLOCK_BOOTTIME, clock_gettime

from cross_init.bounds import UINT64_MAX, as_pid, number
from cross_init.errors import Failure, why
from cross_init.kernel.atomic_file import write_whole
from cross_init.kernel.folders import FOLDER, HERE, KIND, LINK, REGULAR, folder_of
from cross_init.kernel.linux import absolute, read_for_decision
from cross_init.kernel.procfs import own_users, start_of_living
from cross_init.model import READY, RELOADING, STARTING, STOPPING

WORDS = (STARTING, READY, RELOADING, STOPPING)
FILE = "supervise/cross-init"  # in a service directory: what runsv(8) itself writes is there, too
MODE = 0o644
LONGEST = 200  # bytes; a real one is shorter


class State:
    """What a state file says. is_alive: it still counts. seconds: how long ago the daemon's process was started."""

    __slots__ = ("is_alive", "pid", "seconds", "word")

    def __init__(self, word: str, pid: int, is_alive: bool, seconds: float) -> None:
        self.word = word
        self.pid = pid
        self.is_alive = is_alive
        self.seconds = seconds


def place(path: str) -> str:
    """The absolute path of a state file that is to be written. Raises Failure if it cannot be."""
    path = absolute(path, f"--state-file {path}")
    what, where = f"--state-file {path}", path.rpartition("/")[0] or "/"
    if not start_of_living(posix.getpid()) or not _boot():
        raise Failure(
            f"{what}: /proc, which says when a process was started, is not mounted: mount it, or leave it out"
        )
    try:
        folder, name = folder_of(path)
    except FileNotFoundError:
        raise Failure(f"{what}: {where} is not there: make it, or choose another folder") from None
    except OSError as error:
        raise Failure(f"{what}: {where}: {why(error)}: choose another folder") from None
    try:
        if not posix.access(".", posix.W_OK | posix.X_OK, dir_fd=folder, effective_ids=True):
            raise Failure(f"{what}: {where} is not for us to write in: make it so, or choose another folder")
        kind = posix.stat(name or ".", dir_fd=folder, follow_symlinks=False).st_mode & KIND
        if kind == FOLDER:
            raise Failure(f"{what}: this is a folder: write the path of a file in it")
        if kind not in (REGULAR, LINK):
            raise Failure(f"{what}: what stands there is no file, and would be replaced by one: choose another path")
    except FileNotFoundError:
        pass  # as it should be
    except OSError as error:
        raise Failure(f"{what}: {why(error)}: choose another path") from None
    finally:
        posix.close(folder)
    return path


def write(path: str, word: str, pid: int) -> None:
    """Say how the daemon is, in one of WORDS; readers see the old line or this one. Raises OSError."""
    started = start_of_living(pid)
    if not started:
        raise ProcessLookupError(3, "the daemon has ended")
    write_whole(path, f"{word} {pid} {started} {_boot()}\n".encode(), MODE)


def read(path: str) -> State:
    """What the file says. Raises FileNotFoundError, another OSError, and Failure if it is none to be believed."""
    what = f"reading the state file {path}"
    folder, name = folder_of(absolute(path, what))
    found = -1
    try:
        found = posix.open(name or ".", HERE, dir_fd=folder)
        doubts = _doubts(posix.fstat(found))
        if doubts:
            raise Failure(f"{what}: {doubts}")
        # Opened only now that it is a file: opening a device may do something, and a pipe may wait.
        fd = posix.open(f"/proc/self/fd/{found}", posix.O_RDONLY | posix.O_CLOEXEC)
        try:
            words = posix.read(fd, LONGEST).decode("utf-8", "replace").split(" ")
        finally:
            posix.close(fd)
    finally:
        posix.close(folder)
        if found >= 0:
            posix.close(found)
    word, who, started, boot = words if len(words) == 4 else [""] * 4
    pid, ticks = as_pid(who), number(started, 1, UINT64_MAX)
    if word not in WORDS or pid is None or pid == 1 or ticks is None:  # process 1 is no daemon of ours
        raise Failure(f"{what}: it is none that cross-init-bridge has written; name another one")
    is_alive = boot == f"{_boot()}\n" and started == start_of_living(pid)
    seconds = clock_gettime(CLOCK_BOOTTIME) - ticks / posix.sysconf("SC_CLK_TCK")
    return State(word, pid, is_alive, seconds)


def _doubts(status: posix.stat_result) -> str:
    """Why what is found where a state file should be is not believed, and what to do; "" if it is."""
    kind, user = status.st_mode & KIND, status.st_uid
    if kind == LINK:
        return "it is a link, and none is followed here; name the file itself"
    if kind != REGULAR:
        return "it is no file; name another one"
    if user not in {0, *own_users()}:
        return f"it is user {user}'s, and only root's and this user's own are believed; ask as that user"
    if status.st_mode & 0o022 or status.st_nlink > 1:  # none, if it was replaced meanwhile
        return (
            "others may write to it, or it has a second name, so it is none that cross-init-bridge has left there; "
            "remove it, and start the service anew"
        )
    return ""


def _boot() -> str:
    return read_for_decision("/proc/sys/kernel/random/boot_id").strip()
