"""One service that says very much neither delays another's readiness nor takes memory."""

import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.packages import need
from tests.support.processes import kill
from tests.support.resident import Machine, machine
from tests.support.waiting import until

SERVICES = 8
DELAY_S = 0.5  # what a flood may cost here, as the floods take the processor as well; on a machine at rest it is 0.02
GROWTH_KB = 2048
# Says all that it can, in two processes, until it is killed.
FLOOD = """
import os, socket
if os.fork() == 0:
    os.fork()
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.connect(os.environ['NOTIFY_SOCKET'])
    number = 0
    while True:
        number += 1
        s.send(b'STATUS=%d' % number)
"""


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Machine]:
    need("s6")
    with machine(tmp_path) as made:
        yield made


def memory(pid: int) -> int:
    """The process's own, in KiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


def delay(here: Machine, name: str) -> float:
    """How long it takes from the daemon's word to the init's hearing it, in seconds."""
    told = here.folder / f"told-{name}"
    os.mkfifo(told)
    hears = os.open(told, os.O_RDONLY | os.O_NONBLOCK)
    try:
        _, puppet = here.puppet(name, "-t", "systemd", "-N", "--need-resident", "--ready-fd", "3", f"3>{told}")
        os.set_blocking(hears, True)
        before = time.monotonic()
        puppet.tell("notify READY=1")
        assert os.read(hears, 10) == b"\n"
        return time.monotonic() - before
    finally:
        os.close(hears)


def test_a_flood_of_messages(here: Machine) -> None:
    resident = here.serve()
    quiet = statistics.median(delay(here, f"quiet{number}") for number in range(SERVICES))
    _, puppet = here.puppet("flood", "-t", "systemd", "-N", "--notify-access", "all")
    before = set(here.private.root.glob("proc/[0-9]*"))
    puppet.do(f"exec({FLOOD!r})")
    until(lambda: len(set(here.private.root.glob("proc/[0-9]*")) - before) >= 2, "it floods")
    memory_before = memory(resident)
    flooded = statistics.median(delay(here, f"busy{number}") for number in range(SERVICES))
    grown = memory(resident) - memory_before
    print(f"quiet {quiet * 1000:.1f} ms, flooded {flooded * 1000:.1f} ms, grown by {grown} KiB")
    assert flooded - quiet < DELAY_S
    assert grown < GROWTH_KB
    kill(resident)
