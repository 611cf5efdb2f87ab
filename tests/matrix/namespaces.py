"""A driver for a container: the service is the first process of namespaces of its own, and is asked from inside."""

import os
import signal
import subprocess

from tests.matrix.programs import LONGEST_S, Shell
from tests.support.command import FRONT_DOOR, PATH
from tests.support.processes import children

ALONE = ("unshare", "--mount", "--propagation", "private", "--mount-proc", "--pid", "--fork", "--kill-child")


class Container(Shell):
    """No container's runtime, but what one makes for the service's first process."""

    def install(self, words: list[str]) -> None:
        self.words = [*ALONE, *words]

    def is_ready(self) -> bool:
        enter = ("nsenter", "--target", str(self.main_pid()), "--pid", "--mount", "--wd=/")
        asked = subprocess.run(
            [*enter, FRONT_DOOR, "check"], env={"PATH": PATH}, stdout=subprocess.DEVNULL, timeout=LONGEST_S
        )
        return asked.returncode == 0

    def main_pid(self) -> int:
        assert self.process
        (first,) = children(self.process.pid)
        return first

    def stop(self) -> None:
        assert self.process
        os.kill(self.main_pid(), signal.SIGTERM)
        self.process.wait(LONGEST_S)
