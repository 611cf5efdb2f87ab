"""A machine of one's own with "cross-init serve" on it, and services under real supervisors, each with a puppet."""

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cross_init.kernel.process_stat import process_state
from tests.support.command import BRIDGE, FRONT_DOOR, PATH, script
from tests.support.private_run import PrivateRun, private_run
from tests.support.processes import children, kill, named
from tests.support.puppet import Puppet, Stage
from tests.support.waiting import until

PUPPET = str(Path(__file__).resolve().parents[1] / "daemons" / "puppet.py")
LONGEST_S = 20
OURS = (
    "cross-init",
    "cross-init-all",
    "cross-init-kept",
    "cross-init-wit",
    "cross-init-end",
    "cross-init-see",
)  # as ps(1) shows our processes


class Service:
    """A service directory, and who supervises it. process: by which that one runs in there."""

    def __init__(
        self, machine: "Machine", program: str, name: str, options: tuple[str, ...], bridge: str = str(BRIDGE)
    ) -> None:
        self.machine = machine
        self.folder = machine.folder / name
        self.folder.mkdir()
        self.stage_path = machine.folder / f"stage-{name}"
        self.log_path = self.folder / "log"
        words = " ".join((bridge, *options, "--", "/usr/bin/python3", "-IS", PUPPET, str(self.stage_path)))
        script(self.folder, "run", f"#!/bin/sh\nexec 2>>log\nexec {words}\n")
        if program == "s6-supervise":
            (self.folder / "notification-fd").write_text("3\n")
        else:
            script(self.folder, "check", f"#!/bin/sh\nexec {FRONT_DOOR} check\n")
        self.process = machine.spawn(program, str(self.folder))

    @property
    def log(self) -> str:
        """What the service has said on standard error."""
        return self.log_path.read_text() if self.log_path.exists() else ""

    def says(self) -> str:
        """s6-svstat's word for it: up, ready, main process."""
        return self.machine.private.run("s6-svstat", "-o", "up,ready", str(self.folder)).out.strip()

    def is_ready(self) -> bool:
        return self.says() == "true true"


class Machine:
    """private: the namespaces. stages: where puppets come to."""

    def __init__(self, private: PrivateRun, folder: Path) -> None:
        self.private = private
        self.folder = folder
        self.spawned: list[subprocess.Popen[bytes]] = []
        self.stages: list[Stage] = []
        self.resident = 0
        self.told: socket.socket | None = None  # what it tells who has started it
        self.log = folder / "resident.log"  # what it says

    def spawn(
        self, *words: str, user: int = 0, environ: dict[str, str] | None = None, log: Path | None = None
    ) -> subprocess.Popen[bytes]:
        """Start this in there. log: what it says goes there."""
        said = log.open("a") if log is not None else None
        process = subprocess.Popen(
            self.private.command(words, user, 4096),
            env={"PATH": PATH, **(environ or {})},
            stdin=subprocess.DEVNULL,
            stderr=said,
            cwd="/",
        )
        if said is not None:
            said.close()
        self.spawned.append(process)
        return process

    def serve(self, program: Path = FRONT_DOOR) -> int:
        """Start a resident; returns its PID, as we see it, when it serves."""
        if self.told is None:
            self.told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self.told.bind(str(self.folder / "resident.notify"))
        self.told.setblocking(False)
        while self.hear():
            pass  # of the one before
        self.told.settimeout(LONGEST_S)
        environ = {"NOTIFY_SOCKET": str(self.folder / "resident.notify")}
        process = self.spawn(str(program), "serve", environ=environ, log=self.log)
        assert self.hear() == b"READY=1"
        (self.resident,) = children(process.pid)
        return self.resident

    def hear(self) -> bytes:
        """What the resident says next to who has started it; b"" if nothing, and nobody waits."""
        assert self.told is not None
        try:
            return self.told.recv(100)
        except BlockingIOError:
            return b""

    def reload_resident(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        """By SIGHUP; returns when it serves again."""
        os.kill(self.resident, signal.SIGHUP)
        meanwhile()
        assert self.hear().startswith(b"RELOADING=1\n")
        assert self.hear() == b"READY=1"

    def stop_resident(self) -> None:
        """As its init does; returns when it has ended."""
        os.kill(self.resident, signal.SIGTERM)
        assert self.hear() == b"STOPPING=1"
        self._is_buried()

    def kill_resident(self) -> None:
        """As nobody expects it."""
        kill(self.resident)
        self._is_buried()

    def _is_buried(self) -> None:
        until(lambda: all(each.poll() is not None or children(each.pid) for each in self.spawned), "it is buried")

    def service(
        self, name: str, *options: str, program: str = "s6-supervise", bridge: str = str(BRIDGE)
    ) -> tuple[Service, Stage]:
        """A service that is being started, and where its puppets come to."""
        opened = Stage(self.folder / f"stage-{name}")
        self.stages.append(opened)
        return Service(self, program, name, options or ("-t", "systemd", "-N"), bridge), opened

    def puppet(
        self, name: str = "web", *options: str, program: str = "s6-supervise", bridge: str = str(BRIDGE)
    ) -> tuple[Service, Puppet]:
        """The same, with its first puppet."""
        service, opened = self.service(name, *options, program=program, bridge=bridge)
        return service, opened.puppet()

    def ours(self) -> list[str]:
        """The names of all processes of ours in there, but for the command that asks."""
        pids = [int(name) for name in os.listdir(self.private.root / "proc") if name.isdigit()]
        names = []
        for pid in pids:
            try:
                name, rest = (self.private.root / f"proc/{pid}/stat").read_text().partition(" (")[2].rsplit(") ", 1)
            except OSError:
                continue
            if name in OURS and rest[0] != "Z":  # nobody reaps there
                names.append(name)
        return sorted(names)

    def in_there(self) -> list[int]:
        """All processes of ours in there, as we see them."""
        found = []
        for name in os.listdir("/proc"):
            if name.isdigit() and named(int(name)).startswith("cross-init") and process_state(int(name)) != "Z":
                try:
                    if os.readlink(f"/proc/{name}/ns/pid") == os.readlink(f"/proc/{self.resident}/ns/pid"):
                        found.append(int(name))
                except OSError:
                    pass  # it has ended
        return found

    def status(self) -> str:
        """What "cross-init status" says."""
        return self.private.ask("status").out

    def clear(self) -> None:
        """End what was started."""
        for process in self.spawned:
            for pid in children(process.pid):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            process.kill()
            process.wait()
        if self.told is not None:
            self.told.close()
        for opened in self.stages:
            opened.dismiss()
            opened.listener.close()


@contextmanager
def machine(folder: Path) -> Iterator[Machine]:
    """A machine, which ends with all in it. folder: for its services."""
    with private_run() as private:
        made = Machine(private, folder)
        try:
            yield made
        except BaseException:
            for log in folder.glob("*/log"):
                print(log, log.read_text())
            raise
        finally:
            made.clear()
