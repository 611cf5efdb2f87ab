"""One service on a real init, as `cross-init translate` has written it, with a puppet as its daemon."""

import subprocess
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.matrix.daemons import processes
from tests.matrix.driver import Driver
from tests.matrix.programs import Supervised, program
from tests.matrix.rooted import Rooted, service
from tests.matrix.table import BOOT_S, Machines
from tests.support.command import FRONT_DOOR, PATH
from tests.support.containers import BRIDGE
from tests.support.containers import FRONT_DOOR as FRONT_DOOR_INSIDE
from tests.support.puppet import Stage, stage
from tests.support.roots import PUPPET, Root, rooted
from tests.support.supervised import PUPPET as PUPPET_HERE
from tests.support.trees import tree
from tests.support.waiting import until

PROGRAMS = {"cross-init": FRONT_DOOR_INSIDE, "cross-init-bridge": BRIDGE}
UNITS = "etc/systemd/system"
ENABLED = f"{UNITS}/sockets.target.wants"


class Written(Driver):
    """One. to: as --to has it. stage: where its puppets come to. puppet: their command line. name: the service's.

    restarts_when_awaited: it starts anew what it has waited for. said: what translate has said. files: what it wrote.
    """

    to: str
    name: str
    stage: Stage
    puppet: str
    restarts_when_awaited = True
    restarts = True
    reloads = True
    said = ""
    files: dict[str, str]

    @abstractmethod
    def translate(self, units: dict[str, str], expand: bool) -> None:
        """Have these units, and what they become."""

    @abstractmethod
    def reload(self) -> None:
        """Have the init reload it."""

    @property
    def daemons_pid_file(self) -> str:
        """Where a daemon that forks away writes its number."""
        return f"{self.here}/pid"

    def left(self) -> set[int]:
        """The processes that are the service's: the init's own, of which some name its folder, are none."""
        return {*processes(self.here), *processes(f"{self.name}.service")} - self.own()

    def own(self) -> set[int]:
        """The init's own."""
        return set()

    def install(self, words: list[str]) -> None:
        raise AssertionError("what is written says what is run")

    def starts(self, *, awaited: bool) -> bool:
        """Whether it is started anew when it has crashed."""
        return self.restarts and (self.restarts_when_awaited or not awaited)


class Inside(Written):
    """One of an init that has a root of its own, in which commands are run. at: that root, as the test has it."""

    at: Path

    @abstractmethod
    def command(self, *words: str) -> str:
        """Run this inside; what it says on standard output, and in self.said on standard error."""

    @property
    def daemons_pid_file(self) -> str:
        return f"/run/{self.name}.pid"  # as daemons have it, which is nobody else's then

    def prepare(self) -> None:
        """Have our programs where a machine has them."""
        for name, path in PROGRAMS.items():
            self.command("ln", "-sfn", path, f"/usr/bin/{name}")
        self.command("mkdir", "-p", f"/{ENABLED}", f"{self.here}/written")

    def translate(self, units: dict[str, str], expand: bool) -> None:
        for name, text in units.items():
            (self.at / f"{UNITS}/{name}").write_text(text)
            if name.endswith(".socket"):  # which is one of the service's if it is enabled
                self.command("ln", "-s", f"/{UNITS}/{name}", f"/{ENABLED}")
        folder = f"{self.here}/written"
        words = ("translate", f"{self.name}.service", "--to", self.to, "-o", folder, *["--expand"] * expand)
        paths = self.command("/usr/bin/cross-init", *words).splitlines()
        self.files = {path.removeprefix(f"{folder}/"): (self.at / path.lstrip("/")).read_text() for path in paths}
        if expand and units:
            self.command("rm", *(f"/{UNITS}/{name}" for name in units))
        self.take(folder)

    @abstractmethod
    def take(self, folder: str) -> None:
        """Have the init know what is in this folder."""


class InRoot(Inside, Rooted):
    """One of an init that is PID 1 of a root. into: where it has its services."""

    into: str

    def __init__(self, root: Root) -> None:
        super().__init__(root)
        self.stage, self.puppet, self.at = root.stage, PUPPET, root.root
        self.prepare()

    def command(self, *words: str) -> str:
        ran = self.root.run(*words)
        self.said = ran.stderr
        return ran.stdout

    def take(self, folder: str) -> None:
        self.root.run("cp", "-a", f"{folder}/.", self.into)


class Local(Written, Supervised):
    """One of a supervisor that is a process of the test's."""

    name = "web"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.stack = ExitStack()
        self.stage = self.stack.enter_context(stage(folder / "stage"))
        self.puppet = f"/usr/bin/python3 -IS {PUPPET_HERE} {folder}/stage"

    def translate(self, units: dict[str, str], expand: bool) -> None:
        for name, text in units.items():
            (self.folder / name).write_text(text)
        self.files, self.said = translated(self.folder / f"{self.name}.service", self.to, expand)
        if expand and units:
            for name in units:
                (self.folder / name).unlink()
        self.take()

    def left(self) -> set[int]:
        return set(processes(self.here)) - self.own()

    def own(self) -> set[int]:
        return {self.process.pid} if self.process else set()

    @abstractmethod
    def take(self) -> None:
        """Have the init know what was written."""

    def close(self) -> None:
        self.stack.close()
        super().close()


def translated(unit: Path, to: str, expand: bool) -> tuple[dict[str, str], str]:
    """The texts that the unit becomes, with this checkout's programs, and what is said of it."""
    folder = unit.parent / "written"
    folder.mkdir()
    more = ["--expand"] if expand else []
    ran = subprocess.run(
        [FRONT_DOOR, "translate", unit, "--to", to, "-o", folder, *more],
        env={"PATH": PATH},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    bin_folder = str(FRONT_DOOR.parent)
    return {
        str(Path(path).relative_to(folder)): Path(path)
        .read_text()
        .replace("/usr/bin/cross-init", f"{bin_folder}/cross-init")
        .replace("/var/log/", f"{unit.parent}/")
        for path in ran.stdout.splitlines()
    }, ran.stderr


Make = Callable[[Path, Machines], AbstractContextManager[Any]]


def in_root(kind: type[InRoot], name: str) -> Make:
    """As tests/matrix/table.py has it."""

    @contextmanager
    def boot() -> Iterator[Root]:
        with rooted(tree(name), kind.boots, kind.files) as root:
            until(lambda: root.exists(kind.up), f"{kind.boots[0]} is up", BOOT_S)
            yield root

    return lambda folder, machines: service(kind, machines.get(f"{name} {kind.boots}", boot))


def local(kind: type[Local]) -> Make:
    """One that is a process of the test's."""
    return lambda folder, machines: program(kind, folder)
