"""--ready-timeout: a daemon that is not ready in time is ended, and the bridge says for what it waited."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.command import run as run_bridge
from tests.support.observed import PYTHON, Place, Reader
from tests.support.waiting import lives_through

IGNORES = (
    "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('ignores', flush=True)\ntime.sleep(1e6)"
)


def test_a_daemon_that_is_not_ready_in_time_is_ended_and_each_condition_named(
    place: Place, tmp_path: Path, shape: tuple[str, ...]
) -> None:
    conditions = [f"file:{tmp_path}/never", f"file:{tmp_path}/x", "exec:false", "tcp:127.0.0.1:1"]
    words = [word for condition in conditions for word in ("--ready-when", condition)]
    (tmp_path / "y").touch()
    run = place.begin("-t", "systemd", "-N", *shape, *words, "--ready-timeout", "1.5")
    run.puppet.do(f"open('{tmp_path}/x', 'w').close()")
    run.puppet.hear_signal(signal.SIGTERM)
    run.puppet.tell("exit 0")  # it ends well, but the start has failed
    assert run.ends() == 125
    place.nothing_remains()
    (line,) = run.err.rest().splitlines()
    begins = rf"cross-init-bridge: waiting for python3 \(PID {run.puppet.pid}\) to be ready: after \d+\.\d s "
    assert re.match(begins, line)
    missing = f"waits for READY=1 and file:{tmp_path}/never and exec:false and tcp:127.0.0.1:1;"
    assert missing in line


def test_one_that_says_it_too_late_is_not_told_as_ready(place: Place, shape: tuple[str, ...]) -> None:
    run = place.begin("-t", "systemd", "-N", *shape, "--ready-timeout", "0.5")
    run.puppet.hear_signal(signal.SIGTERM)
    run.puppet.send(repr(b"READY=1"))
    run.puppet.tell("exit 0")
    assert run.ends() == 125
    assert "is ready" not in run.err.rest()


def test_one_that_does_not_heed_that_is_killed(place: Place) -> None:
    began = time.monotonic()
    words = ("-t", "plain", "--ready-when", "log:never", "--ready-timeout", "0.5")
    run = place.spawn(*words, command=(*PYTHON, "-c", IGNORES))
    assert run.ends() == 125
    assert 5 < time.monotonic() - began < 15
    place.nothing_remains()


def test_one_that_is_ready_in_time_lives_on(place: Place, tmp_path: Path, shape: tuple[str, ...]) -> None:
    run = place.begin("-t", "systemd", "-N", *shape, "--ready-timeout", "1")
    run.puppet.send(repr(b"READY=1"))
    run.becomes_ready()
    assert lives_through(run.puppet.pid, 1.2)
    run.puppet.tell("exit 6")
    assert run.ends() == 6


def test_one_that_ends_by_itself_before_gives_its_own_exit_code(place: Place, shape: tuple[str, ...]) -> None:
    run = place.begin("-t", "systemd", "-N", *shape, "--ready-timeout", "1000")
    run.puppet.tell("exit 6")
    assert run.ends() == 6
    (line,) = run.err.rest().splitlines()
    assert "while it still waited for READY=1" in line


def test_one_that_says_that_it_takes_its_time_gets_it(place: Place, shape: tuple[str, ...]) -> None:
    run = place.begin("-t", "systemd", "-N", *shape, "--ready-timeout", "1")
    run.puppet.send(repr(b"EXTEND_TIMEOUT_USEC=2500000"))
    assert lives_through(run.puppet.pid, 1.2)
    run.puppet.send(repr(b"EXTEND_TIMEOUT_USEC=1"))  # what was given is not taken back
    run.puppet.send(repr(b"EXTEND_TIMEOUT_USEC=-1\nSTATUS=x"))
    run.puppet.send(repr(b"EXTEND_TIMEOUT_USEC=" + b"9" * 30))
    run.puppet.hear_signal(signal.SIGTERM)
    run.puppet.tell("exit 0")
    assert run.ends() == 125
    assert "after 2." in run.err.rest() or "after 3." in run.err.rest()


def test_the_whole_group_is_ended_where_the_daemon_leads_one(place: Place) -> None:
    run = place.begin("-t", "systemd", "-N", "--ready-timeout", "0.5", session=True)
    run.puppet.do(
        "child = os.fork()\nif not child: signal.set_wakeup_fd(-1); os.execv('/bin/sleep', ['sleep', '1000'])"
    )
    run.puppet.hear_signal(signal.SIGTERM)
    run.puppet.do("assert os.waitpid(child, 0)[1] == signal.SIGTERM")
    run.puppet.tell("exit 0")
    assert run.ends() == 125
    place.nothing_remains()


def test_a_daemon_that_forks_away_and_leaves_no_pid_file_is_found_and_ended(place: Place, tmp_path: Path) -> None:
    options = ("-t", "sysv", "-N", "--pid-file", f"{tmp_path}/pid", "--ready-timeout", "0.5")
    run = place.spawn(*options, command=("/bin/sh", "-c", "setsid sleep 1000 & sleep 1000 &"))
    assert run.ends() == 125
    place.nothing_remains()
    assert f"it still waits for the PID file {tmp_path}/pid to name the daemon (nothing does yet);" in run.err.rest()


@pytest.mark.parametrize("named", ["1", "the test run"])
def test_a_pid_file_that_names_none_of_the_service_is_named(place: Place, tmp_path: Path, named: str) -> None:
    pid = named if named.isdigit() else str(os.getpid())
    (tmp_path / "pid").write_text(pid)
    options = ("-t", "sysv", "-N", "--pid-file", f"{tmp_path}/pid", "--ready-timeout", "0.5")
    run = place.spawn(*options, command=("/bin/sh", "-c", "setsid sleep 1000 &"))
    assert run.ends() == 125
    place.nothing_remains()
    (line,) = run.err.rest().splitlines()
    assert f"{tmp_path}/pid to name the daemon (it names {pid}, which is no process of the service);" in line
    assert "to end with 0" not in line


# Its first process waits for the daemon, which is in a session of its own, says so and does not get ready.
SLOW = "setsid sh -c 'echo on its way; exec sleep 1000' & wait $!; exit 0"


@pytest.mark.parametrize("told", [False, True], ids=["in time", "by its init"])
def test_a_daemon_that_is_on_its_way_is_ended_with_the_process_that_waits_for_it(
    place: Place, tmp_path: Path, told: bool
) -> None:
    limit = "1000" if told else "0.5"
    options = ("-t", "sysv", "-N", "--pid-file", f"{tmp_path}/pid", "--ready-timeout", limit)
    run = place.spawn(*options, command=("/bin/sh", "-c", SLOW), stdout=subprocess.PIPE)
    assert run.process.stdout
    said = Reader(run.process.stdout.fileno())
    said.hears("on its way")
    if told:
        run.process.terminate()
    assert run.ends() == (-signal.SIGTERM if told else 125)
    assert said.rest() == "on its way\n"  # its end: the daemon has it open as long as it lives
    place.nothing_remains()


@pytest.mark.parametrize("seconds", ["0", "-1", "x", "1e3", "١", "", "9999999999"])
def test_a_limit_is_a_number_of_seconds(seconds: str) -> None:
    ran = run_bridge("-t", "systemd", "-N", f"--ready-timeout={seconds}", "--", "/bin/true")
    assert ran.status == 125
    assert "--ready-timeout" in ran.line


def test_without_readiness_there_is_nothing_to_limit() -> None:
    ran = run_bridge("-t", "systemd", "--ready-timeout", "1", "--", "/bin/true")
    assert ran.status == 125
    assert "has to be asked for with -N or --ready-when" in ran.line
