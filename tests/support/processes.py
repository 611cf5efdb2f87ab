"""Who is_descendant from whom; and an end to what a test has left."""

import os
import signal
from collections.abc import Callable, Iterable
from pathlib import Path

from cross_init.kernel.process_stat import process_stat, process_state
from tests.support.waiting import until


def children(pid: int) -> list[int]:
    """The process's own children, zombies too; none if it has ended."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(word) for task in tasks for word in (task / "children").read_text().split()]
    except OSError:
        return []


def parent(pid: int) -> int:
    """The process's parent; 0 if it has ended."""
    return int((process_stat(pid)[1:2] or ["0"])[0])


def descendants(pid: int) -> list[int]:
    """Children, their children, and so on."""
    found = children(pid)
    for each in found:
        found += children(each)
    return found


def watcher_among(pids: Callable[[], Iterable[int]]) -> int:
    """The one watcher among these processes and their children.

    Its witness, which goes when the init has been told, has another name. What it has started itself for a moment, to
    receive what comes with descriptors, has its name.
    """

    def watchers() -> list[int]:
        of_its_name = {each for pid in pids() for each in (pid, *children(pid)) if is_named(each)}
        return [each for each in of_its_name if parent(each) not in of_its_name]

    def is_named(pid: int) -> bool:
        return named(pid) == "cross-init" and process_state(pid) != "Z"

    found: list[int] = []

    def is_alone() -> bool:
        found[:] = watchers()
        return len(found) == 1

    until(is_alone, "the watcher has settled down")
    return found[0]


def stop(pid: int) -> None:
    """Stop it, and return when it stands still."""
    os.kill(pid, signal.SIGSTOP)
    until(lambda: process_state(pid) == "T", "it is stopped")


def kill(pid: int) -> None:
    """Kill it, and return when it has ended, whoever waits for it."""
    os.kill(pid, signal.SIGKILL)
    until(lambda: process_state(pid) in ("Z", ""), "it has ended")


def stands_for_it(pid: int) -> bool:
    """Whether this bridge has somebody who stands for a service of which nothing is left but that it was started."""
    return "sleep" in map(named, children(pid))


def named(pid: int) -> str:
    """The process's name, as ps(1) shows it; "" if it has ended."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def end(pids: Iterable[int]) -> None:
    """SIGKILL for these, which are our children, or were a moment ago: what has ended is no error."""
    for pid in pids:
        assert pid > 1
        try:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass
