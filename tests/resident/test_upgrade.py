"""Residents and bridges of several versions: what an earlier one has left is read; what nobody reads does no harm."""

import os
import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from cross_init.model import READY
from cross_init.resident.asking import new_file
from cross_init.resident.deposit import parts
from cross_init.resident.heard import STATE as HEARD
from cross_init.resident.meanwhile import parted
from cross_init.resident.rebuilt import Handed
from cross_init.resident.tended import TOLD, understood
from cross_init.watch.wire import decode
from tests.support.command import ROOT
from tests.support.puppet import Puppet, Stage
from tests.support.resident import PUPPET, Machine, machine
from tests.support.waiting import until

# As version 1 has written them: whoever changes a form goes on to read these.
DESCRIPTION = (
    b"hand-over 1 cross-init 2 719:3:pid,i2:51,5:began,r15:66289.833233448,5:since,i7:6628"
    b"983,7:options,t81:-t\x00systemd\x00-N\x00--watchdog\x0030\x00--ready-when\x00tcp:127.0.0.1:80\x00--ready-"
    b"when\x00exec:true\x00,7:command,t13:/bin/sleep\x003\x00,4:init,t2:s6,4:told,t0:,7:service,t3:web"
    b",8:instance,t0:,8:is_guess,i1:0,10:state_file,t0:,7:channel,t6:notify,5:roles,t39:ve"
    b"rdict\x00pidfd\x00errors\x00channel\x00init\x00line\x00,7:environ,t0:,5:store,t0:,8:endpoint,t0:,8:rem"
    b"ovals,t0:,11:condition.0,t17:2 1 127.0.0.1 80\x00,11:init.folder,t8:/run/web,10:init.he"
    b"ars,t10:descriptor,15:init.state_file,t0:,13:init.pid_file,t0:,23:init.may_miss_read"
    b"iness,i1:0,13:init.job_type,t0:,15:channel.leaving,i1:0,12:channel.path,t29:/run/cro"
    b"ss-init/some-1.notify,16:channel.variable,t29:/run/cross-init/some-1.notify,,"
)
STATE = (
    b"cross-init 2 155:5:state,t5:ready,6:status,t4:here,5:since,r7:66290.5,7:failure,i1:0"
    b",4:told,i1:2,6:access,t4:main,5:waits,t0:,5:spoke,i1:1,8:deadline,r3:0.0,7:started,t"
    b"1:7,,"
)
OF_ONE_WITHOUT_A_BRIDGE = (
    b"cross-init 2 93:5:state,t5:ready,6:status,t4:here,5:since,r7:66290.5,7:failure,i1:0,4:told,i1:2,5:ready,i1:1,,"
)


def test_what_version_1_has_left_is_read() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    read, write = os.pipe()
    fds = [new_file(), os.pidfd_open(os.getpid()), os.dup(2), notify.detach(), write, theirs.detach()]
    handed = Handed(DESCRIPTION, fds)
    start = handed.start
    assert (str(start.service), start.command, start.request.init.name) == ("web", ["/bin/sleep", "3"], "s6")
    assert start.request.watchdog[0] == 30
    assert [each.text for each in start.conditions] == ["tcp:127.0.0.1:80", "exec:true"]
    assert handed.channel.descriptors == (fds[3],)
    assert start.init.descriptors == (fds[4],)
    handed.disown()
    for fd in (*fds, read):
        os.close(fd)
    ours.close()


def test_what_was_noted_by_version_1_is_read() -> None:
    known = understood(STATE)
    assert known is not None
    assert (known["state"], known["status"], known["told"]) == (READY, "here", TOLD)
    outside = decode(OF_ONE_WITHOUT_A_BRIDGE)
    assert all(type(outside[name]) is kind for name, kind in HEARD.items())


def test_what_its_deposit_says_is_read() -> None:
    assert parts(b"\x02\x00\x04state") == (b"\x00\x04", b"state")
    assert parted(b"1\n1 2 3\nabcREADY=1") == (b"READY=1", [(1, 2, b"abc")])


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Machine]:
    with machine(tmp_path) as made:
        yield made


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Where the programs are of another version, whose descriptions have another number."""
    folder = tmp_path / "other"
    for name in ("src", "bin"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    path = folder / "src/cross_init/resident/description.py"
    path.write_text(path.read_text().replace('b"hand-over 1 "', 'b"hand-over 2 "'))
    return folder / "bin"


def begin(here: Machine, name: str, program: Path, *options: str) -> tuple[Puppet, Path]:
    """A bridge of this version with a puppet, and where its standard error goes."""
    opened = Stage(here.folder / f"stage-{name}")
    here.stages.append(opened)
    said = here.folder / f"said-{name}"
    words = (str(program / "cross-init-bridge"), "--init", "none", "-t", "systemd", "-N", *options, "--")
    here.spawn(*words, "/usr/bin/python3", "-IS", PUPPET, str(here.folder / f"stage-{name}"), log=said)
    return opened.puppet(), said


def test_a_resident_of_another_version_is_done_without(here: Machine, other: Path) -> None:
    here.serve(other / "cross-init")
    puppet, _ = begin(here, "web", ROOT / "bin")
    until(lambda: "cross-init" in here.ours(), "it has a watcher")
    assert " starting " in here.status()
    puppet.send(repr(b"READY=1"))
    until(lambda: " ready " in here.status(), "which hears it")
    words = ("--init", "none", "-t", "systemd", "-N", "--need-resident", "--", "/bin/true")
    said = here.private.run(str(ROOT / "bin/cross-init-bridge"), *words).err
    assert said.endswith("handing the daemon over to a resident: it is from another version; start cross-init serve\n")


def test_what_a_resident_cannot_read_is_left_alone_if_it_is_ready_and_else_ended(here: Machine, other: Path) -> None:
    here.serve(other / "cross-init")
    ready, said = begin(here, "ready", other, "--need-resident")
    ready.send(repr(b"READY=1"))
    starting, also_said = begin(here, "starting", other, "--need-resident")
    here.kill_resident()
    here.serve()
    starting.hear_signal(signal.SIGTERM)
    starting.tell("exit 0")
    until(lambda: "another version; the daemon was told to end" in also_said.read_text(), "it is said why")
    until(lambda: "another version; nobody does from now on" in said.read_text(), "and who is left alone")
    ready.do("")
    until(lambda: here.ours() == ["cross-init-all", "cross-init-kept"], "nothing is left")
    assert here.status() == "no service is looked after\n"
