"""The driver for inetd: a "wait" service, which it starts for a client that waits, and again as long as that one does.

The socket is not passed on: these daemons open their own.
"""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.matrix.daemons import daemons
from tests.matrix.programs import LONGEST_S, Program
from tests.support.command import script
from tests.support.superservers import Place, openbsd
from tests.support.upstart import reap


class Inetd(Program):
    """A line of inetd.conf(5), and its client."""

    waits = False
    restarts = True

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.place = Place(folder, "unix", "stream", True)
        self.client: socket.socket | None = None

    def install(self, words: list[str]) -> None:
        log = self.folder / "log"
        service = script(self.folder, "service", f"#!/bin/sh\nexec </dev/null >>{log} 2>&1\nexec {' '.join(words)}\n")
        self.spawn(*openbsd(self.place, [str(service)]))

    def begin(self) -> None:
        self.client = self.place.client()

    def is_ready(self) -> bool:
        return False

    def main_pid(self) -> int:
        assert self.process
        pid = self.process.pid
        (main,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(main)

    def is_down(self) -> bool:
        return not daemons(self.here)

    def stop(self) -> None:
        """inetd cannot; who ends it before its service ends both."""
        main = self.main_pid()
        self.close()
        os.kill(main, signal.SIGTERM)

    def close(self) -> None:
        """End inetd, and let its client go."""
        if self.client:
            self.client.close()
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(LONGEST_S)
            finally:
                self.process.kill()
                self.process.wait()


@contextmanager
def inetd(folder: Path) -> Iterator[Inetd]:
    """One; it ends with the service."""
    reap(True)
    driver = Inetd(folder)
    try:
        yield driver
    finally:
        driver.close()
        reap(False)
