"""The state file of a service, for whoever asks: which process it is, and whether that one is starting, ready, ...

It is one line: the word, the daemon's PID, when that process started (proc_pid_stat(5), field 22), and in which boot of
the machine (random(4), boot_id). So it counts only while that very process lives: nobody has to be there to take it
back when the daemon ends, whatever was killed, and it is not taken for a later process with the same number.
"""

import posix
from time import CLOCK_BOOTTIME, clock_gettime

from cross_init.bounds import UINT64_MAX, as_pid, number
from cross_init.linux import process_stat
from cross_init.linux import read as read_proc
from cross_init.model import READY, RELOADING, STARTING, STOPPING, Failure

WORDS = (STARTING, READY, RELOADING, STOPPING)
FILE = "supervise/cross-init"  # in a service directory: what runsv(8) itself writes is there, too
LONGEST = 200  # bytes; a real one is shorter
THREADS, STARTED = 17, 19  # their places in process_stat()


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
    if not path.startswith("/"):
        path = f"{posix.getcwd()}/{path}"
    folder = path.rpartition("/")[0] or "/"
    if not posix.access(folder, posix.W_OK | posix.X_OK, effective_ids=True):
        raise Failure(
            f"--state-file {path}: {folder} is not there, or not for us to write in: make it, or choose another"
        )
    return path


def write(path: str, word: str, pid: int) -> None:
    """Say how the daemon is, in one of WORDS; readers see the old line or this one. Raises OSError."""
    started = _start(pid)
    if not started:
        raise ProcessLookupError(3, "the daemon has ended")
    made = f"{path}.{pid}"
    try:
        posix.unlink(made)  # left by one that was killed here
    except FileNotFoundError:
        pass
    fd = posix.open(made, posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC)
    try:
        posix.fchmod(fd, 0o644)  # whatever the umask is: who may pass through the folders may look
        posix.write(fd, f"{word} {pid} {started} {_boot()}\n".encode())
    except OSError:
        posix.unlink(made)
        raise
    finally:
        posix.close(fd)
    posix.rename(made, path)


def read(path: str) -> State:
    """What the file says. Raises FileNotFoundError, another OSError, and Failure if it is none of ours."""
    fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK)
    try:
        words = posix.read(fd, LONGEST).decode("utf-8", "replace").split()
    finally:
        posix.close(fd)
    pid, ticks = (as_pid(words[1]), number(words[2], 0, UINT64_MAX)) if len(words) == 4 else (None, None)
    if pid is None or ticks is None or words[0] not in WORDS:
        raise Failure(f"reading the state file {path}: it is none that cross-init-bridge has written; name another one")
    word, _, started, boot = words
    is_alive = boot == _boot() and started == _start(pid)
    seconds = clock_gettime(CLOCK_BOOTTIME) - ticks / posix.sysconf("SC_CLK_TCK")
    return State(word, pid, is_alive, seconds)


def _start(pid: int) -> str:
    """When the process was started, in ticks since the boot; "" if there is none, or a zombie."""
    fields = process_stat(pid)
    # One whose first thread has ended looks like a zombie while the others go on.
    if len(fields) <= STARTED or (fields[0] in "ZX" and int(fields[THREADS]) < 2):
        return ""
    return fields[STARTED]


def _boot() -> str:
    return read_proc("/proc/sys/kernel/random/boot_id").strip() or "-"
