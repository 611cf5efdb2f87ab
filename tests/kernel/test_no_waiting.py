"""Nothing that another process controls is waited for without an end: a manager, a supervisor's files, its programs."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cross_init.model import Service
from cross_init.notify.service_manager import Manager
from cross_init.store.process import is_abandoned
from cross_init.systems.s6_programs import FdHolder
from tests.support.command import script
from tests.support.observed import Place
from tests.support.processes import children
from tests.support.programs import PATH

BOUND_S = 20  # of what takes no more than five seconds by itself
ASKS = """
import sys
sys.path.append(sys.argv[1])
from cross_init.store.wanted_state import wants_up
try:
    wants_up(sys.argv[2])
except OSError as error:
    print(error.strerror)
"""


def full(path: Path) -> socket.socket:
    """A manager's socket that takes in nothing more."""
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(path))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
        sender.connect(str(path))
        try:
            while True:
                sender.send(b"X=1")
        except BlockingIOError:
            return manager


def test_a_manager_that_takes_in_nothing_is_given_up(tmp_path: Path) -> None:
    with full(tmp_path / "notify"):
        manager = Manager(bytes(tmp_path / "notify"))
        with pytest.raises(TimeoutError, match="the service manager takes in no messages"):
            manager.send(b"READY=1", (), 100)
        manager.close()


def test_a_daemon_is_seen_to_while_the_manager_takes_in_nothing(place: Place, tmp_path: Path) -> None:
    environ = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
    with full(tmp_path / "notify"):
        run = place.begin("--init", "systemd", "-t", "systemd", "-N", "--supervise", environ=environ)
        begun = time.monotonic()
        for _ in range(20):
            run.puppet.send("b'STATUS=one more'")
        run.puppet.send("b'READY=1'")
        run.err.hears("telling systemd what the daemon says failed: the service manager takes in no messages")
        run.err.hears("telling systemd that the daemon is ready failed: the service manager takes in no messages")
        run.process.send_signal(signal.SIGTERM)
        run.puppet.hear_signal(signal.SIGTERM)
        assert time.monotonic() - begun < BOUND_S
    run.puppet.tell("exit 0")
    assert run.ends() == 0


def test_a_pipe_where_a_supervisor_notes_what_it_wants_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "status")
    words = [sys.executable, "-ISc", ASKS, str(Path(__file__).resolve().parents[2] / "src"), str(tmp_path)]
    said = subprocess.run(words, capture_output=True, text=True, timeout=BOUND_S, check=True).stdout
    assert "is no file that supervise(8) has written" in said


@pytest.mark.parametrize("says", ["", "echo something; "])
def test_a_program_that_was_stopped_is_ended(says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path, "s6-fdholder-list", f"#!/bin/sh\n{says}kill -STOP $$\n")
    script(tmp_path, "s6-fdholder-retrieve", "#!/bin/sh\nkill -STOP $$\n")
    monkeypatch.setenv("PATH", f"{tmp_path}:{PATH}")
    keeper, before = FdHolder("/nonexistent", Service("web")), children(os.getpid())
    with pytest.raises(TimeoutError, match="s6-fdholder-list has said nothing for 2 s, and was ended"):
        keeper.names()
    with pytest.raises(TimeoutError, match="s6-fdholder-retrieve has said nothing"):
        keeper.take("1:keep:x")
    assert children(os.getpid()) == before


def test_an_identifier_of_anothers_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path, "s6-fdholder-list", "#!/bin/sh\nprintf 'other:\\342\\200\\250cross-init:web:1:keep:x\\n'\n")
    monkeypatch.setenv("PATH", f"{tmp_path}:{PATH}")
    assert FdHolder("/nonexistent", Service("web")).names() == []


def test_a_full_queue_means_that_somebody_is_there(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(path)
        assert is_abandoned(path)
        listening.listen(0)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
            client.connect(path)
            assert not is_abandoned(path)
