"""A soak: many services on a real init, started, reloaded, crashed and stopped in random order; nothing may be left.

usage: python -m tests.soak [--init s6 | systemd] [--resident] [--services N] [--minutes M] [--seed S]

After each step the init has to say what is true, and "cross-init status" too, where somebody of ours stays. At the end
all are stopped: no process, descriptor, socket or folder may be left. The suite runs it shortly. With --resident there
is a "cross-init serve" beside them, which on s6 watches most of them; its memory is bounded.
"""

import argparse
import json
import os
import random
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.matrix.daemons import outermost
from tests.support.beginning import begin
from tests.support.command import BRIDGE, FRONT_DOOR, PATH, script
from tests.support.containers import BRIDGE as BRIDGE_INSIDE
from tests.support.containers import FRONT_DOOR as FRONT_DOOR_INSIDE
from tests.support.containers import INSIDE, PROJECT, booted
from tests.support.own import OWN
from tests.support.packages import need
from tests.support.processes import children
from tests.support.programs import close_path, open_path
from tests.support.supervised import listens
from tests.support.systemd import Host, Manager
from tests.support.waiting import until

LONGEST_S = 30
# How a service runs: the bridge's options, and the kind of daemon. Those that stay are asked by cross-init status.
FORMS = {
    "s6": [("-t systemd -N", "systemd"), ("-t systemd -N --supervise", "systemd"), ("-t upstart -N", "upstart")],
    "systemd": [("-t upstart -N", "upstart"), ("-t systemd -N --supervise", "systemd")],
}
# Beside a resident: those that it watches (on systemd none), and one that stays by itself; "" without a bridge.
BESIDE = {
    "s6": [
        ("-t systemd -N --need-resident", "systemd"),
        ("", "systemd"),
        ("-t systemd -N --supervise", "systemd"),
    ],
    "systemd": FORMS["systemd"],
}
NOTIFY = "/run/cross-init/notify"
MEMORY_KB = 32 << 10  # of the resident's own, for as many services as there may be; 12 to 16 MB were seen
FOLDERS = ("run/cross-init", "run/cross-init-status")


class Init(ABC):
    """An init with services 0, 1, 2, ...; root: its root folder, as we have it. token: in its daemons' words."""

    root = Path("/")
    resident = 0  # the process, as we number it
    restarts: bool
    token: str

    @abstractmethod
    def tell(self, word: str, number: int) -> None:
        """start, stop or reload a service; returns when that is done, or begun."""

    @abstractmethod
    def main_pid(self, number: int) -> int:
        """The main process that it shows, as it numbers it; 0 if the service is not up and ready."""

    @abstractmethod
    def kill(self, number: int) -> None:
        """SIGKILL for the main process; returns when a start may follow."""

    @abstractmethod
    def status(self) -> list[dict[str, object]]:
        """What cross-init status says there."""

    @abstractmethod
    def holders(self) -> list[int]:
        """Its own processes that live through all of it, whose descriptors are counted."""


class S6(Init):
    restarts = True

    def __init__(self, folder: Path, services: int, has_resident: bool) -> None:
        self.folder = folder
        self.token = str(folder)
        self.serves = self.serve() if has_resident else None
        self.processes: list[subprocess.Popen[bytes]] = []
        forms = (BESIDE if has_resident else FORMS)["s6"]
        for number in range(services):
            options, kind = forms[number % len(forms)]
            service = folder / str(number)
            service.mkdir()
            (service / "down").touch()
            (service / "notification-fd").write_text("3\n")
            daemon = f"/usr/bin/python3 -IS {PROJECT}/tests/daemons/soak.py {kind} {self.token}"
            words = f"{BRIDGE} {options} --" if options else f"env NOTIFY_SOCKET={NOTIFY}"
            script(service, "run", f"#!/bin/sh\nexec 2>/dev/null\nexec {words} {daemon}\n")
            self.processes.append(subprocess.Popen(["s6-supervise", service], env={"PATH": PATH}))
        for number in range(services):
            until(partial(listens, "s6-supervise", folder / str(number)), "s6-supervise is up", LONGEST_S)

    def serve(self) -> "subprocess.Popen[bytes]":
        """Start a resident; returns when it serves."""
        address = self.folder / "notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
            told.bind(str(address))
            told.settimeout(LONGEST_S)
            environ = {"PATH": PATH, "NOTIFY_SOCKET": str(address)}
            process = subprocess.Popen([FRONT_DOOR, "serve"], env=environ, stderr=subprocess.DEVNULL)
            assert told.recv(100) == b"READY=1"
        self.resident = process.pid
        return process

    def run(self, *words: str | Path) -> str:
        return subprocess.run(words, env={"PATH": PATH}, capture_output=True, text=True, timeout=LONGEST_S).stdout

    def tell(self, word: str, number: int) -> None:
        letter = {"start": "-u", "stop": "-d", "reload": "-h"}[word]
        self.run("s6-svc", letter, self.folder / str(number))

    def main_pid(self, number: int) -> int:
        ready, pid = self.run("s6-svstat", "-o", "ready,pid", self.folder / str(number)).split()
        return int(pid) if ready == "true" else 0

    def kill(self, number: int) -> None:
        self.run("s6-svc", "-k", self.folder / str(number))

    def status(self) -> list[dict[str, object]]:
        said: list[dict[str, object]] = json.loads(self.run(FRONT_DOOR, "status", "--json"))
        return said

    def holders(self) -> list[int]:
        return [process.pid for process in self.processes]

    def close(self) -> None:
        for number, process in enumerate(self.processes):
            self.run("s6-svc", "-dx", self.folder / str(number))
            try:
                process.wait(LONGEST_S)
            finally:
                process.kill()
                process.wait()
        if self.serves:
            self.serves.terminate()
            self.serves.wait(LONGEST_S)


