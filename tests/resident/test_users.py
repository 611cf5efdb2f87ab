"""A user's own resident: it watches that user's daemons, handed over by that user's bridges, and nobody else's."""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from cross_init.kernel.procfs import process_owner
from tests.support.command import BRIDGE, FRONT_DOOR
from tests.support.processes import kill, named
from tests.support.puppet import Puppet, Stage
from tests.support.resident import PUPPET, Machine, machine
from tests.support.waiting import until

USER, OTHER = 65534, 65533
RUNTIME = f"/run/user/{USER}"
ENVIRON = {"XDG_RUNTIME_DIR": RUNTIME}
ALONE = ["cross-init-all", "cross-init-kept"]
OPTIONS = ("--init", "none", "-t", "systemd", "-N")


@pytest.fixture
def there() -> Iterator[Machine]:
    """A machine, whose folder every user reaches, and in which that user has a folder of his own."""
    with TemporaryDirectory(prefix="cross-init-test.", dir="/var/tmp") as folder:
        os.chmod(folder, 0o755)
        with machine(Path(folder)) as made:
            assert made.private.run("install", "-d", "-m", "755", "/run/user").code == 0
            assert made.private.run("install", "-d", "-m", "700", "-o", str(USER), RUNTIME).code == 0
            yield made


@pytest.fixture
def here(there: Machine) -> Machine:
    """The same, with that user's resident."""
    serve(there)
    return there


def serve(here: Machine) -> None:
    """Start it."""
    here.log.touch()
    here.log.chmod(0o666)
    here.spawn(str(FRONT_DOOR), "serve", user=USER, environ=ENVIRON, log=here.log)
    until(lambda: status(here).endswith("\n"), "it answers")


def status(here: Machine, user: int = USER) -> str:
    """What this user is told; "" while nobody watches."""
    said = here.private.ask("status", user=user, environ=ENVIRON)
    listens = here.private.run("test", "-S", f"{RUNTIME}/cross-init/serve", user=USER).code == 0
    return said.out if listens else ""


def begin(here: Machine, *options: str, user: int = USER, environ: dict[str, str] | None = None) -> Puppet:
    """A bridge of this user's, with a puppet."""
    name = f"stage-{len(here.stages)}"
    opened = Stage(here.folder / name)
    here.stages.append(opened)
    words = (str(BRIDGE), *OPTIONS, *options, "--", "/usr/bin/python3", "-IS", PUPPET, str(here.folder / name))
    here.spawn(*words, user=user, environ=environ or ENVIRON)
    return opened.puppet()


def ours(here: Machine) -> list[int]:
    """Our processes, as we see them."""
    inside = os.readlink(here.private.root / "proc/1/ns/pid")
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if named(int(name)).startswith("cross-init") and os.readlink(f"/proc/{name}/ns/pid") == inside:
                found.append(int(name))
        except OSError:
            pass  # it has ended
    return found


def test_a_bridge_of_that_users_hands_over_to_it_and_it_goes_on_after_its_end(here: Machine) -> None:
    puppet = begin(here, "--need-resident")
    assert here.ours() == ALONE
    assert {process_owner(pid) for pid in ours(here)} == {USER}
    puppet.send(repr(b"STATUS=nearly there"))
    assert "waits for READY=1; nearly there" in status(here)
    assert "nearly there" in here.private.ask("status").out, "root sees it as well"
    assert here.private.ask("check", "python3", user=USER, environ=ENVIRON).code == 1
    (resident,) = (pid for pid in ours(here) if named(pid) == "cross-init-all")
    kill(resident)
    puppet.tell("notify READY=1")
    puppet.hear("notified")
    serve(here)
    until(lambda: " ready " in status(here), "it was heard")
    assert here.private.ask("check", "python3", user=USER, environ=ENVIRON).code == 0
    assert here.ours() == ALONE


@pytest.mark.parametrize("user", [0, OTHER], ids=["root", "another"])
def test_a_bridge_of_another_users_hands_nothing_over_to_it(here: Machine, user: int) -> None:
    puppet = begin(here, user=user)
    until(lambda: "cross-init" in here.ours(), "it has a watcher")
    puppet.send(repr(b"READY=1"))
    assert " ready " not in status(here), "it is no service of that user's"
    words = (str(BRIDGE), *OPTIONS, "--need-resident", "--", "/bin/true")
    ended = here.private.run(*words, user=user, environ=ENVIRON)
    assert (ended.code, "none is there; start cross-init serve" in ended.err) == (125, True)


def test_a_resident_of_another_users_is_given_nothing(here: Machine) -> None:
    """Who is led to another user's by his variables hands nothing over."""
    for path in (RUNTIME, f"{RUNTIME}/cross-init", f"{RUNTIME}/cross-init/serve"):
        assert here.private.run("chmod", "777", path).code == 0
    words = (str(BRIDGE), *OPTIONS, "--need-resident", "--", "/bin/true")
    ended = here.private.run(*words, user=OTHER, environ=ENVIRON)
    assert (ended.code, f"it is user {USER}'s; start cross-init serve" in ended.err) == (125, True)


def test_it_takes_nothing_from_another_user(here: Machine) -> None:
    """Not even from one who could connect."""
    for path in (RUNTIME, f"{RUNTIME}/cross-init", f"{RUNTIME}/cross-init/serve"):
        assert here.private.run("chmod", "777", path).code == 0
    say = f"""
import socket
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as to:
    to.connect("{RUNTIME}/cross-init/serve")
    socket.send_fds(to, [b"hand-over 1 anything"], [0, 1, 2])
    print(to.recv(100).decode())
"""
    for user in (OTHER, 0):
        assert here.private.run("/usr/bin/python3", "-ISc", say, user=user).out == (
            "no it watches for its own user alone\n"
        )


def test_without_a_folder_of_its_own_there_is_none(there: Machine) -> None:
    def said(**environ: str) -> str:
        ended = there.private.run(str(FRONT_DOOR), "serve", user=USER, environ=environ)
        assert ended.code == 125
        return ended.err

    place = "XDG_RUNTIME_DIR names no folder, and a user's resident has its place there: set it"
    assert said() == f"cross-init: serve: {place}\n"
    assert said(XDG_RUNTIME_DIR="run") == f"cross-init: serve: {place}\n"
    assert said(XDG_RUNTIME_DIR="/var/tmp") == "cross-init: serve: XDG_RUNTIME_DIR is not this user's alone\n"
