"""A real dinit as an ordinary process, with service files and a control socket of its own; never as process 1.

CROSS_INIT_TEST_DINIT names the prefix that dinit is installed below (sbin/dinit, sbin/dinitctl).
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.command import BRIDGE, PATH
from tests.support.puppet import Stage, stage
from tests.support.supervised import PUPPET
from tests.support.upstart import reap
from tests.support.waiting import until

LONGEST_S = 20


def prefix() -> Path:
    """Where dinit is; skips the test if it is nowhere, or is something else."""
    place = os.environ.get("CROSS_INIT_TEST_DINIT")
    if not place:
        pytest.skip("needs dinit, which Debian 12 does not have: name its prefix in CROSS_INIT_TEST_DINIT")
    program = Path(place) / "sbin" / "dinit"
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=LONGEST_S).stdout
    except OSError as error:
        pytest.skip(f"needs dinit: CROSS_INIT_TEST_DINIT={place}: {error}")
    if not said.startswith("Dinit version "):
        pytest.skip(f"needs dinit: {program} does not say that it is one")
    return Path(place)


class Dinit:
    """A running dinit. services: the folder of its service files."""

    def __init__(self, folder: Path, where: Stage, sbin: Path) -> None:
        self.stage = where
        self.folder = folder
        self.services = folder / "services"
        self.services.mkdir()
        self.control = folder / "control"
        self.sbin = sbin
        self.waiting: list[subprocess.Popen[str]] = []
        self.puppet = ("/usr/bin/python3", "-IS", PUPPET, str(folder / "stage"))
        (self.services / "boot").write_text("type = internal\n")
        words = [str(sbin / "dinit"), "--user", "-q", "-d", str(self.services), "-p", str(self.control)]
        self.process = subprocess.Popen(words, env={"PATH": PATH}, stdin=subprocess.DEVNULL)

    def write(self, *lines: str, options: str, name: str = "web", command: tuple[str, ...] = ()) -> None:
        """A service file: the bridge with these options. lines: what else stands in it."""
        words = " ".join((str(BRIDGE), options, "--", *(command or self.puppet)))
        text = ("type = process", f"command = {words}", f"logfile = {self.folder}/log", *lines)
        (self.services / name).write_text("".join(f"{line}\n" for line in text))

    def begin(self, *words: str) -> subprocess.Popen[str]:
        """Begin a dinitctl command."""
        pipe = subprocess.PIPE
        command = [str(self.sbin / "dinitctl"), "-p", str(self.control), *words]
        process = subprocess.Popen(command, env={"PATH": PATH}, stdout=pipe, stderr=pipe, text=True)
        self.waiting.append(process)
        return process

    def tell(self, *words: str) -> tuple[int, str]:
        """Run such a command until it ends: its exit code, and what it said."""
        process = self.begin(*words)
        out, err = process.communicate(timeout=LONGEST_S)
        return process.returncode, out + err

    def status(self, name: str = "web") -> tuple[str, int]:
        """The service's state, and its process, 0 if there is none."""
        said = dict(line.strip().partition(": ")[::2] for line in self.tell("status", name)[1].splitlines())
        return said.get("State", "").partition(" ")[0], int(said.get("Process ID", "0").partition(" ")[0])

    @property
    def log(self) -> str:
        """What the service has said."""
        log = self.folder / "log"
        return log.read_text() if log.exists() else ""

    def close(self) -> None:
        """Shut it down; its services end first."""
        self.tell("shutdown")
        self.process.wait(LONGEST_S)


@contextmanager
def dinit(folder: Path) -> Iterator[Dinit]:
    """A dinit in this folder; all that it runs ends with it."""
    sbin = prefix() / "sbin"
    reap(True)
    made = None
    try:
        with stage(folder / "stage") as where:
            made = Dinit(folder, where, sbin)
            until(made.control.exists, "dinit is up")
            try:
                yield made
            except BaseException:
                print(made.log)
                raise
        made.close()
    finally:
        if made:
            for process in made.waiting:
                process.kill()
                process.communicate()
            made.process.kill()
            made.process.wait()
        reap(False)
