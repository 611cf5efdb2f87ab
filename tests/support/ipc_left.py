"""A program that leaves objects of interprocess communication behind: ipc_left.py NAME.

Without a word it lists all there are, as JSON, with whose they are; with --clear it removes them.
"""

import ctypes
import json
import os
import sys
from pathlib import Path

PRIVATE, CREATE, REMOVE = 0, 0o1600, 0  # IPC_PRIVATE, IPC_CREAT and rights, IPC_RMID
IDS = {"shm": "shmid", "sem": "semid", "msg": "msqid"}
PLACES = (Path("/dev/shm"), Path("/dev/mqueue"))


def leave(name: str) -> None:
    """One of each."""
    library = ctypes.CDLL(None)
    library.shmget(PRIVATE, 4096, CREATE)
    library.semget(PRIVATE, 1, CREATE)
    library.msgget(PRIVATE, CREATE)
    for place in PLACES:
        (place / name).touch()
    (PLACES[0] / f"{name}.d/below").mkdir(parents=True)
    (PLACES[0] / f"{name}.d/below/file").touch()


def rows(kind: str) -> list[dict[str, str]]:
    """Of /proc/sysvipc."""
    head, *lines = Path("/proc/sysvipc", kind).read_text().splitlines()
    return [dict(zip(head.split(), line.split(), strict=True)) for line in lines]


def listed() -> list[tuple[str, int, int]]:
    """What there is, and whose."""
    found = [(kind, int(row["uid"]), int(row["gid"])) for kind in IDS for row in rows(kind)]
    for place in PLACES:
        found += [(str(path), path.stat().st_uid, path.stat().st_gid) for path in place.rglob("*")]
    return sorted(found)


def clear() -> None:
    """Remove all of it."""
    library = ctypes.CDLL(None)
    for kind, key in IDS.items():
        for row in rows(kind):
            getattr(library, f"{kind}ctl")(int(row[key]), 0, 0)
    for place in PLACES:
        for path in sorted(place.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()


if __name__ == "__main__":
    os.umask(0o022)
    if sys.argv[1:] == ["--clear"]:
        clear()
    elif len(sys.argv) > 1:
        leave(sys.argv[1])
    else:
        print(json.dumps(listed()))
