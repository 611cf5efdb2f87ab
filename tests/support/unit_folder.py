"""A folder of units that cross-init run is told to run, from a shell."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.command import FRONT_DOOR

RUN_S = 60


class Folder:
    """A folder of units, and what they have written down there."""

    def __init__(self, path: Path, name: str = "a") -> None:
        self.path = path
        self.name = name  # of the unit
        self.log = path / "log"
        self.processes: list[subprocess.Popen[str]] = []

    def begin(self, lines: str, *words: str, of_socket: bool = False) -> subprocess.Popen[str]:
        """Run a unit whose [Service] has these lines. LOG: what is behind it in a command is written down.

        of_socket: it is the service of a.socket, for each client.
        """
        text = lines.replace("{log}", str(self.log)).replace("LOG", f"/bin/sh -c 'echo \"$$@\" >> {self.log}' sh")
        (self.path / ("a@.service" if of_socket else f"{self.name}.service")).write_text(f"[Service]\n{text}\n")
        command = [
            str(FRONT_DOOR),
            "run",
            "--init",
            "none",
            *words,
            str(self.path / ("a.socket" if of_socket else f"{self.name}.service")),
        ]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.processes.append(process)
        return process

    def run(self, lines: str, *words: str) -> tuple[int, str]:
        """The same to its end: its exit code, and what was said."""
        process = self.begin(lines, *words)
        said, _ = process.communicate(timeout=RUN_S)
        return process.returncode, said

    def written(self) -> list[str]:
        """The lines that were written down."""
        return self.log.read_text().splitlines() if self.log.exists() else []


@contextmanager
def unit_folder(path: Path, name: str = "a") -> Iterator[Folder]:
    """One; what was run from it ends with it. name: of its unit."""
    made = Folder(path, name)
    try:
        yield made
    finally:
        for process in made.processes:
            if process.poll() is None:
                process.kill()
            process.communicate()
