"""Daemons of Debian by the units of their packages, written for inits that are process 1, and run by the real ones."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.matrix.table import Machines
from tests.support.packages import need
from tests.support.real_upstart import upstart_booted
from tests.support.waiting import until
from tests.writers.test_finit import Stanza
from tests.writers.test_openrc import Openrc
from tests.writers.test_real_daemons import DAEMONS, Daemon
from tests.writers.test_shepherd import Herded
from tests.writers.test_sysv import Lsb
from tests.writers.test_upstart import job
from tests.writers.written import Inside, in_root

# All trees have it.
EVERYWHERE = "redis-server"
ROOTS: dict[str, tuple[Any, str]] = {"openrc": (Openrc, "sid-inits"), "sysv": (Lsb, "bookworm-sysvinit")}
ROOTS |= {"finit": (Stanza, "sid-inits"), "shepherd": (Herded, "sid-inits")}
UPSTART = ("redis-server", "memcached", "nginx")


@contextmanager
def booted(init: str, folder: Path, machines: Machines) -> Iterator[Inside]:
    if init == "upstart":
        need(*(DAEMONS[name].package for name in UPSTART))  # before the root is overlaid
        upstart = machines.get("upstart", upstart_booted)
        (upstart.root / "run/puppets").mkdir(exist_ok=True)
        with job(upstart) as driver:
            yield driver
    else:
        kind, tree = ROOTS[init]
        need("iproute2")
        with in_root(kind, tree)(folder, machines) as driver:
            there = ["nsenter", "--target", str(driver.root.pid), "--net"]  # a tree has no ip(8)
            subprocess.run([*there, "ip", "link", "set", "lo", "up"], check=True, timeout=20)
            yield driver


@pytest.mark.parametrize("expand", [False, True], ids=["unit", "expanded"])
@pytest.mark.parametrize(
    ("init", "name"), [*((each, EVERYWHERE) for each in ROOTS), *(("upstart", x) for x in UPSTART)]
)
def test_a_daemon_lives(init: str, name: str, expand: bool, tmp_path: Path, machines: Machines) -> None:
    if init == "upstart" and name == EVERYWHERE and expand and not may_raise():
        pytest.skip("needs to raise LimitNOFILE=: for Upstart a job whose limit cannot be had fails")
    daemon = DAEMONS[name]
    with booted(init, tmp_path, machines) as driver:
        driver.name = name
        driver.command("/bin/sh", "-ec", daemon.prepare)
        driver.translate({}, expand)
        if init == "openrc":  # at its boot it has started what the tree has under this name
            driver.command("rc-service", name, "zap")
        driver.begin()
        until(driver.is_ready, "the init says that it is ready", 30)
        answers(driver, daemon)
        driver.stop()
        until(driver.is_down, "it is down", 20)
        until(lambda: name not in driver.command("ps", "-ewo", "args"), "nothing is left")


def answers(driver: Inside, daemon: Daemon) -> None:
    """It serves; what does not say when it is ready does so a moment later."""
    until(lambda: daemon.answer in driver.command("/bin/sh", "-c", '"$@" || :', "sh", *daemon.asks), "it answers", 20)


def may_raise() -> bool:
    """Whether redis can have as many descriptors as its unit says."""
    return subprocess.run(["prlimit", "--nofile=65535", "true"], capture_output=True, check=False).returncode == 0
