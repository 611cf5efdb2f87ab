"""Drivers for inits that want a process in the foreground, which also say how the service ended.

Here they start it once: one that crashed must not come again before it was looked at how it ended.
"""

import os
import re
import signal
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from tests.matrix.daemons import outermost
from tests.matrix.directories import S6, Runit, directory
from tests.matrix.driver import Driver
from tests.matrix.jobs import RealJob, StandIn, stand_in
from tests.matrix.programs import Supervisord, program
from tests.support.command import script
from tests.support.processes import descendants, end
from tests.support.real_upstart import Upstart, upstart_booted
from tests.support.waiting import until

ENDED = 'echo "$EXIT_STATUS\n$EXIT_SIGNAL" > HERE/ended.new; mv HERE/ended.new HERE/ended\n'
FINISH = '#!/bin/sh\necho "$1 $2" > ended.new\nmv ended.new ended\n'  # s6-supervise(8), runsv(8)


class Foreground(Driver):
    """An init that says, when the service is down, how it ended. network: its tables of sockets."""

    restarts = False
    network = Path("/proc/self/net")

    @abstractmethod
    def ended_with(self) -> int:
        """Its exit code, or minus the signal that it died of, when the init knows it; it can be started again then."""

    def stopped_with(self) -> int | None:
        """The same after stop(); None if the init does not tell that."""
        return self.ended_with()

    def here_as(self, pid: int) -> int:
        """The PID here of what has this one there."""
        return pid


class FinishedDirectory(Foreground):
    """A service directory whose finish script is told."""

    service: Path

    def ended_with(self) -> int:
        file = self.service / "ended"
        until(file.exists, "the finish script runs")
        until(self.is_down, "it is down")
        code, number = map(int, file.read_text().split())
        file.unlink()
        return code if 0 <= code < 256 else -number


class S6Once(FinishedDirectory, S6):
    up = ("s6-svc", "-o")

    def prepare(self) -> None:
        super().prepare()
        script(self.service, "finish", FINISH)


class RunitOnce(FinishedDirectory, Runit):
    up = ("sv", "once")

    def prepare(self) -> None:
        super().prepare()
        script(self.service, "finish", FINISH)


class SupervisordOnce(Foreground, Supervisord):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.read = 0  # how many endings were looked at

    def ended_with(self) -> int:
        endings: list[tuple[str, str]] = []

        def is_in_log() -> bool:
            text = (self.folder / "log").read_text()
            endings[:] = re.findall(r"(?:exited|stopped): web \((?:exit status (\d+)|terminated by (SIG\w+))", text)
            return len(endings) > self.read

        until(is_in_log, "supervisord says how it ended")
        code, name = endings[self.read]
        self.read += 1
        return int(code) if code else -signal.Signals[name]


class UpstartJob(Foreground, StandIn):
    def begin(self) -> None:
        self.close()  # with what the last one has left
        self.jobs.clear()
        super().begin()

    def ended_with(self) -> int:
        return os.waitstatus_to_exitcode(self.jobs[-1].ended())


class RealUpstartJob(Foreground, RealJob):
    """Upstart tells how the main process ended in an event (stopped(7)), but not of one that it has stopped itself."""

    def __init__(self, upstart: Upstart) -> None:
        super().__init__(upstart)
        self.network = Path(f"/proc/{upstart.pid}/net")

    def install(self, words: list[str]) -> None:
        noted = ENDED.replace("HERE", self.here)
        self.upstart.job(f"{self.name}-ended", f"start on stopped {self.name}\ntask\nscript\n{noted}end script\n")
        super().install(words)

    def ended_with(self) -> int:
        file = self.folder / "ended"
        until(file.exists, "Upstart says how it ended")
        code, name = file.read_text().splitlines()
        file.unlink()
        return -signal.Signals[f"SIG{name}"] if name else int(code or 0)

    def stopped_with(self) -> int | None:
        self.ended_with()
        return None

    def here_as(self, pid: int) -> int:
        return outermost(self.upstart.pid, pid)


@contextmanager
def real_upstart_job(folder: Path) -> Iterator[Driver]:
    """A job, and an Upstart of its own that ends with it."""
    with upstart_booted() as upstart:
        yield RealUpstartJob(upstart)


FOREGROUND: dict[str, Callable[[Path], AbstractContextManager[Driver]]] = {
    "s6": lambda folder: directory(S6Once, folder),
    "runit": lambda folder: directory(RunitOnce, folder),
    "supervisord": lambda folder: program(SupervisordOnce, folder),
    "upstart": lambda folder: stand_in(folder, UpstartJob),
    "real upstart": real_upstart_job,
}


@contextmanager
def foreground(init: str, folder: Path) -> Iterator[Foreground]:
    """A service of this init, in this folder of its own."""
    folder.mkdir()
    before = descendants(os.getpid())
    try:
        with FOREGROUND[init](folder) as driver:
            assert isinstance(driver, Foreground)
            yield driver
    finally:
        end([pid for pid in descendants(os.getpid()) if pid not in before])  # of a test that fails
