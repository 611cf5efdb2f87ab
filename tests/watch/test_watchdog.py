"""--watchdog: a daemon that gives no sign of life is ended, by SIGABRT and then by SIGKILL."""

import os
import signal

import pytest

from tests.support.command import run
from tests.support.show import Show

SHAPES = {"watch": (), "supervise": ("--supervise",)}
# What a daemon begins with: say(TEXT) sends a message.
SAY = """
import os, signal, socket, sys, time
sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
where = os.environ["NOTIFY_SOCKET"]
sender.connect("\\0" + where[1:] if where[0] == "@" else where)
say = lambda text: sender.send(text.encode())
assert os.environ["WATCHDOG_PID"] == str(os.getpid())
"""


def ends(show: Show, shape: str, watchdog: str, daemon: str) -> tuple[int, str]:
    """How a start with this daemon ends, as waitstatus_to_exitcode() has it, and what was said."""
    options = ("--init", "none", "-t", "systemd", "-N", *SHAPES[shape], "--watchdog", watchdog)
    job = show.job(*options, expect_stop=False, command=("/usr/bin/python3", "-ISc", SAY + daemon))
    job.spawn()
    status = os.waitstatus_to_exitcode(job.ended())
    assert job.orphans_gone_within(5)
    return status, job.said()


@pytest.mark.parametrize("shape", SHAPES)
def test_a_silent_daemon_is_aborted(show: Show, shape: str) -> None:
    assert SAY
    daemon = 'assert os.environ["WATCHDOG_USEC"] == "300000"; say("READY=1"); signal.pause()'
    status, said = ends(show, shape, "0.3", daemon)
    assert status == -signal.SIGABRT
    assert "has given no sign of life for 0.3 s (WATCHDOG=1 is due every 0.3 s): sending SIGABRT" in said


@pytest.mark.parametrize("shape", SHAPES)
def test_who_does_not_end_by_that_is_killed(show: Show, shape: str) -> None:
    daemon = 'signal.signal(signal.SIGABRT, signal.SIG_IGN); say("READY=1"); signal.pause(); signal.pause()'
    status, said = ends(show, shape, "0.2:0.3", daemon)
    assert status == -signal.SIGKILL
    assert "has not ended within 0.3 s of SIGABRT: sending SIGKILL" in said


@pytest.mark.parametrize("shape", SHAPES)
def test_signs_of_life_are_counted(show: Show, shape: str) -> None:
    daemon = 'say("READY=1")\nfor _ in range(40): say("WATCHDOG=1"); time.sleep(0.05)\nsys.exit(5)'
    assert ends(show, shape, "1", daemon)[0] == 5


@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_is_due_before_the_daemon_is_ready(show: Show, shape: str) -> None:
    daemon = 'time.sleep(1); say("READY=1"); sys.exit(5)'
    assert ends(show, shape, "0.2", daemon)[0] == 5


@pytest.mark.parametrize("shape", SHAPES)
def test_the_daemon_can_say_that_something_is_wrong(show: Show, shape: str) -> None:
    status, said = ends(show, shape, "100", 'say("READY=1"); say("WATCHDOG=trigger"); signal.pause()')
    assert status == -signal.SIGABRT
    assert "WATCHDOG=trigger" in said


@pytest.mark.parametrize("shape", SHAPES)
def test_the_daemon_can_change_the_limit(show: Show, shape: str) -> None:
    assert ends(show, shape, "100", 'say("READY=1"); say("WATCHDOG_USEC=200000"); signal.pause()')[0] == -signal.SIGABRT
    daemon = 'say("WATCHDOG_USEC=100000000"); say("READY=1"); time.sleep(1); sys.exit(5)'
    assert ends(show, shape, "0.2", daemon)[0] == 5


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("-t", "systemd", "--watchdog", "5"), "--watchdog needs -N"),
        (("-t", "systemd", "-N", "--end-after-ready", "--watchdog", "5"), "somebody who stays"),
        (("-t", "upstart", "-N", "--watchdog", "5"), "a daemon for upstart gives no signs of life"),
        (("-t", "systemd", "-N", "--watchdog", "0"), "a number of seconds above 0"),
        (("-t", "systemd", "-N", "--watchdog", "5:"), "a number of seconds above 0"),
    ],
)
def test_what_does_not_go_is_one_line(words: tuple[str, ...], why: str) -> None:
    result = run(*words, "--init", "none", "--", "/bin/true")
    assert result.status == 125
    assert why in result.line
