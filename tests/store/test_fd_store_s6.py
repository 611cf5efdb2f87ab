"""--fd-store with a real s6-fdholderd: it has the descriptors too, and gives them back when the holder was killed."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import PATH, run
from tests.support.kept import client, holder, holders, keep, kept, serve
from tests.support.packages import need
from tests.support.puppet import Puppet
from tests.support.supervised import Supervised, supervised
from tests.support.waiting import until

LONGEST_S = 20


class FdHolder:
    """A running s6-fdholderd. allowed: the identifiers that root may use, as a regular expression."""

    def __init__(self, folder: Path, allowed: str) -> None:
        self.socket = folder / "s"
        rules = folder / "rules" / "uid" / "0"
        (rules / "env").mkdir(parents=True)
        (rules / "allow").touch()
        for right, text in (("STORE_REGEX", allowed), ("RETRIEVE_REGEX", allowed), ("LIST", "")):
            (rules / "env" / f"S6_FDHOLDER_{right}").write_text(f"{text}\n")
        words = ["s6-fdholder-daemon", "-1", "-i", str(folder / "rules"), str(self.socket)]
        self.process = subprocess.Popen(words, env={"PATH": PATH}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        assert self.process.stdout.read() == b"\n"

    def has(self) -> list[str]:
        """The identifiers of all that it has."""
        words = ["s6-fdholder-list", str(self.socket)]
        ran = subprocess.run(words, env={"PATH": PATH}, capture_output=True, text=True, timeout=LONGEST_S, check=True)
        return sorted(ran.stdout.splitlines())


@pytest.fixture
def fdholder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FdHolder]:
    """One that holds what is ours."""
    need("s6")
    if os.geteuid() != 0:
        pytest.skip("needs root, to have /run/cross-init")
    made = FdHolder(tmp_path, getattr(request, "param", "^cross-init:"))
    try:
        yield made
    finally:
        made.process.kill()
        made.process.communicate()


@pytest.fixture
def service(fdholder: FdHolder, tmp_path: Path) -> Iterator[Supervised]:
    """A service directory, with its supervisor running and a puppet that may have three descriptors kept."""
    with supervised("s6-supervise", tmp_path / "web") as made:
        (made.folder / "notification-fd").write_text("3\n")
        where = f"s6:fdholder={fdholder.socket}"
        made.write_run("-t", "systemd", "-N", "--fd-store", "3", "--init", where, before="exec")
        made.start()
        yield made
        until(lambda: holders() == [], "no holder is left")


def again(service: Supervised, puppet: Puppet) -> Puppet:
    """Have it crash, and start again."""
    puppet.tell(f"die {signal.SIGKILL}")
    assert puppet.last_words() == []
    return service.stage.puppet()


def kill_holder() -> None:
    """By its PID, as the kernel says who listens there."""
    (path,) = holders()
    killed = holder(path)
    os.kill(killed, signal.SIGKILL)
    os.waitpid(killed, 0)


def test_s6_fdholderd_has_what_is_kept(service: Supervised, fdholder: FdHolder) -> None:
    puppet = service.stage.puppet()
    with client(puppet) as asker:
        puppet.do("read, write = os.pipe()")
        keep(puppet, 'FDSTORE=1\nFDNAME=odd \\ "', "write")
        keep(puppet, "FDSTORE=1\nFDPOLL=0", "read")
        assert "cross-init:web:1:poll:client" in fdholder.has()
        assert "cross-init:web:3:keep:stored" in fdholder.has()
        assert len(fdholder.has()) == 3
        asker.says("hello")
        puppet = again(service, puppet)
        assert [name for name, _ in kept(puppet)] == ["stored", 'odd \\ "', "client"]
        kill_holder()
        puppet = again(service, puppet)
        assert [name for name, _ in kept(puppet)] == ["stored", 'odd \\ "', "client"]
        serve(puppet, 5)
        assert asker.hears() == "echo hello"
        keep(puppet, "FDSTOREREMOVE=1\nFDNAME=stored")  # a new holder knows what the old one did
        puppet.do("[os.close(fd) for fd in (3, 4)]")
        until(lambda: fdholder.has() == ["cross-init:web:1:poll:client"], "the pipe has hung up")
        service.tell("s6-svc", "-d")
        puppet.hear_signal(signal.SIGTERM)
        puppet.tell("exit 0")
        assert asker.hears() == ""
        assert fdholder.has() == []


@pytest.mark.parametrize("fdholder", ["^pipe:"], indirect=True)
def test_what_it_does_not_take_is_kept_all_the_same(service: Supervised, fdholder: FdHolder) -> None:
    puppet = service.stage.puppet()
    keep(puppet, "FDSTORE=1", "os.memfd_create('made')")
    assert fdholder.has() == []
    assert "only the holder keeps stored, and not s6" in service.log
    puppet = again(service, puppet)
    assert [name for name, _ in kept(puppet)] == ["stored"]
    keep(puppet, "FDSTOREREMOVE=1\nFDNAME=stored")


def test_one_that_is_not_there_is_pointed_out(fdholder: FdHolder) -> None:
    words = ("-t", "systemd", "-N", "--fd-store", "3", "--ready-fd", "9", "--", "/bin/true")
    nowhere = run("--init", "s6:fdholder=/nonexistent/s", *words, wrapper=("sh", "-c", 'exec "$@" 9>/dev/null', "sh"))
    assert nowhere.status == 125
    assert "--fd-store: taking what was kept for" in nowhere.line
    assert "s6-fdholder-list: fatal: unable to connect" in nowhere.line
    for option in ("fdholder", "fdholder=s", "other=/s"):
        assert "fdholder=PATH" in run("--init", f"s6:{option}", *words).line
