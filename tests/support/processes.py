"""Who descends from whom; and an end to what a test has left."""

import os
import signal
from collections.abc import Iterable
from pathlib import Path


def children(pid: int) -> list[int]:
    """The process's own children, zombies too; none if it has ended."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(word) for task in tasks for word in (task / "children").read_text().split()]
    except OSError:
        return []


def descendants(pid: int) -> list[int]:
    """Children, their children, and so on."""
    found = children(pid)
    for each in found:
        found += children(each)
    return found


def end(pids: Iterable[int]) -> None:
    """SIGKILL for these, which are our children, or were a moment ago: what has ended is no error."""
    for pid in pids:
        assert pid > 1
        try:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass
