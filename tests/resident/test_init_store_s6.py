"""What is kept for a resident by a bridge before it, and by an s6-fdholderd: all else may be killed at once."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from cross_init.kernel.process_stat import process_stat
from tests.support.command import BRIDGE, FRONT_DOOR, script
from tests.support.packages import need
from tests.support.processes import named
from tests.support.resident import Machine, machine
from tests.support.waiting import until

ALONE = ["cross-init-all", "cross-init-kept"]


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Machine]:
    need("s6")
    with machine(tmp_path) as made:
        yield made


def serve(here: Machine, *options: str) -> None:
    """A resident with a bridge before it, under s6."""
    folder = here.folder / "resident"
    folder.mkdir()
    words = " ".join((str(BRIDGE), "-t", "systemd", "-N", "--own-watcher", "--fd-store", "64", *options))
    script(folder, "run", f"#!/bin/sh\nexec 2>>{here.log}\nexec {words} -- {FRONT_DOOR} serve\n")
    (folder / "notification-fd").write_text("3\n")
    here.spawn("s6-supervise", str(folder))
    until(lambda: here.private.run("s6-svstat", "-o", "ready", str(folder)).out == "true\n", "it serves", 20)
    find_resident(here, [])


def is_resident(here: Machine, pid: int) -> bool:
    """Whether this process is the one in there."""
    try:
        there = os.readlink(f"/proc/{pid}/ns/pid") == os.readlink(here.private.root / "proc/1/ns/pid")
        parent = int(process_stat(pid)[1])  # else one that it has just forked
        return there and named(pid) == "cross-init-all" and named(parent) == "s6-supervise"
    except (OSError, IndexError):
        return False  # it has ended


def find_resident(here: Machine, but: list[int]) -> None:
    """Wait until there is one that is none of these."""
    found: list[int] = []

    def is_there() -> bool:
        pids = map(int, filter(str.isdigit, os.listdir("/proc")))
        found[:] = [pid for pid in pids if pid not in but and is_resident(here, pid)]
        return bool(found)

    until(is_there, "a resident is there", 20)
    (here.resident,) = found


def kill_at_once(here: Machine, *names: str) -> None:
    """Kill all of these processes of ours, and return when there is another resident that answers."""
    killed = [pid for pid in here.in_there() if named(pid) in names]
    assert len(killed) >= (4 if "cross-init" in names else 2)
    for pid in killed:
        os.kill(pid, signal.SIGSTOP)
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    find_resident(here, killed)


@pytest.mark.parametrize("keeper", ["holder", "s6-fdholderd"])
def test_it_goes_on_where_it_was_when_its_deposit_is_killed_as_well(here: Machine, keeper: str) -> None:
    names = [*ALONE]
    options: tuple[str, ...] = ()
    if keeper == "s6-fdholderd":
        rules = here.folder / "rules/uid/0"
        (rules / "env").mkdir(parents=True)
        (rules / "allow").touch()
        for right, text in (("STORE_REGEX", "^cross-init:"), ("RETRIEVE_REGEX", "^cross-init:"), ("LIST", "")):
            (rules / "env" / f"S6_FDHOLDER_{right}").write_text(f"{text}\n")
        place = here.folder / "fdholder"
        here.spawn("s6-fdholder-daemon", "-i", str(here.folder / "rules"), str(place))
        until(place.is_socket, "it listens")
        options = ("--init", f"s6:fdholder={place}")
        names.append("cross-init")  # the holder, and who watches the resident
    serve(here, *options)
    service, puppet = here.puppet("web", "-t", "systemd", "-N", "--need-resident")
    puppet.send(repr(b"STATUS=nearly there"))
    settle(here)
    kill_at_once(here, *names)
    until(lambda: "nearly there" in here.status(), "it is known", 20)
    puppet.send(repr(b"READY=1"))
    until(service.is_ready, "s6 is told")
    settle(here)
    kill_at_once(here, *names)
    until(lambda: " ready " in here.status(), "it knows that it is ready", 20)


def settle(here: Machine) -> None:
    """Wait until its bridge has had kept what it was asked to: it answers a barrier behind all that."""
    say = "import os, socket; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); "
    say += "s.connect(os.environ['NOTIFY_SOCKET']); r, w = os.pipe(); "
    say += "socket.send_fds(s, [b'BARRIER=1'], [w]); os.close(w); os.read(r, 1)"
    address = next(
        pair.partition(b"=")[2].decode()
        for pair in Path(f"/proc/{here.resident}/environ").read_bytes().split(b"\0")
        if pair.startswith(b"NOTIFY_SOCKET=")
    )
    ran = here.private.run("/usr/bin/python3", "-ISc", say, environ={"NOTIFY_SOCKET": address})
    assert ran.code == 0, ran.err
