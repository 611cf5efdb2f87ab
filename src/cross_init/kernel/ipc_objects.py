"""What processes leave of interprocess communication, as it outlives them: found by whose it is, and removed.

System V's objects (sysvipc(7)), shared memory and message queues of POSIX (shm_overview(7), mq_overview(7)).
"""

import posix

from cross_init.errors import Failure
from cross_init.kernel.folders import ENTRIES_MOST, FOLDER, HERE, KIND, names, open_folder
from cross_init.kernel.linux import read
from cross_init.kernel.process_stat import value_in
from cross_init.kernel.system_calls import remove_object

KINDS = {"shm": "shmid", "sem": "semid", "msg": "msqid"}  # of System V's: files in /proc/sysvipc, and what says which
PLACES = ("/dev/shm", "/dev/mqueue")  # noqa: S108 (they are where POSIX's are)
LARGEST = 1 << 24  # bytes
DEPTH = 64  # of folders in /dev/shm: what is deeper stays


def remove_all_of(user: int, group: int) -> None:
    """Remove this user's and this group's (-1: none's, as root's), but for one of whom a process still runs."""
    users, groups = _there()
    user = user if user > 0 and user not in users else -1
    group = group if group > 0 and group not in groups else -1
    if (user, group) == (-1, -1):
        return
    for kind in KINDS:
        _remove_objects(kind, user, group)
    for place in PLACES:
        try:
            folder = open_folder(place)
        except OSError:
            continue  # there are none here
        try:
            _remove_files(folder, user, group, DEPTH)
        finally:
            posix.close(folder)


def _there() -> tuple[set[int], set[int]]:
    """The users and groups as which processes run."""
    found: tuple[set[int], set[int]] = (set(), set())
    for name in posix.listdir("/proc"):
        if name.isdigit():
            status = read(f"/proc/{name}/status")
            if not value_in(status, "State").startswith(("Z", "X")):
                for numbers, key in zip(found, ("Uid", "Gid"), strict=True):
                    numbers.update(map(int, value_in(status, key).split()))
    return found


def _remove_objects(kind: str, user: int, group: int) -> None:
    """System V's: but for memory that somebody has attached, who is of another user."""
    head, *lines = read(f"/proc/sysvipc/{kind}", LARGEST).splitlines() or [""]
    for line in lines:
        row = dict(zip(head.split(), line.split(), strict=False))
        is_theirs = int(row["uid"]) == user or int(row["gid"]) == group
        if is_theirs and row.get("nattch", "0") == "0":
            try:
                remove_object(kind, int(row[KINDS[kind]]))
            except (OSError, Failure):
                continue  # it is gone already; or Debian's python3-minimal


def _remove_files(folder: int, user: int, group: int, depth: int) -> None:
    for name in names(folder, ENTRIES_MOST):
        try:
            status = posix.stat(name, dir_fd=folder, follow_symlinks=False)
            if user != status.st_uid and group != status.st_gid:
                continue
            if status.st_mode & KIND != FOLDER:
                posix.unlink(name, dir_fd=folder)
            elif depth:
                inside = posix.open(name, HERE | posix.O_DIRECTORY, dir_fd=folder)
                try:
                    _remove_files(inside, user, group, depth - 1)
                finally:
                    posix.close(inside)
                posix.rmdir(name, dir_fd=folder)
        except OSError:
            continue  # it is gone already, or holds what is another user's
