"""The documented table of what each init leaves; and that of several inits above a daemon the nearest is its own."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from cross_init.detect import INITS, init_named
from tests.support.command import script
from tests.support.containers import BRIDGE, booted
from tests.support.packages import need
from tests.support.systemd import PUPPET, STAGES, Host, Manager
from tests.support.waiting import until

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "detection.md"
COLUMNS = (
    "init",
    "parent's name",
    "environment",
    "working directory",
    "session",
    "descriptors",
    "we go by",
    "seen with",
)


def table() -> list[list[str]]:
    """Its rows, a list of cells each."""
    lines = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_every_init_has_its_row_and_nothing_else_has() -> None:
    head, _, *rows = table()
    assert tuple(head) == COLUMNS
    assert sorted(row[0] for row in rows) == sorted(INITS)
    for row in rows:
        assert len(row) == len(COLUMNS)
        assert all(row)
        assert ("**untested**" in row[-1]) == init_named(row[0]).untested


@pytest.fixture(scope="module")
def system() -> Iterator[Manager]:
    """The manager of a container that has s6 and runit."""
    if os.geteuid() != 0:
        pytest.skip("needs root, for containers")
    need("s6", "runit")
    with booted(Path("/")) as container:
        yield Host(container).system


SUPERVISORS = {"s6": "s6-supervise", "runit": "runsv"}


@pytest.mark.parametrize("name", SUPERVISORS)
def test_below_a_supervisor_that_is_a_service_of_systemd_the_supervisor_is_the_init(system: Manager, name: str) -> None:
    supervisor = SUPERVISORS[name]
    folder = system.container.root / f"run/service-{name}"
    folder.mkdir()
    (folder / "notification-fd").write_text("3\n")
    # NotifyAccess= has systemd's NOTIFY_SOCKET in the environment of all that is below.
    unit_text = f"NotifyAccess=all\nExecStart=/usr/bin/{supervisor} /run/{folder.name}"
    with system.unit(unit_text) as unit:
        puppet_words = f"{PUPPET} {STAGES}/{unit.name.removesuffix('.service')}"
        script(folder, "run", f"#!/bin/sh\nexec {BRIDGE} -t systemd -N -- {puppet_words}\n")
        script(folder, "check", f"#!/bin/sh\nexec {BRIDGE.removesuffix('-bridge')} check\n")
        unit.start()
        puppet = unit.stage.puppet()
        assert puppet.hello["parent"] == unit.main_pid
        above = (system.container.root / f"proc/{unit.main_pid}/environ").read_bytes()
        assert b"NOTIFY_SOCKET=/run/systemd/notify" in above

        def is_ready() -> bool:
            if name == "s6":
                return system.container.run("s6-svstat", "-o", "ready", f"/run/{folder.name}").stdout == "true\n"
            return system.container.run("sv", "-w", "1", "check", f"/run/{folder.name}", check=False).returncode == 0

        assert not is_ready()
        puppet.send(repr(b"READY=1\nSTATUS=for the supervisor"))
        until(is_ready, f"{supervisor} knows that it is ready")
        assert unit.show("StatusText") == ""
        system.container.run(
            "s6-svc" if name == "s6" else "sv", "-dx" if name == "s6" else "exit", f"/run/{folder.name}"
        )
        puppet.hear_signal(signal.SIGTERM)
        puppet.tell("exit 0")
        unit.has_only()
