"""A program that writes down all that a process can see of itself, as JSON, into the file that its first word names.

It runs as a service under a real service manager and under ours, in the same place: what differs is a defect.
"""

import ctypes
import grp
import json
import os
import pwd
import resource
import signal
import stat
import sys

FIELDS = (
    *("Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "SigBlk"),
    *("Seccomp", "Seccomp_filters"),
)
KEYCTL = {"x86_64": 250}.get(os.uname().machine, 219)
PR_GET_THP_DISABLE, PR_GET_MEMORY_MERGE = 42, 68  # linux/prctl.h
DESCRIBE, READ, SESSION = 6, 11, -3  # linux/keyctl.h
NAMESPACES = ("mnt", "net", "ipc", "pid", "user", "uts", "cgroup")


def seen() -> dict[str, object]:
    """All of it."""
    with open("/proc/self/status", encoding="utf-8") as file:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    umask = os.umask(0)
    os.umask(umask)
    limits = {name: resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name.startswith("RLIMIT_")}
    return {
        **{field: status[field].strip() for field in FIELDS},
        "umask": umask,
        "limits": limits,
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "oom": _read("/proc/self/oom_score_adj"),
        "coredump filter": _read("/proc/self/coredump_filter"),
        "timer slack": _read("/proc/self/timerslack_ns"),
        "scheduler": (os.sched_getscheduler(0), os.sched_getparam(0).sched_priority),
        "processors": sorted(os.sched_getaffinity(0)),
        "folder": os.getcwd(),
        "root": os.readlink("/proc/self/root"),
        "personality": _read("/proc/self/personality"),
        "environment": dict(os.environ),
        "words": sys.argv[2:],
        "descriptors": {fd: _descriptor(fd) for fd in _open()},
        "leads a session": os.getsid(0) == os.getpid(),
        "leads its group": os.getpgrp() == os.getpid(),
        "folders": _folders(),
        "credentials": _credentials(),
        "memory policy": _read("/proc/self/numa_maps").split("\n")[0].split(" ")[1:2],
        "keyring": _keyring(),
        "memory": [ctypes.CDLL(None).prctl(each, 0, 0, 0, 0) for each in (PR_GET_THP_DISABLE, PR_GET_MEMORY_MERGE)],
        "user": _name(pwd.getpwuid, os.getuid()),
        "group": _name(grp.getgrgid, os.getgid()),
    }


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except OSError as error:
        return str(error.strerror)


def _name(find: object, number: int) -> str:
    try:
        return str(find(number)[0])  # type: ignore[operator]
    except KeyError:
        return str(number)


def _open() -> list[int]:
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            os.fstat(int(name))
        except OSError:
            continue
        found.append(int(name))
    return sorted(found)


def _descriptor(fd: int) -> str:
    """Of what kind it is, and which file if it is one."""
    link = os.readlink(f"/proc/self/fd/{fd}")
    mode = os.fstat(fd).st_mode
    if link.startswith("/memfd:"):  # each version of systemd names it otherwise
        return "memfd"
    return link if link.startswith("/") else str(stat.S_IFMT(mode))


def _folders() -> dict[str, tuple[str, str, str]]:
    """The service's own, with their modes and owners."""
    found = {}
    for name, value in os.environ.items():
        if name.endswith("_DIRECTORY") and name != "CREDENTIALS_DIRECTORY":
            for path in value.split(":"):
                status = os.stat(path)
                found[path] = (
                    oct(status.st_mode),
                    _name(pwd.getpwuid, status.st_uid),
                    _name(grp.getgrgid, status.st_gid),
                )
    return found


def _keyring() -> list[str]:
    """The session's: what is said of it, and of each key in it."""
    room = ctypes.create_string_buffer(4096)
    call = ctypes.CDLL(None, use_errno=True).syscall
    size = call(KEYCTL, READ, SESSION, room, len(room))
    if size < 0:
        return [os.strerror(ctypes.get_errno())]
    keys = [int.from_bytes(room.raw[at : at + 4], sys.byteorder) for at in range(0, size, 4)]
    return [_described(call, key, room) for key in (SESSION, *keys)]


def _described(call: object, key: int, room: object) -> str:
    size: int = call(KEYCTL, DESCRIBE, key, room, len(room))  # type: ignore[operator, arg-type]
    return room.value.decode() if size >= 0 else "?"  # type: ignore[attr-defined]


def _credentials() -> dict[str, object]:
    """What there is, whose and with which rights; and where it is kept."""
    place = os.environ.get("CREDENTIALS_DIRECTORY", "")
    if not os.path.isdir(place):
        return {}
    found: dict[str, object] = {name: _read(f"{place}/{name}") for name in sorted(os.listdir(place))}
    paths = (place, *(f"{place}/{name}" for name in found))
    whose = [(oct(os.stat(path).st_mode), os.stat(path).st_uid, os.stat(path).st_gid) for path in paths]
    others = {os.stat(path).st_mode & 0o007 for path in paths}
    mounts = [line.split() for line in _read("/proc/self/mountinfo").split("\n") if f" {place} " in line]
    kinds = ["never swapped" for words in mounts if "ramfs" in words or "noswap" in words[-1]]
    flags = [sorted({"nosuid", "nodev", "noexec"} & set(words[5].split(","))) for words in mounts]
    return {**found, "whose": whose, "for others": sorted(others), "kept": kinds, "flags": flags}


def main() -> None:
    """Write it; then wait, so that whoever has started us sees a service. With "once" as the second word do not."""
    text = json.dumps(seen())
    fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    os.write(fd, text.encode())
    os.close(fd)
    if sys.argv[2:3] != ["once"]:
        signal.pause()


if __name__ == "__main__":
    main()
