"""What the init keeps for a resident: with that it and its deposit may both be killed at once, on a real systemd."""

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.command import ROOT
from tests.support.containers import BRIDGE, FRONT_DOOR
from tests.support.processes import named
from tests.support.puppet import Puppet, stage
from tests.support.systemd import PUPPET, Manager, Unit
from tests.support.waiting import until

UNIT = (ROOT / "examples/serve/cross-init-serve.service").read_text()
ALONE = ["cross-init-all", "cross-init-kept"]
WAYS = {
    "handed over": (
        f"exec {BRIDGE} --init none -t systemd -N --ready-fd 3 --need-resident -- {PUPPET} {{folder}}/stage "
        "3>>{folder}/told"
    ),
    "without a bridge": f"NOTIFY_SOCKET={{runtime}}/cross-init/notify exec {PUPPET} {{folder}}/stage",
}


class Served:
    """A resident as a unit, and a service in another one. unit: the resident's; folder: the service's."""

    def __init__(self, manager: Manager, unit: Unit, web: Unit, folder: Path, puppet: Puppet) -> None:
        self.manager = manager
        self.unit = unit
        self.web = web
        self.folder = folder
        self.puppet = puppet

    def ask(self, *words: str) -> str:
        """What it says to that."""
        return self.manager.container.run(*words, user=self.manager.user, check=False).stdout

    def status(self) -> str:
        return self.ask(FRONT_DOOR, "status")

    def is_ready(self) -> bool:
        """Whether it is so, and whoever waits for that was told, once."""
        said = self.folder / "told"
        return " ready " in self.status() and (not said.exists() or said.read_text() == "\n")

    @property
    def count(self) -> int:
        """How many descriptors the manager keeps."""
        return int(self.unit.show("NFileDescriptorStore"))

    def kill_all(self) -> None:
        """Kill the resident and its deposit at once; another resident comes by itself."""
        before = self.unit.main_pid
        killed = processes(self.unit)
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in killed:
                os.kill(pid, number)
        until(lambda: self.unit.main_pid not in (0, before) and self.unit.show("SubState") == "running", "another one")


@contextmanager
def served(manager: Manager, way: str, line: str = "") -> Iterator[Served]:
    """Both, started. line: one more in the resident's unit."""
    runtime = f"/run/user/{manager.user}" if manager.user else "/run"
    before, _, lines = UNIT.split("[Install]")[0].replace("/usr/bin/cross-init", FRONT_DOOR).partition("[Service]\n")
    with manager.unit(f"{lines}RestartSec=0\n{line}\n{before}", name="-resident") as unit:
        inside = f"{runtime}/{unit.name}.web"
        folder = manager.container.root / inside[1:]
        folder.mkdir()
        (folder / "run").write_text(f"#!/bin/sh\n{WAYS[way].format(folder=inside, runtime=runtime)}\n")
        os.chown(folder, manager.user, manager.user)
        with stage(folder / "stage") as opened, manager.unit(f"ExecStart=/bin/sh {inside}/run") as web:
            assert unit.start() == 0
            assert web.start() == 0
            yield Served(manager, unit, web, folder, opened.puppet())
        unit.clear_away()
        shutil.rmtree(folder)
    shutil.rmtree(manager.container.root / runtime[1:] / "cross-init")


@pytest.fixture(params=WAYS)
def both(request: pytest.FixtureRequest, manager: Manager) -> Iterator[Served]:
    with served(manager, request.param) as made:
        yield made


def names(unit: Unit) -> list[str]:
    """Of the processes of this unit."""
    return sorted(filter(None, map(named, processes(unit))))


def processes(unit: Unit) -> list[int]:
    """Those of this unit, as we see them."""
    group = unit.show("ControlGroup")
    assert group.endswith(unit.name)
    found = [
        int(pid) for pid in (unit.manager.container.root / f"sys/fs/cgroup{group}/cgroup.procs").read_text().split()
    ]
    assert min(found) > 1
    return found


def test_the_manager_has_what_a_killed_resident_and_its_deposit_had(both: Served) -> None:
    if "cross-init" not in both.status():  # nobody has spoken yet
        both.puppet.send(repr(b"STATUS=nearly there"))
    until(lambda: both.count == 2, "the shared socket, and the service")
    both.puppet.send(repr(b"STATUS=nearly there"))
    both.kill_all()
    until(lambda: "nearly there" in both.status(), "the service is known")
    assert " starting " in both.status()
    both.kill_all()
    both.puppet.tell("notify READY=1")
    both.puppet.hear("notified")
    until(both.is_ready, "it is told")
    until(lambda: names(both.unit) == ALONE, "nothing else is there")
    for _ in range(2):
        both.kill_all()
        until(lambda: " ready " in both.status(), "it knows that it is ready")
    both.puppet.send(repr(b"READY=1\nSTATUS=as before"))
    assert "as before" in both.status()
    assert both.is_ready(), "nobody is told twice"
    both.puppet.tell("exit 0")
    until(lambda: both.count == 1, "it is kept no longer")
    assert "no service is looked after" in both.status()


def test_a_killed_resident_goes_on_where_it_was(both: Served) -> None:
    both.puppet.send(repr(b"STATUS=nearly there"))
    before = both.unit.main_pid
    both.unit.kill(signal.SIGKILL)
    both.puppet.tell("notify READY=1")
    both.puppet.hear("notified")
    until(both.is_ready, "it is told")
    assert both.unit.main_pid != before
    until(lambda: names(both.unit) == ALONE, "who takes off what comes with descriptors has gone")
    assert "nearly there" in both.status()
    assert both.count == 2


def test_a_reload_keeps_all_and_no_more(both: Served) -> None:
    both.puppet.send(repr(b"STATUS=nearly there"))
    until(lambda: both.count == 2, "the shared socket, and the service")
    both.unit.manager.systemctl("reload", both.unit.name)
    both.puppet.send(repr(b"READY=1"))
    until(both.is_ready, "it is told")
    until(lambda: both.count == 2, "as before")
    both.kill_all()
    until(lambda: " ready " in both.status(), "it knows that it is ready")
    assert both.count == 2


def test_no_more_is_kept_than_the_manager_can_pass(manager: Manager) -> None:
    """systemd does not start a service to which it has to pass more than may be open."""
    with served(manager, "handed over", "LimitNOFILE=65:4096") as both:
        both.puppet.send(repr(b"STATUS=nearly there"))
        until(lambda: both.count == 1, "the shared socket alone")
        assert "it keeps 1 descriptors, and no more" in "\n".join(both.unit.journal())
        both.unit.kill(signal.SIGKILL)
        both.puppet.tell("notify READY=1")
        both.puppet.hear("notified")
        until(both.is_ready, "the deposit has it")
