"""What a fault needs beside Python: the two C programs, the numbers of the system calls, and a copy of the project."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.containers import PROJECT
from tests.support.packages import need

HERE = Path(__file__).resolve().parent
PYTHON = "/usr/bin/python3"  # what the bridge's first line names
MARK = "cross_init/__pycache__/start."  # the file behind whose closing our own code begins
LONGEST_S = 60


@dataclass(frozen=True)
class Kit:
    """A folder with all that a run uses, which nobody writes to any more."""

    folder: Path

    @property
    def injector(self) -> str:
        return str(self.folder / "injector")

    @property
    def daemon(self) -> str:
        return str(self.folder / "daemon")

    @property
    def bridge(self) -> str:
        return str(self.folder / "project/bin/cross-init-bridge")

    @property
    def front_door(self) -> str:
        return str(self.folder / "project/bin/cross-init")


def kit(folder: Path) -> Kit:
    """Make it in this folder, which is empty; or skip the test."""
    need("gcc", "libc6-dev")
    for name in ("injector", "daemon"):
        words = ["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(folder / name), str(HERE / f"{name}.c")]
        subprocess.run(words, check=True, timeout=LONGEST_S)
    project = folder / "project"
    for part in ("src", "bin"):
        shutil.copytree(PROJECT / part, project / part, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    # As it is found compiled nothing of it is written: by a process that a fault is about to end.
    subprocess.run([PYTHON, "-IS", "-m", "compileall", "-q", project / "src"], check=True, timeout=LONGEST_S)
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755)  # also for daemons of other users
    return Kit(folder)


def call_numbers() -> dict[str, int]:
    """The system calls of this architecture, as the C compiler's headers have them."""
    text = subprocess.run(
        ["gcc", "-E", "-dM", "-include", "sys/syscall.h", "-x", "c", os.devnull],
        capture_output=True,
        text=True,
        check=True,
        timeout=LONGEST_S,
    ).stdout
    return {name: int(number) for name, number in re.findall(r"^#define __NR_(\w+) (\d+)$", text, re.MULTILINE)}
