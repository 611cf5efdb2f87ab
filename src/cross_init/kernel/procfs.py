"""What the kernel knows of processes: whose they are, which one a pidfd means, what waits for them, how they ended."""

import posix
from time import CLOCK_BOOTTIME, clock_gettime

from cross_init.bounds import Pid, as_pid
from cross_init.kernel.linux import read, read_for_decision
from cross_init.kernel.process_stat import fields_of_stat, process_stat, value_in

PIDFD = ("anon_inode:[pidfd]", "pidfd:[")  # what its link in /proc is; every file's begins with a slash
# linux/pidfd.h: a struct of 64 bytes, first what it tells, then the control group's number; the exit code at its end.
PIDFD_GET_INFO, PIDFD_INFO_CGROUPID, PIDFD_INFO_EXIT = 0xC040FF0B, 0x4, 0x8

# Of a process's variables: all that it has told the kernel are its variables is read to us, and that may be anything.
VARIABLES_MAX = 1 << 17
THREADS, START_TIME, EXIT_CODE = 17, 19, 49  # their places in the fields of process_stat()


def is_descendant(pid: int, ancestor: int) -> bool:
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


def field(path: str, key: str) -> str:
    """What stands behind this key, in a file of /proc that has a line for each; "" if it does not.

    The kernel escapes the line feeds in a process's name and in nothing else what Python takes for a line's end.
    """
    return value_in(read(path), key)


def process_owner(pid: int) -> int:
    """The user of a process that matters for what it may do, by number; -1 if it is gone (proc_pid_status(5), Uid)."""
    users = field(f"/proc/{pid}/status", "Uid").split()
    return max(map(int, users[:2]), default=-1)  # real and effective


def start_time(pid: int) -> str:
    """When this process was started, in ticks since boot: with its PID, that is no other process. "" if it is gone.

    Raises OSError if it cannot be known.
    """
    return (fields_of_stat(read_for_decision(f"/proc/{pid}/stat"))[START_TIME:] or [""])[0]


def start_of_living(pid: int) -> str:
    """The same, but "" of a process that has ended and is not waited for yet. Raises OSError."""
    fields = fields_of_stat(read_for_decision(f"/proc/{pid}/stat"))
    # One whose first thread has ended looks like a zombie while the others go on.
    if len(fields) <= START_TIME or (fields[0] in "ZX" and int(fields[THREADS]) < 2):
        return ""
    return fields[START_TIME]


def variables(pid: int) -> bytes:
    """A process's variables as it was started, each with a NUL behind it (proc_pid_environ(5)). Raises OSError.

    VARIABLES_MAX bytes of them at most: what we put there for ourselves stands at the beginning.
    """
    fd = posix.open(f"/proc/{pid}/environ", posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        text = b""
        while len(text) < VARIABLES_MAX and (part := posix.read(fd, VARIABLES_MAX - len(text))):
            text += part
        return text
    finally:
        posix.close(fd)


own = (0, "")  # this process, and when it was started, once that was asked for


def now_in_ticks() -> int:
    """Since boot, as the kernel says when a process was started (proc_pid_stat(5))."""
    return int(clock_gettime(CLOCK_BOOTTIME) * posix.sysconf("SC_CLK_TCK"))


def own_start_time() -> str:
    """That of this process, which a process that was forked meanwhile has to look up anew. Raises OSError."""
    global own
    pid = posix.getpid()
    if own[0] != pid or not own[1]:
        own = pid, start_time(pid)
    return own[1]


def own_mark() -> str:
    """What a name begins with that is this process's: see is_marked_by_living()."""
    return f"{posix.getpid()}-{own_start_time()}-"


def is_marked_by_living(name: str) -> bool:
    """Whether the process lives whose own_mark() this name begins with, as far as its PID is one of our namespace's.

    With its start time, no other process that has the number by now is taken for it.
    """
    pid, _, rest = name.partition("-")
    number = as_pid(pid)
    return number is not None and start_of_living(number) == (rest.partition("-")[0] or "-")


def own_users() -> set[int]:
    """Whose word on services counts here, by number: this user's and, for root, the user's whose container it is."""
    user = posix.geteuid()
    return {user} if user else {0, max(process_owner(1), 0)}


def process_of(pidfd: int) -> Pid | None:
    """The process that a pidfd refers to (proc_pid_fdinfo(5)); None if it is none, or has ended.

    Other descriptors may have a text there in which their owner has a say, such as the paths of an io_uring's files.
    """
    try:
        if not posix.readlink(f"/proc/self/fd/{pidfd}").startswith(PIDFD):
            return None
    except OSError:
        return None
    return as_pid(field(f"/proc/self/fdinfo/{pidfd}", "Pid"))


def pidfd_identity(pidfd: int) -> int:
    """The number that no other process's pidfd ever has (sd_notify(3), MAINPIDFDID); 0 before Linux 6.9.

    pidfd: not of this process, and open. Before, all pidfds shared one inode.
    """
    own = posix.pidfd_open(posix.getpid())
    shared = posix.fstat(own).st_ino
    posix.close(own)
    number = posix.fstat(pidfd).st_ino
    return 0 if number == shared else number


def exit_status_of_other(pidfd: int) -> int:
    """The wait status of an ended process that is not our child; 0 if the kernel does not tell."""
    return exit_status_if_known(pidfd) or 0


def exit_status_if_known(pidfd: int, patience_ms: int = 0) -> int | None:
    """The same; None if the kernel does not tell.

    /proc does while its own parent has not waited for it, if it is for us to see; behind that the pidfd does since
    Linux 6.15 (linux/pidfd.h, PIDFD_INFO_EXIT), for which this waits as long as it is told to.
    """
    from select import poll

    status: int | None = _status_of_zombie(pidfd)
    if status is not None:
        return status

    hangs_up = poll()
    hangs_up.register(pidfd, 0)
    for wait_ms in (0, patience_ms):
        hangs_up.poll(wait_ms)
        told, _, status = _info(pidfd, PIDFD_INFO_EXIT)
        if told & PIDFD_INFO_EXIT:
            return status
        if not told:
            break
    return None


def _status_of_zombie(pidfd: int) -> int | None:
    """Of one whose parent has not waited for it: what /proc/PID/stat says, which is 0 to who may not know it."""
    pid = process_of(pidfd)
    if pid is None:
        return None
    fields = process_stat(pid)
    if len(fields) <= EXIT_CODE or fields[0] != "Z" or process_of(pidfd) != pid:
        return None
    is_told = fields[EXIT_CODE] != "0" or process_owner(pid) == posix.geteuid()
    return int(fields[EXIT_CODE]) if is_told else None


def control_group(pidfd: int) -> int:
    """The number of the control group (cgroups(7), version 2) that it is in, or was at its end; 0 if it is not told."""
    told, group, _ = _info(pidfd, PIDFD_INFO_CGROUPID | PIDFD_INFO_EXIT)
    return group if told & PIDFD_INFO_CGROUPID else 0


def _info(pidfd: int, wanted: int) -> tuple[int, int, int]:
    """What the kernel tells of it (which of that, the control group, the exit status); nothing before Linux 6.13."""
    from fcntl import ioctl
    from sys import byteorder

    info = bytearray(wanted.to_bytes(8, byteorder) + bytes(56))
    try:
        ioctl(pidfd, PIDFD_GET_INFO, info)
    except OSError:
        return 0, 0, 0
    told, group, status = (int.from_bytes(info[at:end], byteorder) for at, end in ((0, 8), (8, 16), (60, 64)))
    return told, group, status
