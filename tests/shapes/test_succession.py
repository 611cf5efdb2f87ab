"""A main process that ends while its PID file names nobody: another one may be about to take its place, or none is.

One rule for every target: of a service that is not ready the daemon is on its way for as long as anything of it lives;
one that is ready has a few seconds for that. Told to stop, or crashed with its file left behind, it has ended.
"""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.support.observed import PYTHON, Place
from tests.support.processes import end
from tests.support.waiting import until

SUCCESSOR_S = 5
# Waits for a signal that has a handler; pause(2) would miss one that comes just before it.
WAIT = """
def wait():
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    os.read(woken, 1)
"""
# Forks away, and writes its PID file a while after its first process has gone; with 5 when it is told to stop.
FORKS = (
    f"import os, signal, sys, time\n{WAIT}"
    + """
signal.signal(signal.SIGTERM, lambda *_: os._exit(5))
if os.fork(): os._exit(0)
os.setsid()
time.sleep(0.4)
FIRST
with open(f"{sys.argv[1]}.new", "w") as file: file.write(str(os.getpid()))
os.rename(f"{sys.argv[1]}.new", sys.argv[1])
wait()
"""
)
# The next one to be the main process, started by the first; it writes the file WAIT s after the other has gone.
UPGRADES = (
    f"import os, select, signal, sys, time\n{WAIT}"
    + """
def name():
    with open(f"{sys.argv[1]}.new", "w") as file: file.write(str(os.getpid()))
    os.rename(f"{sys.argv[1]}.new", sys.argv[1])
def leave(*_):
    os.unlink(sys.argv[1])
    os._exit(3)
signal.signal(signal.SIGUSR1, leave)
signal.signal(signal.SIGTERM, leave)
first = os.pidfd_open(os.getpid())
if os.fork() == 0:
    signal.signal(signal.SIGTERM, lambda *_: os._exit(5))
    select.select([first], [], [])
    time.sleep(WAIT)
    name()
    wait()
name()
wait()
"""
)
WAYS = {
    "systemd": ("-t", "systemd", "--supervise", "--pid-file", "FILE", "--ready-when", "pid-file:FILE"),
    "a condition alone": ("-t", "plain", "--supervise", "--ready-when", "pid-file:FILE"),
    "a socket": ("-t", "systemd", "--supervise", "--ready-when", "pid-file:FILE", "--listen", "unix:SOCKET"),
    "sysv": ("-t", "sysv", "-N", "--pid-file", "FILE"),
    "upstart": ("-t", "upstart", "--supervise", "--pid-file", "FILE", "--ready-when", "pid-file:FILE"),
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "pid"


def filled(words: tuple[str, ...], file: Path) -> tuple[str, ...]:
    return tuple(word.replace("FILE", str(file)).replace("SOCKET", f"{file}.socket") for word in words)


def named(file: Path) -> int:
    return int(file.read_text()) if file.exists() else 0


@pytest.mark.parametrize("way", WAYS)
def test_a_daemon_that_forks_away_before_its_file_is_there_is_followed(place: Place, file: Path, way: str) -> None:
    text = FORKS.replace("FIRST", "")
    run = place.spawn(*filled(WAYS[way], file), command=(*PYTHON, "-c", text, str(file)))
    run.becomes_ready()
    run.process.terminate()
    assert run.ends() == 5, "it is told to stop, and its end counts"
    place.nothing_remains()


def test_its_end_before_that_is_the_services(place: Place, file: Path) -> None:
    text = FORKS.replace("FIRST", "os._exit(6)")
    run = place.spawn(*filled(WAYS["systemd"], file), command=(*PYTHON, "-c", text, str(file)))
    assert run.ends() == 6
    assert f"ended (exit code 6) while it still waited for pid-file:{file}" in run.err.rest()


@pytest.mark.parametrize("way", ["systemd", "a condition alone", "upstart"])
def test_a_file_that_is_missing_for_a_moment_ends_nothing(place: Place, file: Path, way: str) -> None:
    run = place.spawn(*filled(WAYS[way], file), command=(*PYTHON, "-c", UPGRADES.replace("WAIT", "1"), str(file)))
    run.becomes_ready()
    first = named(file)
    os.kill(first, signal.SIGUSR1)
    run.err.hears(f"(PID {first}) has ended, and the PID file {file} names no other yet; this is waited for, for 5 s")
    until(lambda: named(file) not in (0, first), "the next one writes its file")
    run.process.send_signal(signal.SIGTERM)
    assert run.ends() == 5
    place.nothing_remains()


def test_after_a_while_the_service_has_ended(place: Place, file: Path) -> None:
    run = place.spawn(
        *filled(WAYS["systemd"], file), command=(*PYTHON, "-c", UPGRADES.replace("WAIT", "100"), str(file))
    )
    run.becomes_ready()
    os.kill(named(file), signal.SIGUSR1)
    began = time.monotonic()
    assert run.ends() == 3
    assert time.monotonic() - began > SUCCESSOR_S - 1
    end(place.orphans())  # what it has left is its init's to end
    assert f"after 5 s the PID file {file} names no other; so the service ends" in run.err.rest()


@pytest.mark.parametrize("how", ["told to stop", "crashed"])
def test_one_that_was_told_to_stop_or_has_crashed_has_no_successor(place: Place, file: Path, how: str) -> None:
    run = place.spawn(
        *filled(WAYS["systemd"], file), command=(*PYTHON, "-c", UPGRADES.replace("WAIT", "100"), str(file))
    )
    run.becomes_ready()
    began = time.monotonic()
    if how == "crashed":
        os.kill(named(file), signal.SIGKILL)
    else:
        run.process.terminate()
    assert run.ends() == (-signal.SIGKILL if how == "crashed" else 3)
    assert time.monotonic() - began < SUCCESSOR_S - 1
    end(place.orphans())
