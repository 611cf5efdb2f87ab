"""The daemon of a pair, as it is seen from outside every namespace: it is found by the folder that only it has."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

from tests.support.waiting import until


def processes(here: str) -> dict[int, list[str]]:
    """All processes with this folder in their command lines, by the outermost PID."""
    wanted = here.encode()
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes()
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0] if wanted in line else "X"
            except OSError:
                continue
            if state not in "ZX":
                found[int(entry.name)] = line.decode(errors="replace").split("\0")
    return found


def is_bridge(words: list[str]) -> bool:
    """Whether this is a command line of ours, whatever started us."""
    return any(word.endswith("/cross-init-bridge") for word in words)


def is_daemon(words: list[str]) -> bool:
    """Whether this is the example daemon itself."""
    return words[0].startswith("/usr/bin/python3") and words[2].endswith("_daemon.py")


def daemons(here: str) -> set[int]:
    """The daemon's processes."""
    return {pid for pid, words in processes(here).items() if is_daemon(words)}


def waiting(here: str, is_wanted: Callable[[list[str]], bool] = is_daemon) -> int:
    """Return when the daemon waits at its FIFO: its PID. It is not ready then, and cannot be."""

    def at_fifo() -> list[int]:
        found = []
        for pid, words in processes(here).items():
            try:
                if is_wanted(words) and Path(f"/proc/{pid}/wchan").read_text() == "wait_for_partner":
                    found.append(pid)
            except OSError:
                continue
        return found

    until(lambda: len(at_fifo()) == 1, f"a daemon of {here} waits at its FIFO", 60)
    return at_fifo()[0]


def release(fifo: Path) -> None:
    """Let the daemon get ready. fifo: as the test sees it."""

    def opened() -> bool:
        try:
            os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return False
        return True

    until(opened, "the daemon opens its FIFO")


def ancestors(pid: int) -> list[int]:
    """The process's line of descent, itself included."""
    line = []
    while pid > 1:
        line.append(pid)
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            break
    return line


def outermost(init: int, inside: int) -> int:
    """The PID here of what is called inside in the PID namespace of the process init."""
    space = os.readlink(f"/proc/{init}/ns/pid")
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if os.readlink(entry / "ns/pid") == space:
                    status = (entry / "status").read_text()
                    if next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[-1] == str(
                        inside
                    ):
                        return int(entry.name)
            except OSError:
                continue
    return 0
