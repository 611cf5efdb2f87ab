"""One service that says very much, whatever it is, neither delays another's readiness nor takes memory."""

import os
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.outside import plain
from tests.support.packages import need
from tests.support.processes import kill
from tests.support.resident import Machine, machine
from tests.support.waiting import until

SERVICES = 8
DELAY_S = 0.05  # of the resident's own running: how long it waits for a processor is the machine's
GROWTH_KB = 2048
# Says all that it can, in two processes, until it is killed.
FLOOD = """
import array, os, socket
if os.fork() == 0:
    os.fork()
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.connect(os.environ['NOTIFY_SOCKET'])
    number = 0
    with open('/dev/null') as null:
        while True:
            number += 1
            SAY
"""
SAYS = {
    "news": "s.send(b'STATUS=%d' % number)",
    "garbage": "s.send(os.urandom(4000))",
    "descriptors": "socket.send_fds(s, [b'STATUS=%d' % number], [null.fileno()] * 100)",
    "a store": "socket.send_fds(s, [b'FDSTORE=1\\nFDNAME=n%d' % number], [null.fileno()] * 10)",
    "barriers": "socket.send_fds(s, [b'BARRIER=1'], [null.fileno()])",
}
FLOODS_ON = ("-t", "systemd", "-N", "--notify-access", "all", "--fd-store", "20")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Machine]:
    need("s6")
    with machine(tmp_path) as made:
        yield made


def memory(pid: int) -> int:
    """What it has, in KiB, whether or not a process that it has just forked has it too."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Rss:"))


def has_run(pid: int) -> float:
    """How long this process has run, in seconds (schedstat, proc(5))."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def delay(here: Machine, name: str) -> float:
    """How long the resident runs from the daemon's word to the init's hearing it, in seconds."""
    told = here.folder / f"told-{name}"
    os.mkfifo(told)
    hears = os.open(told, os.O_RDONLY | os.O_NONBLOCK)
    try:
        _, puppet = here.puppet(name, "-t", "systemd", "-N", "--need-resident", "--ready-fd", "3", f"3>{told}")
        os.set_blocking(hears, True)
        before = has_run(here.resident)
        puppet.tell("notify READY=1")
        assert os.read(hears, 10) == b"\n"
        return has_run(here.resident) - before
    finally:
        os.close(hears)


@pytest.mark.parametrize(
    ("kind", "is_bridged"), [*((kind, True) for kind in SAYS), *((kind, False) for kind in ("news", "descriptors"))]
)
def test_a_flood(here: Machine, kind: str, is_bridged: bool) -> None:
    resident = here.serve()
    quiet = statistics.median(delay(here, f"quiet{number}") for number in range(SERVICES))
    service, puppet = here.puppet("flood", *FLOODS_ON) if is_bridged else plain(here, "flood")
    before = set(here.private.root.glob("proc/[0-9]*"))
    puppet.do(f"exec({FLOOD.replace('SAY', SAYS[kind])!r})")
    until(lambda: len(set(here.private.root.glob("proc/[0-9]*")) - before) >= 2, "it floods")
    delay(here, "first")  # what it takes in at first for a flood, it keeps
    memory_before = memory(resident)
    flooded = statistics.median(delay(here, f"busy{number}") for number in range(SERVICES))
    grown = memory(resident) - memory_before
    print(f"{kind}: quiet {quiet * 1000:.1f} ms, flooded {flooded * 1000:.1f} ms, grown by {grown} KiB")
    assert flooded - quiet < DELAY_S
    assert grown < GROWTH_KB
    assert "Traceback" not in service.log, "it has flooded all the time"
    kill(resident)
