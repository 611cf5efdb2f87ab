"""Drivers for the inits that have a service directory and a supervising process for each: s6, runit, daemontools."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.matrix.driver import Driver
from tests.support.command import BRIDGE, FRONT_DOOR, PATH, ask, script
from tests.support.containers import PROJECT
from tests.support.packages import need
from tests.support.supervised import listens
from tests.support.upstart import reap
from tests.support.waiting import until

LONGEST_S = 30


class Directory(Driver):
    """A service directory. supervisor: the program; the other commands get the directory as their last word."""

    package: str
    supervisor: str
    up: tuple[str, ...]
    down: tuple[str, ...]
    exit: tuple[str, ...]
    restarts = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.here = str(folder)
        self.bridge, self.project = str(BRIDGE), str(PROJECT)
        self.service = folder / "service"
        self.service.mkdir()
        (self.service / "down").touch()
        self.process: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        """What else the directory needs."""

    def ask(self, *words: str) -> tuple[int, str]:
        """Run a command about the directory: its exit code, and what it says."""
        ran = subprocess.run(
            [*words, self.service], env={"PATH": PATH}, capture_output=True, text=True, timeout=LONGEST_S
        )
        return ran.returncode, ran.stdout.strip()

    def install(self, words: list[str]) -> None:
        script(self.service, "run", f"#!/bin/sh\nexec 2>>{self.folder}/log\nexec {' '.join(words)}\n")
        self.prepare()
        self.process = subprocess.Popen([self.supervisor, self.service], env={"PATH": PATH}, stdin=subprocess.DEVNULL)
        until(lambda: listens(self.supervisor, self.service), f"{self.supervisor} is up")

    def begin(self) -> None:
        assert self.ask(*self.up)[0] == 0

    def stop(self) -> None:
        self.ask(*self.down)
        until(self.is_down, f"{self.supervisor} has stopped it", 60)

    def close(self) -> None:
        """End the supervisor, and the service with it."""
        if self.process:
            self.ask(*self.exit)
            try:
                self.process.wait(LONGEST_S)
            finally:
                self.process.kill()
                self.process.wait()


class S6(Directory):
    package, supervisor = "s6", "s6-supervise"
    up, down, exit = ("s6-svc", "-u"), ("s6-svc", "-d"), ("s6-svc", "-dx")

    def prepare(self) -> None:
        (self.service / "notification-fd").write_text("3\n")

    def is_ready(self) -> bool:
        return self.ask("s6-svstat", "-o", "ready")[1] == "true"

    def main_pid(self) -> int:
        return int(self.ask("s6-svstat", "-o", "pid")[1])

    def is_down(self) -> bool:
        return self.ask("s6-svstat", "-o", "up")[1] == "false"


class Runit(Directory):
    package, supervisor = "runit", "runsv"
    up, down, exit = ("sv", "up"), ("sv", "down"), ("sv", "exit")

    def prepare(self) -> None:
        script(self.service, "check", f"#!/bin/sh\nexec {FRONT_DOOR} check\n")

    def is_ready(self) -> bool:
        return ask(cwd=self.service)[0] == 0  # what sv asks; it would ask for a second at the least

    def main_pid(self) -> int:
        return int((self.service / "supervise/pid").read_text() or 0)

    def is_down(self) -> bool:
        return self.ask("sv", "status")[1].startswith("down:")


class Daemontools(Directory):
    package, supervisor = "daemontools", "supervise"
    up, down, exit = ("svc", "-u"), ("svc", "-d"), ("svc", "-dx")
    waits = False

    def is_ready(self) -> bool:
        return False

    def main_pid(self) -> int:
        return int(self.ask("svstat")[1].partition("(pid ")[2].partition(")")[0] or 0)

    def is_down(self) -> bool:
        return ": down" in self.ask("svstat")[1]


@contextmanager
def directory(kind: Callable[[Path], Directory], folder: Path) -> Iterator[Driver]:
    """A service directory; what supervises it ends with it."""
    driver = kind(folder)
    need(driver.package)
    reap(True)
    try:
        yield driver
    finally:
        driver.close()
        reap(False)
