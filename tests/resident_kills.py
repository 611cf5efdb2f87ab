"""A resident that ends again and again while services start, report, reload, crash and stop under a real s6.

It is killed, mostly; or told to reload, and perhaps killed in the middle of that; or stopped; or its deposit is killed.

usage: python -m tests.resident_kills [--kills N] [--services N] [--seed S] [--no-bridge]

At the end all daemons say their last words, and s6 and "cross-init status" have to say what is true; no init was told
twice of one start, and when all are stopped nothing is left. The suite runs it shortly.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.beginning import begin
from tests.support.command import BRIDGE, script
from tests.support.packages import need
from tests.support.processes import children, kill, named
from tests.support.programs import close_path, open_path
from tests.support.resident import Machine, machine
from tests.support.waiting import until

TALKER = Path(__file__).resolve().parent / "daemons/talker.c"
NOTIFY = "/run/cross-init/notify"
LONGEST_S = 60
PAUSE_S = (0.0, 0.3)  # from the moment when a resident serves to its end
STEPS = 3  # one more than services make meanwhile at most
# Of s6-svc: restart, SIGKILL, SIGHUP, stop, start; once, which is no change. More is started than stopped.
WORDS = ("-r", "-k", "-h", "-h", "-d", "-u", "-u", "-o")


class Services:
    """Service directories each with its s6-supervise. Half of them are told by a file of their own for each start.

    is_bridged: a bridge hands each daemon over; else it speaks to the resident by itself, and s6 is told of all.
    """

    def __init__(self, here: Machine, count: int, is_bridged: bool) -> None:
        self.here = here
        self.scan = here.folder / "scan"
        self.scan.mkdir()
        talker = here.folder / "talker"
        subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", talker, TALKER], check=True)
        self.folders = [self.scan / f"s{number}" for number in range(count)]
        for number, folder in enumerate(self.folders):
            folder.mkdir()
            way = "--ready-fd 4 4>told.$$" if number % 2 and is_bridged else ""
            if not way:
                (folder / "notification-fd").write_text("3\n")
            before = f"exec {BRIDGE} -t systemd -N {way} --" if is_bridged else f"NOTIFY_SOCKET={NOTIFY} exec"
            script(folder, "run", f"#!/bin/sh\nexec 2>>log\n{before} {talker} {folder}/settled\n")
            here.spawn("s6-supervise", str(folder))
        until(lambda: all((folder / "supervise/status").exists() for folder in self.folders), "s6 is up", LONGEST_S)

    def tell(self, folder: Path, *words: str) -> None:
        """Have s6 do this to the service."""
        self.here.private.run("s6-svc", *words, str(folder))

    def step(self, chance: random.Random) -> None:
        """Something happens to some of them."""
        for _ in range(chance.randrange(STEPS)):
            self.tell(chance.choice(self.folders), chance.choice(WORDS))

    def state(self, folder: Path) -> tuple[int, bool]:
        """The main process, as it is numbered there, and whether it is ready, as s6 says it."""
        up, ready, pid = self.here.private.run("s6-svstat", "-o", "up,ready,pid", str(folder)).out.split()
        return (int(pid) if up == "true" else 0), ready == "true"

    def settle(self) -> dict[str, int]:
        """Have all say their last words; returns the main processes."""
        found: dict[str, int] = {}
        for folder in self.folders:
            self.tell(folder, "-u")

            def settled(folder: Path = folder) -> bool:
                pid = self.state(folder)[0]
                found[folder.name] = pid
                self.tell(folder, "-1")
                path = folder / "settled"
                return path.exists() and path.read_text() == f"settled {pid}\n"

            until(settled, f"{folder.name} settles", LONGEST_S)
        return found

    def says_all(self, pids: dict[str, int]) -> bool:
        """Whether "cross-init status" says what is true of all."""
        said = {each["service"]: each for each in json.loads(self.here.private.ask("status", "--json").out)}
        return said.keys() == pids.keys() and all(
            (said[name]["pid"], said[name]["state"], said[name]["status"]) == (pid, "ready", f"settled {pid}")
            for name, pid in pids.items()
        )

    def check_told(self, pids: dict[str, int]) -> None:
        """Each init was told once of what is there, and never twice of anything."""
        for folder in self.folders:
            told = {path.name: path.read_text() for path in folder.glob("told.*")}
            assert set(told.values()) <= {"", "\n"}, (folder.name, told)
            if told:
                assert told[f"told.{pids[folder.name]}"] == "\n", folder.name
                continue

            def is_told(folder: Path = folder) -> bool:
                return self.state(folder) == (pids[folder.name], True)

            until(is_told, f"s6 knows of {folder.name}", LONGEST_S)


Meanwhile = Callable[[], None]  # what happens while none is there


def killed(here: Machine, meanwhile: Meanwhile) -> None:
    """As nobody expects it."""
    here.kill_resident()
    meanwhile()
    here.serve()


def stopped(here: Machine, meanwhile: Meanwhile) -> None:
    """As its init does it."""
    here.stop_resident()
    meanwhile()
    here.serve()


def reloaded(here: Machine, meanwhile: Meanwhile) -> None:
    """It becomes the program as it is now."""
    here.reload_resident(meanwhile)


def killed_in_reload(here: Machine, meanwhile: Meanwhile) -> None:
    """At no particular point of that."""
    os.kill(here.resident, signal.SIGHUP)
    meanwhile()
    killed(here, meanwhile)


def robbed(here: Machine, meanwhile: Meanwhile) -> None:
    """Its deposit is killed: it makes another one, which has all when the resident answers."""
    (deposit,) = deposits(here)
    kill(deposit)
    meanwhile()
    until(lambda: any(pid != deposit for pid in deposits(here)), "another one is there", LONGEST_S)
    here.status()


def deposits(here: Machine) -> list[int]:
    """The processes that keep what the resident has."""
    return [pid for pid in here.in_there() if named(pid) == "cross-init-kept"]


ENDS: dict[Callable[[Machine, Meanwhile], None], int] = {  # and how often of ten times
    killed: 6,
    **dict.fromkeys((stopped, reloaded, killed_in_reload, robbed), 1),
}


def campaign(kills: int, count: int, seed: int, is_bridged: bool = True) -> None:
    """All of it. Raises AssertionError."""
    need("s6", "gcc", "libc6-dev")
    chance = random.Random(seed)
    with TemporaryDirectory() as folder, machine(Path(folder)) as here:
        here.serve()
        services = Services(here, count, is_bridged)
        for number in range(kills):
            end = time.monotonic() + chance.uniform(*PAUSE_S)
            services.step(chance)
            time.sleep(max(0.0, end - time.monotonic()))
            (end_it,) = chance.choices([*ENDS], [*ENDS.values()])
            end_it(here, lambda: services.step(chance))
            if sys.stdout.isatty():
                print(f"\r{number + 1} of {kills}", end="", flush=True)
        pids = services.settle()
        until(lambda: services.says_all(pids), "all is as it is said", LONGEST_S)
        services.check_told(pids)
        for path in here.folder.glob("scan/*/log"):
            assert "mistake" not in path.read_text(), path.read_text()
        for each in services.folders:
            services.tell(each, "-d")
        until(lambda: here.status() == "no service is looked after\n", "all are stopped", LONGEST_S)
        until(lambda: here.ours() == ["cross-init-all", "cross-init-kept"], "nothing is left", LONGEST_S)
        here.kill_resident()  # the next one removes what bridges have left that were killed before they had handed over
        here.serve()
        left = [path.name for path in (here.private.root / "run/cross-init").iterdir()]
        assert sorted(left) == ["kept", "notify", "serve"], left
        (deposit,) = deposits(here)
        until(lambda: len(os.listdir(f"/proc/{deposit}/fd")) < 10, "the deposit has nothing", LONGEST_S)
        assert len(os.listdir(f"/proc/{here.resident}/fd")) < 20
        assert not [pid for pid in children(here.resident) if pid != here.resident]


def main(words: list[str]) -> None:
    """As it is said on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--services", type=int, default=50)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--no-bridge", action="store_true", help="the daemons speak to the resident by themselves")
    chosen = parser.parse_args(words)
    print(f"seed {chosen.seed}", flush=True)
    begin()
    open_path()
    try:
        campaign(chosen.kills, chosen.services, chosen.seed, not chosen.no_bridge)
    finally:
        close_path()
    print(f"{chosen.kills} ends, {chosen.services} services: all as it has to be")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))
    main(sys.argv[1:])
