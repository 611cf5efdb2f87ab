"""A program that writes down what a sandbox lets a process see and do, as JSON, on standard output.

It runs as a service under a real service manager and under ours, in the same place: what differs is a defect.
Its words: paths that are tried. The namespaces of who has started it are in SPACES.
"""

import json
import os
import re
import socket
import stat
import sys

FIELDS = ("Uid", "Gid", "Groups", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs")
SPACES = ("mnt", "net", "ipc", "pid", "user", "uts", "cgroup")
NAMES = {0o040000: "dir", 0o100000: "reg", 0o010000: "fifo", 0o140000: "sock", 0o020000: "chr", 0o060000: "blk"}
KNOWN = ("/srv", "/home", "/root", "/run/user", "/dev/shm")
FLAGS = {"ST_RDONLY": 1, "ST_NOSUID": 2, "ST_NODEV": 4, "ST_NOEXEC": 8}


def seen(paths: list[str]) -> dict[str, object]:
    """All of it."""
    found: dict[str, object] = {f"mount {path}": value for path, value in _mounts().items()}
    status = dict(line.split(":\t", 1) for line in _read("/proc/self/status").split("\n") if ":\t" in line)
    found |= {field: status.get(field) for field in FIELDS}
    found |= {f"{name}_map": _read(f"/proc/self/{name}_map").split() for name in ("uid", "gid")}
    found["setgroups"] = _read("/proc/self/setgroups")
    given = dict(word.split("=", 1) for word in os.environ.get("SPACES", "").split())
    found |= {f"own {name}": _link(f"/proc/self/ns/{name}") != given.get(name) for name in SPACES}
    found |= {f"path {path}": _path(path) for path in paths}
    found |= {f"device {name}": value for name, value in _devices().items()}
    found["tmp"] = [bool(_names(path)) for path in ("/tmp", "/var/tmp")]
    found["interfaces"] = sorted(name for _, name in socket.if_nameindex())
    found["loopback"] = _answers()
    found["proc"] = [name for name in ("1", "cpuinfo", "sys", "self") if os.path.exists(f"/proc/{name}")]
    found["folder"] = os.getcwd()
    found["TMPDIR"] = os.environ.get("TMPDIR")
    found["umask"] = os.umask(0)
    return found


def _mounts() -> dict[str, list[object]]:
    """By path: what is mounted there, with its options, type, and to whom its own mounts are passed on."""
    found: dict[str, list[object]] = {}
    for line in _read("/proc/self/mountinfo").split("\n"):
        words, _, rest = line.partition(" - ")
        _, _, _, root, path, options, *more = words.split(" ")
        kind, _, above = rest.split(" ", 2)
        root = re.sub(r"systemd-private-[^/]*", "PRIVATE", root)
        root = re.sub(r".*/inaccessible(/\w+)", r"\1", root)
        if root in ("/dir", "/reg", "/chr", "/sock", "/fifo", "/blk"):
            above, more = "", []  # of the file system with what nobody can use
        above = above.replace(",nsdelegate", "")  # which is of all that see it, and comes and goes
        spread = sorted({word.partition(":")[0] for word in more})
        shown = ",".join(sorted(set(options.split(",")) - {"relatime"} if not above else options.split(",")))
        found.setdefault(path, []).append((root, shown, kind, above, spread))
    return found


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except OSError as error:
        return str(error.strerror)


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError as error:
        return str(error.strerror)


def _names(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except OSError as error:
        return [str(error.strerror)]


def _path(path: str) -> object:
    """What it is, and what can be done with it: read, written to, executed."""
    try:
        status = os.lstat(path)
        flags = os.statvfs(path).f_flag
    except OSError as error:
        return error.strerror
    kind = NAMES.get(stat.S_IFMT(status.st_mode), "link")
    said = [kind, oct(status.st_mode & 0o7777), status.st_uid, [name for name, bit in FLAGS.items() if flags & bit]]
    if kind == "dir":
        names = (
            [name for name in sorted(_names(path)) if not name.startswith("written")] if path.startswith(KNOWN) else []
        )  # what else is there, other tests have a hand in
        return [*said, names, _try_to_write(f"{path}/written by {os.getpid()}")]
    if kind == "reg" and status.st_mode & 0o111:
        return [*said, _try_to_run(path)]
    return [*said, _read(path) if kind == "reg" and status.st_size < 100 else "", os.access(path, os.W_OK)]


def _try_to_write(path: str) -> str:
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        os.unlink(path)
    except OSError as error:
        return str(error.strerror)
    return "written"


def _try_to_run(path: str) -> str:
    try:
        pid = os.posix_spawn(path, [path], {})
    except OSError as error:
        return str(error.strerror)
    os.waitpid(pid, 0)
    return "run"


def _devices() -> dict[str, object]:
    found: dict[str, object] = {}
    for folder in ("/dev", "/dev/char"):
        for name in _names(folder):
            if name.startswith("written"):
                continue  # another probe tries whether it can
            path = f"{folder}/{name}"
            try:
                status = os.lstat(path)
            except OSError:
                continue
            kind = NAMES.get(stat.S_IFMT(status.st_mode), "link")
            more = _link(path) if kind == "link" else status.st_rdev
            found[path] = [kind, oct(status.st_mode), status.st_uid, status.st_gid, more]
    return found


def _answers() -> str:
    """Whether the loopback is up."""
    try:
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
    except OSError as error:
        return str(error.strerror)
    return "up"


if __name__ == "__main__":
    sys.stdout.write(json.dumps(seen(sys.argv[1:])) + "\n")
