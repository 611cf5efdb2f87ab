"""Control groups for one container alone: two systemds in one have a unit's processes of the same name in one place."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from tests.support.waiting import until

KINDS = (("cgroup2", "0::"), ("cgroup", ":name=systemd:"))  # a kind of mount, and its line in /proc/self/cgroup


@contextmanager
def own_groups(name: str) -> Iterator[list[Path]]:
    """A folder in each hierarchy that a systemd takes, as far as we may make them; gone afterwards, with all below."""
    made = []
    for parent in _ours():
        with suppress(OSError):
            (parent / name).mkdir()
            made.append(parent / name)
    try:
        yield made
    finally:
        for group in made:
            until(partial(is_removed, group), f"{group} is empty")


def _ours() -> list[Path]:
    """The control groups that we are in ourselves (cgroups(7), proc_pid_mountinfo(5))."""
    own = Path("/proc/self/cgroup").read_text().splitlines()
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        place, rest = line.split()[4], line.partition(" - ")[2].split()
        for kind, mark in KINDS:
            paths = [each.partition(mark)[2] for each in own if mark in each]
            if rest[0] == kind and paths and (kind == "cgroup2" or "name=systemd" in rest[2]):
                found.append(Path(place) / paths[0].lstrip("/"))
    return found


def is_removed(group: Path) -> bool:
    """Remove it, with all below; whether that could be."""
    for folder, _, _ in os.walk(group, topdown=False):
        with suppress(OSError):  # somebody is in there, who is about to end
            os.rmdir(folder)
    return not group.exists()