class Systemd(Init):
    restarts = False
    token = OWN

    def __init__(self, manager: Manager, services: int, has_resident: bool) -> None:
        self.manager = manager
        self.root = manager.container.root
        if has_resident:
            self.serve()
        for number in range(services):
            options, kind = FORMS["systemd"][number % len(FORMS["systemd"])]
            reload = "Type=notify\nExecReload=/bin/kill -HUP $MAINPID" if kind == "upstart" else "Type=notify-reload"
            if not self.has_notify_reload:
                reload = "Type=notify\nExecReload=/bin/kill -HUP $MAINPID"
            daemon = f"/usr/bin/python3 -IS {INSIDE}/tests/daemons/soak.py {kind} {self.token}"
            service = f"{reload}\nExecStart={BRIDGE_INSIDE} {options} -- {daemon}\nStandardError=null\n"
            text = f"[Unit]\nStartLimitIntervalSec=0\n[Service]\n{service}"
            (manager.folder / f"soak-{number}.service").write_text(text)
        manager.systemctl("daemon-reload")

    def serve(self) -> None:
        """Start a resident, by its example."""
        text = (PROJECT / "examples/serve/cross-init-serve.service").read_text()
        (self.manager.folder / "serve.service").write_text(text.replace("/usr/bin/cross-init", FRONT_DOOR_INSIDE))
        self.manager.systemctl("daemon-reload")
        self.manager.systemctl("start", "serve")
        main = self.manager.systemctl("show", "--value", "-p", "MainPID", "serve").stdout
        self.resident = outermost(self.manager.container.pid, int(main))

    @property
    def has_notify_reload(self) -> bool:
        return int(self.manager.systemctl("--version").stdout.split()[1]) >= 253

    def tell(self, word: str, number: int) -> None:
        self.manager.systemctl(word, f"soak-{number}")

    def facts(self, number: int) -> dict[str, str]:
        shown = self.manager.systemctl("show", "-p", "ActiveState", "-p", "MainPID", f"soak-{number}").stdout
        return dict(line.split("=", 1) for line in shown.splitlines())

    def main_pid(self, number: int) -> int:
        facts = self.facts(number)
        return int(facts["MainPID"]) if facts["ActiveState"] == "active" else 0

    def kill(self, number: int) -> None:
        self.manager.systemctl("kill", "--kill-whom=main", "--signal=KILL", f"soak-{number}")
        # What is told to start while it is still "deactivating" fails as what was there before has failed.
        until(lambda: self.facts(number)["ActiveState"] == "failed", f"{number}: the crash is seen", LONGEST_S)

    def status(self) -> list[dict[str, object]]:
        ran = self.manager.container.run(FRONT_DOOR_INSIDE, "status", "--json")
        said: list[dict[str, object]] = json.loads(ran.stdout)
        return said

    def holders(self) -> list[int]:
        return [self.manager.container.pid]


@contextmanager
def init_of(name: str, services: int, has_resident: bool = False) -> Iterator[Init]:
    """A real init with these services, all down."""
    if name == "systemd":
        with booted(Path("/")) as container:
            yield Systemd(Host(container).system, services, has_resident)
        return
    need("s6")
    with TemporaryDirectory(prefix="cross-init-soak.") as folder:
        made = None
        try:
            made = S6(Path(folder), services, has_resident)
            yield made
        finally:
            if made:
                made.close()


