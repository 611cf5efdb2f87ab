"""Drivers for Upstart: the stand-in for it, and the real one."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.matrix.driver import Driver
from tests.support.command import BRIDGE
from tests.support.containers import PROJECT
from tests.support.upstart import Job, reap


class StandIn(Driver):
    """A job with "expect stop" that the test itself runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.here = str(folder)
        self.bridge, self.project = str(BRIDGE), str(PROJECT)
        self.jobs: list[Job] = []

    def install(self, words: list[str]) -> None:
        self.words = words

    def begin(self) -> None:
        self.jobs.append(Job("web", self.words))
        self.jobs[-1].spawn()

    def is_ready(self) -> bool:
        return self.jobs[-1].stops > 0 or self.jobs[-1].is_stopped_again()

    def main_pid(self) -> int:
        return self.jobs[-1].pid

    def is_down(self) -> bool:
        return self.jobs[-1].has_ended()

    def stop(self) -> None:
        self.jobs[-1].stop()
        assert self.jobs[-1].stops <= 1, "it says only once that it is ready"


@contextmanager
def stand_in(folder: Path) -> Iterator[Driver]:
    """A job; what it runs ends with it."""
    reap(True)
    driver = StandIn(folder)
    try:
        yield driver
    finally:
        for job in driver.jobs:
            job.close()
        reap(False)
