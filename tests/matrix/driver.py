"""What a driver of an init has to be able to do; one file per family of inits has the drivers."""

from abc import ABC, abstractmethod
from pathlib import Path

from tests.support.command import PATH
from tests.support.waiting import becomes


class Driver(ABC):
    """One service on one init.

    waits: the init waits for readiness, or can be asked. restarts: it starts a daemon that crashed anew by itself.
    here: the daemon's own folder, as the daemon has it; folder: as the test has it. bridge: the program, and project,
    where it is, as the init has it. runtime: its /run, as the test has it. names_main: it takes the main process from
    the file "pid" in the daemon's folder, whoever writes that.
    """

    waits = True
    restarts = False
    names_main = False
    runtime = Path("/run")
    here: str
    folder: Path
    bridge: str
    project: str

    def entering(self, *words: str) -> tuple[list[str], dict[str, str]]:
        """The command line that runs these words where the init is, as the service's user, and its variables."""
        return [*words], {"PATH": PATH}

    @abstractmethod
    def install(self, words: list[str]) -> None:
        """Have a service, not started, that runs this command line."""

    @abstractmethod
    def begin(self) -> None:
        """Have the init start it; do not wait for readiness."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether the init says, or would say, that it is ready."""

    @abstractmethod
    def main_pid(self) -> int:
        """The main process that the init shows, by its outermost PID; 0 or less if it shows none."""

    def shows_main(self, pid: int) -> None:
        """Wait for the init to show this main process, which may run before the init notes that it has started it."""
        becomes(self.main_pid, pid)

    @abstractmethod
    def is_down(self) -> bool:
        """Whether the init says that it does not run."""

    @abstractmethod
    def stop(self) -> None:
        """Have the init stop it."""
