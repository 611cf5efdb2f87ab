"""What drivers have in common whose init is PID 1 of a root of its own and is told by commands inside."""

import itertools
import os
import signal
import subprocess
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ClassVar

from tests.matrix.daemons import outermost, processes
from tests.matrix.driver import Driver
from tests.support.containers import BRIDGE, INSIDE
from tests.support.roots import Root

LONGEST_S = 20
_numbers = itertools.count()


class Rooted(Driver):
    """A service of an init that is told by commands inside its root. name: the service's."""

    boots: tuple[str, ...]  # what becomes PID 1
    files: ClassVar[dict[str, str]]  # what its root has beside the tree's own
    up: str  # the file in it that is there when it has booted

    def __init__(self, root: Root) -> None:
        self.root = root
        self.name = f"matrix-{os.getpid()}-{next(_numbers)}"
        self.here = f"/run/{self.name}.d"
        self.folder = root.root / self.here.lstrip("/")
        self.folder.mkdir(mode=0o755)
        self.bridge, self.project = BRIDGE, INSIDE
        self.runtime = root.root / "run"
        self.commands: list[subprocess.Popen[bytes]] = []

    def entering(self, *words: str) -> tuple[list[str], dict[str, str]]:
        return self.root.enter(*words), self.root.environment(0)

    def launch(self, *words: str) -> "subprocess.Popen[bytes]":
        """Begin a command inside."""
        with (self.folder / "said").open("ab") as said:
            process = subprocess.Popen(
                self.root.enter(*words),
                env=self.root.environment(0),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            )
        self.commands.append(process)
        return process

    def begin(self) -> None:
        self.launch(*self.starting())

    @abstractmethod
    def starting(self) -> tuple[str, ...]:
        """The command that starts the service."""

    def ask(self, *words: str) -> tuple[int, str]:
        """Run a command inside until it ends: its exit code, and what it says."""
        ran = self.root.run(*words, check=False)
        return ran.returncode, ran.stdout

    def numbered(self, text: str) -> int:
        """The PID that stands here as the init has it."""
        return outermost(self.root.pid, int(text))

    def close(self) -> None:
        """End what was begun, and what is left of the daemon."""
        for process in self.commands:
            process.kill()
            process.wait()
        for pid in processes(self.here):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


@contextmanager
def service(kind: Callable[[Root], Rooted], root: Root) -> Iterator[Driver]:
    """A service; what it runs ends with it."""
    driver = kind(root)
    try:
        yield driver
    except BaseException:
        print(*(path.read_text(errors="replace") for path in driver.folder.iterdir() if path.is_file()), sep="\n")
        raise
    finally:
        driver.close()
