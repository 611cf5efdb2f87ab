"""Daemons that bridges hand over to a resident: nothing stands beside them, and their init is told as ever."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import BRIDGE, FRONT_DOOR
from tests.support.packages import need
from tests.support.processes import children
from tests.support.resident import Machine, machine
from tests.support.waiting import until

NEEDS_ONE = ("--init", "none", "-t", "systemd", "-N", "--need-resident")
ALONE = ["cross-init-all", "cross-init-kept"]  # the resident, and its deposit


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Machine]:
    need("s6")
    with machine(tmp_path) as made:
        yield made


def test_no_process_of_ours_stands_beside_the_daemon_and_s6_hears_when_it_is_ready(here: Machine) -> None:
    here.serve()
    service, puppet = here.puppet()
    assert here.ours() == ALONE
    assert children(service.process.pid), "s6-supervise runs"
    until(lambda: " starting " in here.status(), "it is seen")
    assert service.says() == "true false"
    puppet.send(repr(b"STATUS=nearly there"))
    assert "waits for READY=1; nearly there" in here.status()
    assert service.says() == "true false"
    puppet.tell("notify READY=1")
    until(service.is_ready, "s6 is told")
    assert " ready " in here.status()
    assert here.ours() == ALONE
    assert "web[" in service.log, "what it says goes where it would say it itself"


def test_a_crash_is_no_end_of_the_service(here: Machine) -> None:
    here.serve()
    service, opened = here.service("web")
    puppet = opened.puppet()
    puppet.tell("notify READY=1")
    until(service.is_ready, "s6 is told")
    puppet.tell(f"die {signal.SIGKILL}")
    second = opened.puppet()
    assert service.says() == "true false"
    second.tell("notify READY=1")
    until(service.is_ready, "s6 is told once more")
    until(lambda: here.ours() == ALONE, "who has looked for what the first one left is done")
    assert here.status().count("\n") == 2


def test_runit_asks_and_is_answered(here: Machine) -> None:
    need("runit")
    here.serve()
    service, puppet = here.puppet(program="runsv")
    assert here.private.run("sv", "-w", "1", "check", str(service.folder)).code == 1
    puppet.tell("notify READY=1")
    until(lambda: here.private.run("sv", "-w", "10", "check", str(service.folder)).code == 0, "it is ready")
    assert here.ours() == ALONE


def test_a_daemon_that_cannot_be_run_is_said_once(here: Machine) -> None:
    here.serve()
    ended = here.private.run(str(BRIDGE), *NEEDS_ONE, "--", "/nonexistent/daemon")
    assert ended.code == 127
    here.private.run(str(BRIDGE), *NEEDS_ONE, "--", "/etc")
    until(lambda: here.status() == "no service is looked after\n", "none of it is left")


def test_without_a_resident_the_bridge_watches_by_itself_unless_it_needs_one(here: Machine) -> None:
    service, puppet = here.puppet()
    until(lambda: "cross-init" in here.ours(), "there is a watcher")
    puppet.tell("notify READY=1")
    until(service.is_ready, "s6 is told")
    assert not service.log.replace("web", "").count("resident")
    ended = here.private.run(str(BRIDGE), *NEEDS_ONE, "--", "/bin/true")
    assert ended.code == 125
    assert here.private.run(str(BRIDGE), "-t", "systemd", "-N", "--supervise", *NEEDS_ONE, "--", "/bin/true").err == (
        "cross-init-bridge: --need-resident: --supervise says so, and a resident watches from beside: leave it out\n"
    )
    assert ended.err == (
        "cross-init-bridge: --need-resident: handing the daemon over to a resident: none is there; start cross-init "
        "serve\n"
    )


def test_an_own_watcher_is_had_for_the_asking(here: Machine) -> None:
    here.serve()
    _, _ = here.puppet("web", "-t", "systemd", "-N", "--own-watcher")
    until(lambda: here.ours().count("cross-init") == 1, "there is a watcher beside the resident")


def test_a_resident_that_does_not_answer_is_done_without(here: Machine) -> None:
    os.kill(here.serve(), signal.SIGSTOP)
    service, puppet = here.puppet()
    puppet.tell("notify READY=1")
    until(service.is_ready, "s6 is told, by a watcher")
    os.kill(here.resident, signal.SIGCONT)
    until(lambda: here.status().count("\n") == 2, "it is seen once")
    assert " watch " not in here.status()


def test_there_is_one_resident_of_a_user(here: Machine) -> None:
    here.serve()
    ended = here.private.run(str(FRONT_DOOR), "serve")
    assert ended.code == 125
    assert ended.err == "cross-init: serve: another cross-init serve of this user's runs already (/run/cross-init)\n"
