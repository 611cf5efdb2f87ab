"""cross-init status: what watching processes answer, who is answered, and that nothing of it is left."""

import json
import signal
import socket
import subprocess
from pathlib import Path
from pwd import getpwuid
from typing import Any

import pytest

from tests.support.command import FRONT_DOOR, PATH
from tests.support.processes import kill
from tests.support.puppet import Puppet
from tests.support.show import Show
from tests.support.upstart import Job
from tests.support.waiting import until

FOLDER = Path("/run/cross-init-status")
NOBODY = 65534
SHAPES = {"watch": (), "supervise": ("--supervise",)}


def status(*words: str, user: int = 0) -> tuple[int, str, str]:
    """What the command says to these words: its exit code, standard output and error."""
    ran = subprocess.run(
        [FRONT_DOOR, "status", *words], env={"PATH": PATH}, capture_output=True, text=True, timeout=60, user=user
    )
    return ran.returncode, ran.stdout, ran.stderr


def facts(pid: int, user: int = 0) -> dict[str, Any] | None:
    """What is said of the service whose daemon has this PID, None if nothing is."""
    found = [each for each in json.loads(status("--json", user=user)[1]) if each["pid"] == pid]
    assert len(found) <= 1
    return found[0] if found else None


def started(show: Show, shape: str, *options: str, user: int = 0) -> tuple[Job, Puppet]:
    job = show.job("--init", "none", "-t", "systemd", "-N", *SHAPES[shape], *options, expect_stop=False)
    job.spawn(user=user)
    puppet = show.stage.puppet()
    until(lambda: facts(puppet.pid) is not None, "who watches it answers: it may come later than the daemon")
    return job, puppet


@pytest.mark.parametrize("shape", SHAPES)
def test_the_states_of_a_services_life(show: Show, shape: str) -> None:
    job, puppet = started(show, shape, "--watchdog", "60")
    said = facts(puppet.pid)
    assert said
    assert (said["service"], said["init"], said["target"], said["shape"]) == ("python3", "none", "systemd", shape)
    assert (said["state"], said["waits_for"], said["user"]) == ("starting", "READY=1", 0)
    assert "watchdog_age" not in said
    for message, state in (
        ("STATUS=warm = up\nREADY=1", "ready"),
        ("RELOADING=1", "reloading"),
        ("READY=1", "ready"),
        ("STOPPING=1\nSTATUS=bye", "stopping"),
    ):
        puppet.send(repr(message.encode()))
        said = facts(puppet.pid)
        assert said
        assert said["state"] == state
        assert 0 <= said["since"] <= said["age"] < 60
        assert 0 <= said["watchdog_age"] < said["watchdog_limit"] == 60
        assert said["status"] == ("bye" if state == "stopping" else "warm = up")
    job.kill(signal.SIGKILL)
    job.ended()
    assert job.orphans_gone_within(5)
    assert facts(puppet.pid) is None
    assert not list(FOLDER.glob(f"{said['bridge']}-*"))


def test_people_get_a_table_and_an_exit_code(show: Show) -> None:
    job, puppet = started(show, "watch")
    puppet.send(repr(b"STATUS=\x1b[2Jcleared?"))
    until(lambda: "cleared?" in status("python3")[1], "the daemon is heard")
    code, out, _ = status("python3")
    head, line = out.splitlines()
    assert code == 0
    assert head.split() == ["SERVICE", "USER", "INIT", "TARGET", "PID", "STATE", "SINCE", "WATCHDOG", "STATUS"]
    assert line.split()[:6] == ["python3", "root", "none", "systemd", str(puppet.pid), "starting"]
    assert "waits for READY=1; \\x1b[2Jcleared?" in line
    assert status("nobody")[:2] == (1, "no service of that name is looked after\n")
    assert status("--jsno")[0] == 125
    job.kill(signal.SIGKILL)


def test_what_a_daemon_says_of_itself_stays_one_text(show: Show) -> None:
    job, puppet = started(show, "watch")
    text = "x\u2028state=ready\u2028service=sshd\x0cpid=1\x85,5:state,t5:ready,\x9b\x1b[2J\u202e"
    puppet.send(repr(f"STATUS={text}".encode()))
    said = facts(puppet.pid)
    assert said
    assert (said["service"], said["state"], said["status"]) == ("python3", "starting", text)
    assert status("--json")[1].isascii()
    (line,) = [line for line in status()[1].split("\n") if f" {puppet.pid} " in line]
    assert line.isprintable()
    puppet.send(r"b'STATUS=' + b'\xff' * 60000")
    said = facts(puppet.pid)
    assert said
    assert said["status"] == "\N{REPLACEMENT CHARACTER}" * 4096
    job.kill(signal.SIGKILL)


def test_users_see_their_own_and_root_sees_all(show: Show) -> None:
    _, roots = started(show, "watch")
    _, users = started(show, "watch", user=NOBODY)
    assert facts(roots.pid)
    said = facts(users.pid)
    assert said
    assert said["user"] == NOBODY
    assert facts(users.pid, user=NOBODY)
    assert facts(roots.pid, user=NOBODY) is None


def test_the_user_that_is_shown_is_the_daemons(show: Show) -> None:
    """One that root has started and that became another user, as most do; a user's bridge is believed nothing else."""
    job, puppet = started(show, "watch")
    puppet.do(f"os.setgid({NOBODY}); os.setuid({NOBODY})")
    said = facts(puppet.pid)
    assert said
    assert (said["user"], said["daemon_user"]) == (0, NOBODY)
    (line,) = [line for line in status("python3")[1].splitlines() if f" {puppet.pid} " in line]
    assert line.split()[1] == getpwuid(NOBODY).pw_name
    job.kill(signal.SIGKILL)


def test_who_may_not_ask_is_told_nothing(show: Show) -> None:
    """Abstract names, which a user without a folder of its own has, are open to everybody; the kernel says who asks."""
    _, puppet = started(show, "watch", user=NOBODY)
    said = facts(puppet.pid)
    assert said
    names = [line.split()[-1] for line in Path("/proc/net/unix").read_text().splitlines()]
    # Once for the socket, and for each connection that has just been let in.
    (name,) = {name for name in names if name.startswith(f"@cross-init-status/{said['bridge']}-")}
    ask = f'import socket; s = socket.socket(socket.AF_UNIX); s.connect("\\0" + {name[1:]!r}); print(len(s.recv(100)))'
    for user, told in ((NOBODY, True), (NOBODY - 1, False)):
        ran = subprocess.run(["/usr/bin/python3", "-ISc", ask], capture_output=True, text=True, timeout=60, user=user)
        assert (ran.stdout.strip() != "0") == told


def test_what_a_killed_one_left_is_removed_and_an_impostor_is_ignored(show: Show, tmp_path: Path) -> None:
    job, puppet = started(show, "watch")
    said = facts(puppet.pid)
    assert said
    kill(said["bridge"])
    (left,) = FOLDER.glob(f"{said['bridge']}-*")
    assert facts(puppet.pid) is None
    assert not left.exists()
    with socket.socket(socket.AF_UNIX) as impostor:
        impostor.bind("\0cross-init-status/1-impostor")  # bound, and does not listen
        assert status()[0] == 0
    job.kill(signal.SIGKILL)
