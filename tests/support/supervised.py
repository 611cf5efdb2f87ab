"""A service directory under a real runsv (runit), supervise (daemontools) or s6-supervise, with a puppet in it."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.command import BRIDGE, PATH, script
from tests.support.processes import watcher_among
from tests.support.puppet import Stage, stage
from tests.support.upstart import reap
from tests.support.waiting import until

PUPPET = str(Path(__file__).resolve().parents[1] / "daemons" / "puppet.py")
# Stop the service, and then the supervisor.
END = {"runsv": ("sv", "exit"), "supervise": ("svc", "-dx"), "s6-supervise": ("s6-svc", "-dx")}
LONGEST_S = 20


class Supervised:
    """One service directory. process: the supervisor, once it is started."""

    def __init__(self, program: str, folder: Path, where: Stage, puppet: tuple[str, ...]) -> None:
        self.program = program
        self.folder = folder
        self.stage = where
        self.puppet = puppet
        self.process: subprocess.Popen[bytes] | None = None
        self.waiting: list[subprocess.Popen[str]] = []
        self.before = children()

    def write_run(self, *options: str, before: str = "", command: tuple[str, ...] = ()) -> None:
        """The run script: the bridge with these options. before: what stands before it in the script."""
        words = " ".join((str(BRIDGE), *options, "--", *(command or self.puppet)))
        script(self.folder, "run", f"#!/bin/sh\nexec 2>>log\n{before} {words}\n".replace("; ", "\n"))

    def start(self) -> None:
        """Start the supervisor; returns when it can be told something."""
        self.process = subprocess.Popen([self.program, self.folder], env={"PATH": PATH}, stdin=subprocess.DEVNULL)
        until(lambda: listens(self.program, self.folder), f"{self.program} is up")

    @property
    def pid(self) -> int:
        """The supervisor's."""
        return self.process.pid if self.process else 0

    def begin(self, *words: str) -> subprocess.Popen[str]:
        """Begin a command about this directory, which is the last of its words."""
        pipe = subprocess.PIPE
        process = subprocess.Popen([*words, self.folder], env={"PATH": PATH}, stdout=pipe, stderr=pipe, text=True)
        self.waiting.append(process)
        return process

    def tell(self, *words: str) -> tuple[int, str]:
        """Run such a command until it ends: its exit code, and what it said."""
        process = self.begin(*words)
        out, err = process.communicate(timeout=LONGEST_S)
        return process.returncode, out + err

    @property
    def log(self) -> str:
        """What the service has said on standard error."""
        log = self.folder / "log"
        return log.read_text() if log.exists() else ""

    def orphans(self) -> list[int]:
        """Our other children, which were orphaned to us: the watchers, and their witnesses."""
        own = {self.pid, *(process.pid for process in self.waiting), *self.before}
        return [pid for pid in children() if pid not in own]

    def watcher(self) -> int:
        """The process that watches the daemon."""
        return watcher_among(self.orphans)

    def bury(self) -> None:
        """Wait for the end of all that was orphaned to us; that it ends by itself is a part of each test."""
        for pid in self.orphans():
            fd = os.pidfd_open(pid)
            try:
                until(lambda fd=fd: bool(os.waitid(os.P_PIDFD, fd, os.WEXITED | os.WNOHANG)), f"{pid} ends")  # type: ignore[misc]
            finally:
                os.close(fd)


def listens(program: str, folder: Path) -> bool:
    """Whether the supervisor of this directory can be told something: it reads its FIFOs, of which "ok" is the last."""
    place = folder / "supervise"
    try:
        for name in ("control",) if program == "s6-supervise" else ("control", "ok"):
            os.close(os.open(place / name, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:  # not there, or nobody reads it
        return False
    return (place / "status").exists()


def children() -> list[int]:
    """The test run's own."""
    return [int(word) for word in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


@contextmanager
def supervised(program: str, folder: Path) -> Iterator[Supervised]:
    """An empty service directory; its supervisor, its daemon and what stands beside that end with it."""
    folder.mkdir()
    reap(True)
    place = folder.parent / "stage"
    service = None
    try:
        with stage(place) as where:
            service = Supervised(program, folder, where, ("/usr/bin/python3", "-IS", PUPPET, str(place)))
            try:
                yield service
            except BaseException:
                print(service.log)
                raise
            finally:
                if service.process:
                    service.tell(*END[program])  # before the puppets end with their stage, or they were started anew
        if service.process:
            service.process.wait(LONGEST_S)
        service.bury()
    finally:
        if service:
            for process in service.waiting:
                process.kill()
                process.communicate()
            if service.process:
                service.process.kill()
                service.process.wait()
        reap(False)
