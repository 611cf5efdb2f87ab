"""A resident lives for years: no service's end leaves it a descriptor, or a child that nobody waits for."""

import os
import subprocess
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from cross_init.resident.loop import ManyLoop
from tests.support.command import BRIDGE
from tests.support.processes import children
from tests.support.resident import Machine, machine
from tests.support.waiting import becomes, until

TIMES = 10
# What a worker takes off the queue, as descriptors come with it, and then the daemon's end, before that one's.
LAST_WORDS = """
import os, socket
told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
told.connect(os.environ["NOTIFY_SOCKET"].replace("@", "\\0"))
for _ in range(3):
    socket.send_fds(told, [b"{says}"], [0])
os._exit(3)
"""
A_WHILE = "import os, time; time.sleep(0.1); os._exit(3)"
DAEMONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "its last words come with descriptors": (LAST_WORDS.format(says="STATUS=x"), ()),
    "the same, of what it is to keep": (LAST_WORDS.format(says="FDSTORE=1\\nFDNAME=x"), ()),
    "it is ready, and gone": (LAST_WORDS.format(says="READY=1"), ("--watchdog", "5")),
    "it ends while it is observed": (A_WHILE, ("--ready-when", "exec:sleep 1", "--ready-when", "log:never")),
    "it ends while it is asked for": (
        A_WHILE,
        ("--ready-when", "tcp:127.0.0.1:1", "--health-listen", "unix:FOLDER/health"),
    ),
    "it cannot be run": ("none", ()),
}


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Machine]:
    with machine(tmp_path) as made:
        made.serve()
        yield made


@pytest.mark.parametrize("which", DAEMONS)
def test_nothing_is_left_of_services_that_have_ended(here: Machine, which: str, tmp_path: Path) -> None:
    text, options = DAEMONS[which]
    words = [each.replace("FOLDER", str(tmp_path)) for each in options]
    command = ["/usr/bin/python3", "-ISc", text] if text != "none" else ["/dev/null"]
    bridge = [str(BRIDGE), "--init", "none", "-t", "systemd", "-N", "--need-resident", *words, "--", *command]
    held: list[str] = []
    for time in range(TIMES):
        process = subprocess.Popen(here.private.command(bridge, 0, 4096), stderr=subprocess.PIPE, cwd="/")
        _, said = process.communicate(timeout=30)
        assert process.returncode != 0
        assert b"need-resident" not in said
        if time == 0:
            until(lambda: not children(here.resident), "all of the first one is over")
            held = descriptors(here.resident)
    until(lambda: not children(here.resident), "whatever it has made has ended, and was waited for")
    becomes(lambda: descriptors(here.resident), held)


def descriptors(pid: int) -> list[str]:
    """What a process has open, by their kinds."""
    found = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.append(os.readlink(f"/proc/{pid}/fd/{name}").partition(":[")[0])
        except FileNotFoundError:
            pass  # closed meanwhile
    return sorted(found)


def test_a_timer_that_was_cancelled_keeps_nothing_of_a_service_that_is_over() -> None:
    """They are swept out some hundreds at a time, and each would hold all that there was of its service till then."""
    loop = ManyLoop()
    service = Service()
    timer = loop.after(1000, service.too_late)
    there = weakref.ref(service)
    del service
    loop.cancel(timer)
    assert there() is None


class Service:
    """One that is to be ready in time."""

    def too_late(self) -> None:
        """It is not."""
