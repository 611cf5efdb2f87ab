"""Who may speak for a service with --notify-access all: whoever was started in it, also when it has ended by then.

systemd judges by the control group. What has ended, or has no parents left, is in none that can be told from others'
here; so it is known by what it was told, by who it was, and by whom it was left to.
"""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from cross_init.kernel.process_stat import process_state
from tests.matrix.directories import S6, directory
from tests.support.load import busy
from tests.support.observed import PYTHON, Place
from tests.support.waiting import until

TIMES = 5
NAMED = {"path": (), "abstract": ("--notify-socket", "abstract")}
SAY = """
import os, socket
def say(text):
    address = os.environ["NOTIFY_SOCKET"]
    sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sender.connect("\\0" + address[1:] if address[0] == "@" else address)
    socket.send_fds(sender, [b"X_BEFORE=1"], [0] * DESCRIPTORS)
    sender.send(text)
"""
# How a process comes to say that the service is ready, in a daemon's main process; each ends right after.
SENDERS = {
    "a child": "if os.fork() == 0: say(b'READY=1'); os._exit(0)\nos.wait()",
    "a program of its own": "os.system(f'{PYTHON} {__file__} says')",
    "an orphan of another session": (
        "if os.fork() == 0:\n os.setsid()\n if os.fork() == 0: say(b'READY=1')\n os._exit(0)\nos.wait()"
    ),
    "an orphan later": (
        "if os.fork() == 0:\n"
        " os.setsid()\n"
        " if os.fork() == 0: time.sleep(0.05); os.execv(PYTHON, [PYTHON, '-IS', __file__, 'says'])\n"
        " os._exit(0)\n"
        "os.wait()"
    ),
}
DAEMON = """
import sys, time, signal
PYTHON = "/usr/bin/python3"
if sys.argv[1:] == ["says"]:
    say(b"READY=1")
    os._exit(0)
SENDER
signal.pause()
"""


@pytest.fixture(scope="module")
def loaded() -> Iterator[None]:
    with busy():
        yield


@pytest.mark.parametrize("named", NAMED)
@pytest.mark.parametrize("sender", SENDERS)
def test_one_that_has_said_so_and_ended_counts(
    place: Place, shape: tuple[str, ...], sender: str, named: str, loaded: None
) -> None:
    daemon = place.folder / "daemon.py"
    daemon.write_text(SAY.replace("DESCRIPTORS", "0") + DAEMON.replace("SENDER", SENDERS[sender]))
    options = ("-t", "systemd", "-N", "--notify-access", "all", *shape, *NAMED[named])
    for _ in range(TIMES):
        run = place.spawn(*options, command=(*PYTHON, str(daemon)))
        run.becomes_ready()
        run.process.terminate()
        assert run.ends() == -signal.SIGTERM
    assert b"ignored" not in run.err.text


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to change users")
def test_an_orphan_of_another_user_counts_where_orphans_are_ours(place: Place, loaded: None) -> None:
    daemon = place.folder / "daemon.py"
    other = "if os.fork() == 0:\n os.setuid(65534)\n if os.fork() == 0: say(b'READY=1')\n os._exit(0)\nos.wait()"
    # A descriptor takes its time: when the rest is heard, it has been waited for.
    daemon.write_text(SAY.replace("DESCRIPTORS", "1") + DAEMON.replace("SENDER", other))
    options = ("-t", "systemd", "-N", "--notify-access", "all", "--supervise")
    for _ in range(TIMES):
        run = place.spawn(*options, command=(*PYTHON, str(daemon)))
        run.becomes_ready()
        run.process.terminate()
        assert run.ends() == -signal.SIGTERM


def test_nobody_but_the_main_process_counts_if_nothing_is_said(place: Place, shape: tuple[str, ...]) -> None:
    daemon = place.folder / "daemon.py"
    daemon.write_text(SAY.replace("DESCRIPTORS", "0") + DAEMON.replace("SENDER", SENDERS["a child"]))
    run = place.spawn("-t", "systemd", "-N", *shape, command=(*PYTHON, str(daemon)))
    run.err.hears("may not speak for the service (--notify-access main")
    assert not run.is_ready()
    run.process.terminate()
    assert run.ends() == -signal.SIGTERM


LIVES = """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        with open(f"{__file__}.pid", "w") as file: file.write(str(os.getpid()))
        say(b"READY=1")
        signal.pause()
    os._exit(0)
os.wait()
"""


def test_an_orphan_that_lives_is_heard_under_s6(shape: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    with directory(S6, tmp_path / "here") as driver:
        daemon = driver.folder / "daemon.py"
        daemon.write_text(SAY.replace("DESCRIPTORS", "0") + DAEMON.replace("SENDER", LIVES))
        words = [driver.bridge, "-t", "systemd", "-N", "--notify-access", "all", *shape, "--", *PYTHON, str(daemon)]
        driver.install(words)
        driver.begin()
        until(driver.is_ready, "s6 hears that it is ready")
        orphan = int((driver.folder / "daemon.py.pid").read_text())
        driver.stop()
        until(driver.is_down, "it is down")
        until(lambda: process_state(orphan) in ("Z", ""), "what the main process has left is ended")
