"""A machine of its own in which a real init runs what `cross-init translate` has written for it.

The init is no process 1: each of these has a tree of supervisors that can be started anywhere. Its folders are the
test's, and /run and /var/log the machine's own. CROSS_INIT_TEST_S6_RC names the prefix that s6-rc is installed below.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.command import BRIDGE, FRONT_DOOR, PATH
from tests.support.packages import need
from tests.support.private_run import Ended, PrivateRun, private_run
from tests.support.puppet import Stage, stage
from tests.support.supervised import PUPPET
from tests.support.waiting import becomes, until

LONGEST_S = 30
HERE = "/run/here"  # the test's folder in the machine, where every user may go
LIVE = "/run/s6-rc"  # where s6-rc has its state
# For each init: the packages, and who watches a folder of service directories.
SUPERVISION = {
    "s6": (("s6",), "s6-svscan"),
    "s6-rc": (("s6", "execline"), "s6-svscan"),
    "runit": (("runit",), "runsvdir"),
    "daemontools": (("daemontools",), "svscan"),
}
INITS = tuple(SUPERVISION)
Words = tuple[str, ...]


def s6_rc() -> Path:
    """The folder of s6-rc's programs; skips the test if it is nowhere."""
    place = os.environ.get("CROSS_INIT_TEST_S6_RC")
    if not place:
        pytest.skip("needs s6-rc, which Debian does not have: name its prefix in CROSS_INIT_TEST_S6_RC")
    programs = Path(place) / "bin"
    if not os.access(programs / "s6-rc-compile", os.X_OK):
        pytest.skip(f"needs s6-rc: {programs} has no s6-rc-compile")
    return programs