def soak(init: Init, name: str, services: int, seconds: float, chance: random.Random) -> dict[str, int]:
    """Do it; returns how often what was done."""
    up: dict[int, int] = {}
    done = {"start": 0, "stop": 0, "reload": 0, "crash": 0}
    before = descriptors(init)
    left = {folder: entries(init, folder) for folder in FOLDERS}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        number = chance.randrange(services)
        what = chance.choice(("reload", "crash", "stop")) if number in up else "start"
        done[what] += 1
        if what == "crash":
            init.kill(number)
            if not init.restarts:
                until(lambda number=number: init.main_pid(number) == 0, f"{number}: the crash is seen", LONGEST_S)  # type: ignore[misc]
                init.tell("start", number)
        else:
            init.tell(what, number)
        if what == "stop":
            old = up.pop(number)
            until(lambda number=number: init.main_pid(number) == 0, f"{number} is down", LONGEST_S)  # type: ignore[misc]
            continue
        old = up.get(number, 0) if what == "crash" else 0
        pid = another(init, number, old, what)
        assert what != "reload" or pid == up[number], f"{number}: another main process after a reload"
        up[number] = pid
        if sum(done.values()) % 20 == 0:
            check(init, name, up)
    for number in list(up):
        init.tell("stop", number)
    until(lambda: not any(init.main_pid(number) for number in up), "all are down", LONGEST_S)
    until(lambda: init.status() == [], "nobody is looked after any more", LONGEST_S)
    for folder in FOLDERS:
        until(lambda folder=folder: entries(init, folder) <= left[folder], f"nothing is left in {folder}", LONGEST_S)  # type: ignore[misc]
    until(lambda: descriptors(init) <= before + 2, f"descriptors: {before} before, {descriptors(init)} now", LONGEST_S)
    assert processes(init.token) == [], "no process is left"
    if init.resident:
        until(lambda: children(init.resident) == [], "no child of the resident's is left", LONGEST_S)
        used = memory(init.resident)
        print(f"the resident has {used >> 10} MB of its own")
        assert used < MEMORY_KB
    return done


def another(init: Init, number: int, old: int, what: str) -> int:
    """The main process of a service that is up and ready, and is not this one; one that reloads is not, for a while."""
    found = [0]

    def is_there() -> bool:
        found[0] = init.main_pid(number)
        return found[0] not in (0, old)

    until(is_there, f"{number}: {what}", LONGEST_S)
    return found[0]


def check(init: Init, name: str, up: dict[int, int]) -> None:
    """cross-init status tells of those, and only those, where somebody of ours stays; and each is ready."""
    stays = set(up.values())
    if name == "systemd":  # there the daemon of the others is handed over, and we are gone
        stays = {pid for number, pid in up.items() if "--supervise" in FORMS[name][number % len(FORMS[name])][0]}

    def told() -> bool:
        said = init.status()
        mains = {each["bridge"] if each["shape"] == "supervise" else each["pid"] for each in said}
        return mains == stays and all(each["state"] == "ready" for each in said)

    until(told, "cross-init status is right", LONGEST_S)


def entries(init: Init, folder: str) -> set[str]:
    """What stands in this folder."""
    try:
        return set(os.listdir(init.root / folder))
    except FileNotFoundError:
        return set()


def descriptors(init: Init) -> int:
    """How many descriptors the init's own processes have open."""
    holders = init.holders() + [init.resident] * bool(init.resident)
    return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in holders)


def memory(pid: int) -> int:
    """A process's own, in KiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


def processes(token: str) -> list[str]:
    """The command lines of daemons that have this token in it, and of ours beside them."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_text() if entry.name.isdigit() else ""
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0] if words else ""
        except OSError:
            continue
        if "tests/daemons/soak.py" in words and token in words and state not in "ZX":
            found.append(words)
    return found


def main(words: Sequence[str]) -> None:
    """Run it as the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--init", choices=tuple(FORMS), default="s6")
    parser.add_argument("--resident", action="store_true")
    parser.add_argument("--services", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    wish = parser.parse_args(words)
    print(f"{wish.services} services on {wish.init} for {wish.minutes:g} minutes, --seed {wish.seed}", flush=True)
    begin()
    open_path()
    try:
        with init_of(wish.init, wish.services, wish.resident) as init:
            print(soak(init, wish.init, wish.services, wish.minutes * 60, random.Random(wish.seed)))
    finally:
        close_path()


if __name__ == "__main__":
    main(sys.argv[1:])
