"""Who descends from whom."""

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
