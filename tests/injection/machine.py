"""A real systemd in a container, as the init of one run after the other: units of Type=notify that are started by it.

The tracer and this process are outside; the container has its own PID namespace, and pidfds hold whatever is meant.
"""

import os
import shutil
import signal
import subprocess
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.injection.calls import Fault
from tests.injection.inits import FOLDER, Init
from tests.injection.loop import Loop
from tests.injection.play import Play
from tests.injection.programs import Kit
from tests.injection.scene import OURS, Outcome, age, leftovers
from tests.injection.shapes import Shape
from tests.support.containers import Container, booted

UNIT = """[Unit]
StartLimitIntervalSec=0
[Service]
Type=notify
NotifyAccess=main
ExecStart={command}
WorkingDirectory={folder}/place
StandardOutput=append:{folder}/errors
StandardError=append:{folder}/errors
TimeoutStartSec=infinity
TimeoutStopSec=8
"""


class Manager(Init):
    """The system's manager, and one service of it."""

    is_parent = False

    def __init__(self, loop: Loop, container: Container) -> None:
        super().__init__(loop, list)
        self.container = container
        self.errors = container.root / f"{FOLDER}/errors".lstrip("/")
        self.errors.write_text("")
        self.jobs: dict[str, subprocess.Popen[bytes]] = {}
        self.pidfds: list[int] = []
        self.unit = ""
        self.since = 0.0  # when it was started

    def begin(self, words: Sequence[str]) -> None:
        # Containers may share their control groups with others: no two units are to be of one name.
        kind = "traced" if words[1] == "--join" else "plain"
        self.unit = f"faults-{self.container.pid}-{kind}.service"
        file = self.container.root / "run/systemd/system" / self.unit
        text = UNIT.format(command=" ".join(words), folder=FOLDER)
        if not file.exists() or file.read_text() != text:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            self.container.run("systemctl", "daemon-reload")
        self.is_deciding = True
        self.since = time.time()
        self._job("start")

    def _job(self, word: str) -> None:
        words = self.container.enter("systemctl", word, self.unit)
        environ = self.container.environment(0)
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(words, env=environ, stdin=quiet, stdout=quiet, stderr=quiet)
        self.jobs[word] = process
        pidfd = os.pidfd_open(process.pid)
        self.pidfds.append(pidfd)

        def ended() -> None:
            self.loop.forget(pidfd)
            process.wait()
            if word == "start":
                self._started()

        self.loop.watch(pidfd, ended)

    def _started(self) -> None:
        self.is_deciding = False
        self.told = self.jobs["start"].returncode == 0

    def stop(self, daemon: int) -> None:
        self._job("stop")

    def left(self) -> list[str]:
        """What systemctl waits for."""
        return [f"systemctl {word}" for word, process in self.jobs.items() if process.poll() is None]

    def is_main(self, pid: int) -> bool:
        shown = self.container.run("systemctl", "show", "--value", "--property=MainPID", self.unit).stdout.strip()
        try:
            status = Path(f"/proc/{pid}/status").read_text().splitlines()
        except OSError:
            return True  # it has ended meanwhile
        return next(line for line in status if line.startswith("NSpid:")).split()[-1] == shown

    def said(self) -> str:
        self.lines = self.errors.read_text(errors="replace").splitlines()
        if not self.told:  # what is said of a daemon goes to the log
            self.container.run("journalctl", "--sync")
            words = (
                "journalctl",
                "--quiet",
                "--output=cat",
                f"--since=@{self.since:.6f}",
                f"_SYSTEMD_UNIT={self.unit}",
            )
            self.lines += self.container.run(*words, check=False).stdout.splitlines()
        return super().said()

    def close(self) -> None:
        for word in ("kill --signal=KILL", "stop", "reset-failed"):
            self.container.run("systemctl", *word.split(), self.unit, check=False)
        for process in self.jobs.values():
            process.kill()
            process.wait()
        for pidfd in self.pidfds:
            self.loop.forget(pidfd)
            os.close(pidfd)


class Machine:
    """A container in which runs are made, one at a time."""

    def __init__(self, container: Container, kit: Kit, numbers: dict[str, int]) -> None:
        self.container = container
        self.kit = kit
        self.numbers = numbers
        self.outside = container.root / str(FOLDER).lstrip("/")
        self.place = self.outside / "place"
        self.place.mkdir(parents=True)
        shutil.copytree(kit.folder, container.root / str(kit.folder).lstrip("/"), symlinks=True)

    def _play(self, shape: Shape, fault: Fault | None, traced: bool) -> Play:
        loop = Loop()
        manager = Manager(loop, self.container)
        play = Play(loop, manager, shape, self.kit, FOLDER, self.outside, manager.left)
        try:
            play.run(fault, self.numbers if traced else None)
        finally:
            if play.tracer_pid:
                os.kill(play.tracer_pid, signal.SIGKILL)
                os.waitpid(play.tracer_pid, 0)
            play.close()
        return play

    def perform(self, shape: Shape, fault: Fault | None) -> Outcome:
        """The same as scene.perform(), here."""
        try:
            return self._perform(shape, fault)
        except Exception:
            return Outcome(broken=traceback.format_exc())

    def _perform(self, shape: Shape, fault: Fault | None) -> Outcome:
        play = self._play(shape, fault, True)
        outcome = Outcome(play.seen, calls=[] if fault else play.listed(self.numbers))
        if self._leftovers(shape):
            age(self.container.root, self.place)
            after = self._play(shape, None, False).seen
            outcome.next_start = after.trouble(shape.waits)
            outcome.left = self._leftovers(shape)
        for folder in (*(self.container.root / each for each in OURS), self.place):
            for entry in folder.iterdir() if folder.is_dir() else ():
                entry.unlink()
        return outcome

    def _leftovers(self, shape: Shape) -> list[str]:
        return leftovers(self.container.root, shape, self.place, str(self.container.pid))


@contextmanager
def machine(kit: Kit, numbers: dict[str, int]) -> Iterator[Machine]:
    """One that has booted; skips the test if that cannot be done here."""
    with booted(Path("/")) as container:
        yield Machine(container, kit, numbers)
