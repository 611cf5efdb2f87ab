"""A real s6-supervise, in the namespaces of one run: it starts the service once, and hears its newline."""

import os
import shutil
import signal
from collections.abc import Sequence
from time import monotonic, sleep

from tests.injection.inits import DEFAULTED, FOLDER, StandIn
from tests.support.programs import PATH

SERVICE = FOLDER / "service"
SUPERVISE = SERVICE / "supervise"
UP_S = 10


class Supervised(StandIn):
    """The service of one s6-supervise. waits: who ends when the service is ready."""

    supervise = waits = 0
    is_parent = False
    own = "s6-"

    def begin(self, words: Sequence[str]) -> None:
        SERVICE.mkdir(exist_ok=True)
        shutil.rmtree(SUPERVISE, ignore_errors=True)  # the last one's, who listens no more
        (SERVICE / "notification-fd").write_text("3\n")
        (SERVICE / "down").touch()
        run = SERVICE / "run"
        run.write_text(f"#!/bin/sh\nexec 2>>{FOLDER}/errors\nexec {' '.join(words)}\n")
        run.chmod(0o755)
        (FOLDER / "errors").touch()
        self.supervise = _spawn("s6-supervise", str(SERVICE))
        end = monotonic() + UP_S
        while not _listens():  # nothing tells it
            assert monotonic() < end, "s6-supervise does not come up"
            sleep(0.002)
        self.waits = _spawn("s6-svlisten1", "-U", str(SERVICE), "s6-svc", "-o", str(SERVICE))

    def reaped(self, pid: int, status: int) -> None:
        if pid == self.waits and not os.WIFSTOPPED(status):
            self.waits = 0
            self.told = self.told or status == 0

    def helpers(self) -> set[int]:
        return {self.supervise, self.waits}

    def stop(self, daemon: int) -> None:
        if _listens():
            _spawn("s6-svc", "-d", str(SERVICE))

    def said(self) -> str:
        self.lines = (FOLDER / "errors").read_text(errors="replace").splitlines()
        return super().said()

    def close(self) -> None:
        for pid in self.helpers() - {0}:
            os.kill(pid, signal.SIGKILL)


def _listens() -> bool:
    """Whether s6-supervise takes commands, and says how the service is."""
    try:
        os.close(os.open(SUPERVISE / "control", os.O_WRONLY | os.O_NONBLOCK))
    except OSError:  # no FIFO yet, or nobody who reads there
        return False
    return (SUPERVISE / "status").exists()


def _spawn(program: str, *words: str) -> int:
    return os.posix_spawnp(program, [program, *words], {"PATH": PATH}, setsid=True, setsigdef=DEFAULTED)
