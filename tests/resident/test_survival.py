"""The resident may be killed at any moment: no daemon blocks or fails, nothing that was said is lost or told twice."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.packages import need
from tests.support.processes import children, kill, named, stop
from tests.support.resident import Machine, machine
from tests.support.waiting import until

ALONE = ["cross-init-all", "cross-init-kept"]


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Machine]:
    need("s6")
    with machine(tmp_path) as made:
        yield made


def notify(text: str) -> str:
    """What has a puppet say this, without waiting for anybody."""
    return (
        "import os, socket; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); "
        f"s.settimeout(5); s.connect(os.environ['NOTIFY_SOCKET']); s.send({text.encode()!r}); s.close()"
    )


def test_what_is_said_while_none_is_there_is_heard_by_the_next_one(here: Machine) -> None:
    here.serve()
    service, puppet = here.puppet()
    here.kill_resident()
    puppet.do(notify("STATUS=one"))
    puppet.do(notify("STATUS=two\nREADY=1"))
    assert service.says() == "true false"
    here.serve()
    until(service.is_ready, "s6 is told")
    assert " two" in here.status()
    assert here.ours() == ALONE


def test_a_daemon_that_says_much_is_not_held_up_meanwhile(here: Machine) -> None:
    here.serve()
    service, puppet = here.puppet("web", "-t", "systemd", "-N", "--watchdog", "60")
    puppet.tell("notify READY=1")
    puppet.hear("notified")
    until(service.is_ready, "s6 is told")
    here.kill_resident()
    for number in range(100):
        puppet.do(notify(f"STATUS={number}"))
        puppet.do(notify("WATCHDOG=1"))
    here.serve()
    until(lambda: here.status().rstrip().endswith(" 99"), "all of it is heard")
    assert " ready " in here.status()


def test_it_is_not_told_again_what_it_was_told(here: Machine, tmp_path: Path) -> None:
    here.serve()
    told = tmp_path / "told"
    options = ("-t", "systemd", "-N", "--ready-fd", "3", f"3>>{told}")
    service, opened = here.service("web", *options)
    puppet = opened.puppet()
    puppet.tell("notify READY=1")
    puppet.hear("notified")
    until(lambda: told.read_text() == "\n", "it is told")
    here.kill_resident()
    here.serve()
    assert " ready " in here.status()
    puppet.send(repr(b"READY=1\nSTATUS=as before"))
    assert "as before" in here.status()
    assert told.read_text() == "\n"
    assert service.log


def test_a_daemon_that_ends_while_none_is_there_leaves_nothing(here: Machine) -> None:
    here.serve()
    service, opened = here.service("web")
    puppet = opened.puppet()
    puppet.tell("notify READY=1")
    until(service.is_ready, "s6 is told")
    here.kill_resident()
    puppet.tell(f"die {signal.SIGKILL}")
    second = opened.puppet()
    second.tell("notify READY=1")
    here.serve()
    until(service.is_ready, "s6 is told of the second one")
    until(lambda: here.ours().count("cross-init-end") == 0, "the first one is buried")
    assert len(here.status().splitlines()) <= 3


def test_a_deposit_that_is_killed_is_made_anew(here: Machine) -> None:
    here.serve()
    service, puppet = here.puppet()
    (deposit,) = (pid for pid in here.in_there() if named(pid) == "cross-init-kept")
    kill(deposit)
    until(lambda: here.ours() == ALONE, "there is another one")
    assert " starting " in here.status()  # which is said when that one has all
    here.kill_resident()
    puppet.do(notify("READY=1"))
    here.serve()
    until(service.is_ready, "the second one had it")


def test_a_deposit_that_is_made_anew_has_a_service_that_is_ready_as_well(here: Machine) -> None:
    here.serve()
    service, puppet = here.puppet()
    puppet.tell("notify READY=1")
    puppet.hear("notified")
    until(service.is_ready, "s6 is told")
    (deposit,) = (pid for pid in here.in_there() if named(pid) == "cross-init-kept")
    kill(deposit)
    until(lambda: here.ours() == ALONE, "there is another one")
    assert " ready " in here.status()  # which is said when that one has all
    here.kill_resident()
    puppet.do(notify("STATUS=as before"))
    here.serve()
    until(lambda: "as before" in here.status(), "it is heard")
    assert " ready " in here.status()
    puppet.tell(f"die {signal.SIGKILL}")
    until(lambda: "ready" not in here.status(), "its end is seen")


def test_a_reload_takes_all_over(here: Machine) -> None:
    resident = here.serve()
    service, puppet = here.puppet()
    until(lambda: " starting " in here.status(), "it is seen")
    os.kill(resident, signal.SIGHUP)
    puppet.tell("notify READY=1")
    until(service.is_ready, "s6 is told")
    until(lambda: here.ours() == ALONE, "it has its name again")
    assert children(here.spawned[0].pid) == [resident]


@pytest.mark.parametrize("options", [(), ("--notify-access", "main")], ids=["by the resident", "by its bridge"])
def test_a_daemon_that_ends_during_a_reload_is_started_anew_at_once(here: Machine, options: tuple[str, ...]) -> None:
    """Nothing looks like a watcher that is ending what the last one has left: that would be waited for."""
    here.serve()
    service, opened = here.service("web", "-t", "systemd", "-N", *options)
    puppet = opened.puppet()
    puppet.tell("notify READY=1")
    until(service.is_ready, "s6 is told")
    here.reload_resident(lambda: puppet.tell(f"die {signal.SIGKILL}"))
    second = opened.puppet()
    until(lambda: len([*(here.private.root / "run/cross-init").glob("watched-*/*")]) == 1, "its own note is left")
    second.tell("notify READY=1")
    until(service.is_ready, "s6 is told")


def test_a_deposit_that_is_stopped_holds_nothing_up(here: Machine) -> None:
    here.serve()
    service, puppet = here.puppet()
    (deposit,) = (pid for pid in here.in_there() if named(pid) == "cross-init-kept")
    stop(deposit)
    for number in range(50):
        puppet.do(notify(f"STATUS={number}"))
    puppet.do(notify("READY=1"))
    until(service.is_ready, "s6 is told")
    until(lambda: here.ours() == ALONE, "there is another one")
    assert " ready " in here.status()  # which is said when that one has all
    here.kill_resident()
    here.serve()
    assert " ready " in here.status()
