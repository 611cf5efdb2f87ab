"""--ready-when dbus:, on a real bus of the test's own; with the jeepney of the checkout, and with Debian's."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jeepney
import pytest

from tests.support.command import BRIDGE, ROOT
from tests.support.observed import LONGEST_S, Place
from tests.support.packages import need

NAME = "org.example.Audited"
LIBRARIES = Path(jeepney.__file__).resolve().parent.parent
TAKE = f"""
import sys
sys.path.append({str(LIBRARIES)!r})
from jeepney import message_bus
from jeepney.io.blocking import open_dbus_connection
connection = open_dbus_connection({{address!r}})
connection.send_and_get_reply(message_bus.RequestName({NAME!r}))
"""


class Bus:
    """A message bus; start() has it listen."""

    def __init__(self, folder: Path) -> None:
        self.address = f"unix:path={folder}/bus"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        words = ["dbus-daemon", "--session", "--nofork", f"--address={self.address}", "--print-address=1"]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        assert self.process.stdout.readline()  # it listens

    def stop(self) -> None:
        if self.process is not None:
            assert self.process.stdout is not None
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()

    @property
    def words(self) -> tuple[str, ...]:
        return ("--ready-when", f"dbus:{NAME}", "--bus", self.address)

    @property
    def take(self) -> str:
        """Python code that takes the name."""
        return TAKE.format(address=self.address)


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[Bus]:
    need("dbus-daemon")
    made = Bus(tmp_path)
    try:
        yield made
    finally:
        made.stop()


def one_file(folder: Path) -> Path:
    """The single file, which finds no jeepney but the system's."""
    need("python3-jeepney")
    made = folder / "cross-init-bridge"
    words = [sys.executable, "-I", str(ROOT / "tools/make_single_file.py"), str(made)]
    subprocess.run(words, check=True, capture_output=True)
    return made


@pytest.mark.parametrize("form", ["checkout", "one file"])
def test_ready_when_the_daemon_takes_the_name(
    place: Place, bus: Bus, shape: tuple[str, ...], form: str, tmp_path: Path
) -> None:
    bus.start()
    run = place.begin(*bus.words, *shape, bridge=BRIDGE if form == "checkout" else one_file(tmp_path))
    assert not run.is_ready()
    run.puppet.do(bus.take)
    run.becomes_ready()


def test_a_bus_that_comes_late_and_a_name_that_was_taken_by_then(place: Place, bus: Bus) -> None:
    run = place.begin(*bus.words)
    run.is_not_ready_yet()
    watcher = run.observer
    os.kill(watcher, signal.SIGSTOP)
    try:
        bus.start()
        run.puppet.do(bus.take)
        assert not run.is_ready()
    finally:
        os.kill(watcher, signal.SIGCONT)
    run.becomes_ready()


def test_a_strangers_name_does_not_count(place: Place, bus: Bus) -> None:
    bus.start()
    stranger = subprocess.Popen(
        [sys.executable, "-c", f"{bus.take}\nprint('taken', flush=True)\ninput()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert stranger.stdout is not None
        assert stranger.stdout.readline() == b"taken\n"
        run = place.begin(*bus.words)
        run.err.hears(f"{NAME} belongs to process {stranger.pid}, which is not of this service")
        assert not run.is_ready()
        stranger.communicate(b"\n", LONGEST_S)
        run.puppet.do(bus.take)
        run.becomes_ready()
    finally:
        stranger.kill()
        stranger.wait()


def test_a_watchdog_goes_with_it(place: Place, bus: Bus, shape: tuple[str, ...]) -> None:
    bus.start()
    run = place.begin("-t", "systemd", *bus.words, *shape, "--watchdog", "1")
    assert run.puppet.environ["WATCHDOG_USEC"] == "1000000"
    run.puppet.do(bus.take)
    run.becomes_ready()
    run.err.hears("has given no sign of life")
    assert run.ends() == -signal.SIGABRT
