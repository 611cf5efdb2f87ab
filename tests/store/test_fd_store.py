"""--fd-store on real supervisors: what a daemon wants kept survives its restart, and not the service's end."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from cross_init.kernel.process_stat import process_state
from tests.support.kept import client, holder, holders, kept, serve
from tests.support.packages import need
from tests.support.puppet import Puppet
from tests.support.supervised import Supervised, supervised
from tests.support.waiting import until

# The package, and what restarts a service, and stops it for good.
INITS = {
    "s6-supervise": ("s6", ("s6-svc", "-r"), ("s6-svc", "-d")),
    "runsv": ("runit", ("sv", "restart"), ("sv", "down")),
    "supervise": ("daemontools", ("svc", "-t"), ("svc", "-d")),
}


@pytest.fixture(params=[*((init, "") for init in INITS), ("s6-supervise", "--supervise")], ids=" ".join)
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Supervised]:
    """A service directory, with its supervisor running and a puppet that may have three descriptors kept."""
    program, option = request.param
    need(INITS[program][0])
    if os.geteuid() != 0:
        pytest.skip("needs root, to have /run/cross-init")
    with supervised(program, tmp_path / "web") as made:
        (made.folder / "notification-fd").write_text("3\n")
        (made.folder / "check").symlink_to("/bin/true")
        made.write_run("-t", "systemd", "-N", "--fd-store", "3", option, before="exec")
        made.start()
        yield made
        until(lambda: holders() == [], "no holder is left")


def end(puppet: Puppet) -> None:
    """Have it crash."""
    puppet.tell(f"die {signal.SIGKILL}")
    assert puppet.last_words() == []


def waits(keeper: int) -> bool:
    """Whether the holder has nothing to do until something is noted in the supervisor's folder."""
    place = Path(f"/proc/{keeper}")
    try:
        links = [os.readlink(fd) for fd in (place / "fd").iterdir()]
    except FileNotFoundError:
        return False  # closed meanwhile
    is_asleep = process_state(keeper) == "S" and not (place / f"task/{keeper}/children").read_text()
    return "anon_inode:inotify" in links and is_asleep


def stop(service: Supervised) -> None:
    service.tell(*INITS[service.program][2])


def test_a_connection_outlives_a_crash_and_a_restart_but_not_the_service(service: Supervised) -> None:
    first = service.stage.puppet()
    assert first.environ["FDSTORE"] == "3"
    assert kept(first) == []
    assert holders() == []
    with client(first) as asker:
        asker.says("one")
        end(first)
        second = service.stage.puppet()
        assert [name for name, _ in kept(second)] == ["client"]
        serve(second, 3)
        assert asker.hears() == "echo one"
        service.begin(*INITS[service.program][1])
        second.hear_signal(signal.SIGTERM)
        asker.says("two")
        second.tell("exit 0")
        third = service.stage.puppet()
        serve(third, 3)
        assert asker.hears() == "echo two"
        stop(service)
        third.hear_signal(signal.SIGTERM)
        assert asker.is_served()
        third.tell("exit 0")
        assert asker.hears() == "", "the service was stopped for good: nobody has the connection any more"


def test_who_says_nothing_costs_nothing(service: Supervised) -> None:
    puppet = service.stage.puppet()
    puppet.send("b'READY=1'")
    assert holders() == []


@pytest.mark.parametrize("service", [("s6-supervise", ""), ("runsv", "")], indirect=True, ids=" ".join)
def test_a_stop_between_the_daemons_end_and_its_next_start_is_heard(service: Supervised) -> None:
    puppet = service.stage.puppet()
    door = service.folder / "door"
    os.mkfifo(door)
    (service.folder / "finish").write_text(f"#!/bin/sh\nread -r go <{door}\n")
    (service.folder / "finish").chmod(0o755)
    with client(puppet) as asker:
        keeper = holder(holders()[0])
        end(puppet)
        with door.open("w"):  # returns when ./finish is there, so the supervisor has seen the end
            until(lambda: waits(keeper), "the holder has asked, and waits for news")
            assert asker.is_served(), "it will be started again"
            service.begin(*INITS[service.program][2])
            assert asker.hears() == ""