class Written:
    """The machine. folder: the test's, which is HERE in it. services: the folder in that of what was written."""

    def __init__(self, init: str, machine: PrivateRun, folder: Path, where: Stage) -> None:
        self.init = init
        self.machine = machine
        self.folder = folder
        self.stage = where
        self.services = folder / "services"
        self.services.mkdir()
        programs = folder / "programs"
        programs.mkdir()
        (programs / "cross-init").symlink_to(FRONT_DOOR)
        (programs / "cross-init-bridge").symlink_to(BRIDGE)
        path = [f"{HERE}/programs", PATH]
        if init == "s6-rc":
            path.insert(1, str(s6_rc()))
        self.environ = {"PATH": ":".join(path)}
        (folder / "puppet.py").write_bytes(Path(PUPPET).read_bytes())
        self.puppet = f"/usr/bin/python3 -IS {HERE}/puppet.py {HERE}/stage"
        self.waiting: list[subprocess.Popen[bytes]] = []

    def run(self, *words: str) -> Ended:
        """Run this in there to its end."""
        return self.machine.run(*words, environ=self.environ)

    def begin(self, *words: str) -> subprocess.Popen[bytes]:
        """Begin this in there."""
        null = subprocess.DEVNULL
        process = subprocess.Popen(self.machine.command(words, 0, 1024), env=self.environ, stdin=null, stdout=null)
        self.waiting.append(process)
        return process

    def translate(self, unit: str, *options: str) -> str:
        """Have it written; returns what is said on standard error."""
        written = self.run("cross-init", "translate", unit, "--to", self.init, "-o", f"{HERE}/services", *options)
        assert written.code == 0, written.err
        return written.err

    def translate_text(self, name: str, text: str, *options: str) -> str:
        """The same for a unit of this text. PUPPET is a puppet's command."""
        (self.folder / name).write_text(text.replace("PUPPET", self.puppet).replace("HERE", HERE))
        return self.translate(f"{HERE}/{name}", *options)

    def up(self, *names: str) -> None:
        """Start the init, with these services down."""
        scanned = f"{HERE}/services"
        if self.init == "s6-rc":
            scanned = f"{HERE}/scanned"
            (self.folder / "scanned").mkdir()
        else:
            for name in names:
                (self.services / name / "down").touch()
        program = SUPERVISION[self.init][1]
        words = ("sh", "-c", f'echo up; exec {program} "$@" 2>&1', "sh", scanned)
        self.machine.begin(*words, environ=self.environ)
        if self.init == "s6-rc":
            until((self.folder / "scanned/.s6-svscan/control").exists, "s6-svscan is up")
            for line in (
                ("s6-rc-compile", f"{HERE}/compiled", f"{HERE}/services"),
                ("s6-rc-init", "-c", f"{HERE}/compiled", "-l", LIVE, scanned),
            ):
                done = self.run(*line)
                assert done.code == 0, done.err
        else:
            for name in names:
                until(lambda name=name: self.is_watched(name), f"{name} is watched")  # type: ignore[misc]

    def is_watched(self, name: str) -> bool:
        """Whether it can be told something."""
        program = {"s6": "s6-svok", "runit": "sv", "daemontools": "svok"}[self.init]
        return self.run(program, *(("status",) if program == "sv" else ()), self.directory(name)).code == 0

    def directory(self, name: str) -> str:
        """The directory in which its supervisor stands."""
        return f"{LIVE}/servicedirs/{name}" if self.init == "s6-rc" else f"{HERE}/services/{name}"

    def start(self, name: str) -> "subprocess.Popen[bytes]":
        """Begin to start it: that ends when it is ready, where the init waits for that."""
        return self.begin(*self._words(name, "start"))

    def once(self, name: str) -> "subprocess.Popen[bytes]":
        """Begin to start what ends by itself: sv(8) waits for ever for one that has."""
        return self.begin("sv", "once", self.directory(name)) if self.init == "runit" else self.start(name)

    def stop(self, name: str) -> "subprocess.Popen[bytes]":
        """Begin to stop it: that ends when it has ended."""
        return self.begin(*self._words(name, "stop"))

    def _words(self, name: str, what: str) -> Words:
        directory = self.directory(name)
        if self.init == "s6-rc":
            flag = {"start": "-u", "stop": "-d"}[what]
            return ("s6-rc", "-l", LIVE, "-t", f"{LONGEST_S}000", flag, "change", name)
        if self.init == "s6":
            flags = {"start": ("-uwU",), "stop": ("-dwD",)}[what]
            if what == "start" and not (self.services / name / "notification-fd").exists():
                flags = ("-uwu",)
            return ("s6-svc", *flags, "-T", f"{LONGEST_S}000", directory)
        if self.init == "runit":
            return ("sv", "-w", str(LONGEST_S), what, directory)
        return ("svc", {"start": "-u", "stop": "-d"}[what], directory)

    def reload(self, name: str) -> None:
        """Send what stands for a reload."""
        directory = self.directory(name)
        words = {"runit": ("sv", "hup"), "daemontools": ("svc", "-h")}.get(self.init, ("s6-svc", "-h"))
        assert self.run(*words, directory).code == 0

    def is_up(self, name: str) -> bool:
        """Whether there is a process of it."""
        directory = self.directory(name)
        if self.init == "runit":
            return self.run("sv", "status", directory).out.startswith(("run", "finish"))
        if self.init == "daemontools":
            return ": up" in self.run("svstat", directory).out
        return self.run("s6-svstat", "-o", "up", directory).out == "true\n"

    def stays_down(self, name: str) -> None:
        """Return when it is down, and meant to be."""
        directory = self.directory(name)
        if self.init in ("runit", "daemontools"):
            words: Words = ("sv", "status", directory) if self.init == "runit" else ("svstat", directory)

            def is_down() -> bool:
                out = self.run(*words).out  # "finish: " while ./finish runs; "want up" if it is to be started anew
                return (": down" in out or out.startswith("down: ")) and "want up" not in out

            until(is_down, f"{name} is down")
        else:
            becomes(lambda: self.run("s6-svstat", "-o", "up,wantedup", directory).out, "false false\n")

    def processes(self) -> list[str]:
        """The command lines of all that runs there, but for the init's own and what was there before."""
        own = ("s6-", "runsv", "svscan", "svlogd", "supervise", "multilog", "readproctitle", "ps ", "sleep infinity")
        lines = self.run("ps", "-eo", "args=").out.splitlines()
        named = [line[line.partition(" ")[0].rfind("/") + 1 :] for line in lines]
        return [name for name in named if not name.startswith(own) and "<defunct>" not in name]

    def is_empty(self) -> None:
        """Return when nothing of any service is left."""
        becomes(self.processes, list[str]())


@contextmanager
def written(init: str, folder: Path) -> Iterator[Written]:
    """Begin such a machine; all in it ends with it."""
    if os.geteuid() != 0:
        pytest.skip("needs root, for a machine of its own")
    need(*SUPERVISION[init][0])
    folder.chmod(0o755)
    with stage(folder / "stage") as puppets, private_run() as machine:
        made = Written(init, machine, folder, puppets)
        mounts = f"mkdir {HERE} && mount --bind {folder} {HERE} && mount -t tmpfs tmpfs /var/log"
        done = machine.run("sh", "-c", mounts)
        assert done.code == 0, done.err
        try:
            yield made
        finally:
            for log in (*(machine.root / "var/log").glob("*/*/current"), *folder.glob("services/*/log/main/current")):
                print(f"{log}:\n{log.read_text()}")
            for process in made.waiting:
                process.kill()
                process.wait()
