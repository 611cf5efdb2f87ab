"""Drivers for Upstart: the stand-in for it, and the real one."""

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.matrix.daemons import outermost
from tests.matrix.driver import Driver
from tests.support.command import BRIDGE, PATH
from tests.support.containers import BRIDGE as BRIDGE_INSIDE
from tests.support.containers import INSIDE, PROJECT
from tests.support.real_upstart import Upstart
from tests.support.upstart import Job, reap

_numbers = itertools.count()


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

    def close(self) -> None:
        """End all that is left."""
        for job in self.jobs:
            job.close()


@contextmanager
def stand_in(folder: Path, kind: type[StandIn] = StandIn) -> Iterator[Driver]:
    """A job; what it runs ends with it."""
    reap(True)
    driver = kind(folder)
    try:
        yield driver
    finally:
        driver.close()
        reap(False)


class RealJob(Driver):
    """A job with "expect stop" of an Upstart that has booted."""

    def __init__(self, upstart: Upstart) -> None:
        number = next(_numbers)
        self.upstart = upstart
        self.name = f"web{number}"
        self.here = f"/run/matrix-{os.getpid()}-{number}.d"
        self.folder = upstart.root / self.here.lstrip("/")
        self.folder.mkdir(mode=0o755)
        self.bridge, self.project = BRIDGE_INSIDE, INSIDE
        self.runtime = upstart.root / "run"

    def entering(self, *words: str) -> tuple[list[str], dict[str, str]]:
        return self.upstart.enter(*words), {"PATH": PATH}

    def install(self, words: list[str]) -> None:
        self.upstart.job(self.name, f"expect stop\nexec {' '.join(words)} 2>> {self.here}/said\n")

    def begin(self) -> None:
        self.upstart.initctl("start", "--no-wait", self.name)

    def is_ready(self) -> bool:
        return f"{self.name} start/running" in self.upstart.initctl("status", self.name)

    def main_pid(self) -> int:
        return outermost(self.upstart.pid, self.upstart.main_pid(self.name))

    def is_down(self) -> bool:
        return f"{self.name} stop/waiting" in self.upstart.initctl("status", self.name)

    def stop(self) -> None:
        self.upstart.initctl("stop", self.name)


@contextmanager
def real_job(upstart: Upstart) -> Iterator[Driver]:
    """A job; it is stopped with this."""
    driver = RealJob(upstart)
    try:
        yield driver
    finally:
        driver.stop()
