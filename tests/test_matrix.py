"""Every init × every kind of daemon, once: ready at the right moment, main process, crash, stop, nothing left."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from cross_init.cli import parse
from cross_init.detect import init_named, target_named
from cross_init.plan import SUPERVISE, choose
from tests.matrix.daemons import ancestors, daemons, is_bridge, processes, release, waiting
from tests.matrix.directories import S6, Daemontools, Directory, Runit, directory
from tests.matrix.driver import Driver
from tests.matrix.kinds import KINDS, command, options
from tests.matrix.machines import systemd
from tests.matrix.programs import Circus, Program, Shell, Supervisord, program
from tests.support.containers import booted
from tests.support.systemd import Host
from tests.support.waiting import until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for the inits and to see what daemons wait for")
IN_DIRECTORIES: dict[str, Callable[[Path], Directory]] = {"s6": S6, "runit": Runit, "daemontools": Daemontools}
AS_PROGRAMS: dict[str, Callable[[Path], Program]] = {"supervisord": Supervisord, "circus": Circus, "none": Shell}


def driver_of(init: str, folder: Path, request: pytest.FixtureRequest) -> AbstractContextManager[Driver]:
    """The driver for this init, with a folder of its own."""
    folder = folder / "here"
    folder.mkdir()
    if init in IN_DIRECTORIES:
        return directory(IN_DIRECTORIES[init], folder)
    if init in AS_PROGRAMS:
        return program(AS_PROGRAMS[init], folder)
    return systemd(request.getfixturevalue("machine").system)


@pytest.fixture(scope="module")
def machine() -> Iterator[Host]:
    with booted(Path("/")) as container:
        yield Host(container)


INITS = (*IN_DIRECTORIES, *AS_PROGRAMS, "systemd")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("init", INITS)
def test_a_service_lives(init: str, kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    with driver_of(init, tmp_path, request) as driver:
        given = options(kind, driver.here)
        fifo = driver.folder / "fifo"
        os.mkfifo(fifo)
        driver.install([driver.bridge, *given, "--", *command(kind, driver.here, driver.project)])
        driver.begin()
        first = lives(driver, fifo)
        keeps_pid = is_main(driver, init, given, first)

        os.kill(first, 9)
        if not driver.restarts:
            until(driver.is_down, f"{init} sees the crash", 20)
            driver.begin()
        second = lives(driver, fifo)
        assert second != first
        assert is_main(driver, init, given, second) == keeps_pid

        driver.stop()
        until(driver.is_down, f"{init} says that it is down")
        until(lambda: ours(driver.here) == {}, f"nothing is left, but {ours(driver.here)}")


def ours(here: str) -> dict[int, list[str]]:
    """The service's processes: the daemon's, and those of ours beside it."""
    return {
        pid: words
        for pid, words in processes(here).items()
        if words[2:] and (is_bridge(words) or "_daemon" in words[2])
    }


def lives(driver: Driver, fifo: Path) -> int:
    """See it start and get ready, and not before; returns the daemon."""
    daemon = waiting(driver.here)
    assert not driver.is_ready()
    release(fifo)
    if driver.waits:
        until(driver.is_ready, "it is ready", 20)
    until(lambda: len(daemons(driver.here)) == 1, "one process remains of a daemon that forks")
    (remaining,) = daemons(driver.here)
    assert remaining == daemon
    return daemon


def is_main(driver: Driver, init: str, given: list[str], daemon: int) -> bool:
    """Whether the main process is the daemon itself; else it has to be ours, above it, and have to be."""
    plan = choose(init_named(init), target_named(given[given.index("-t") + 1]), parse([*given, "--", "daemon"]))
    main = driver.main_pid()
    if main == daemon:
        return True
    assert plan.shape == SUPERVISE, plan.reason
    assert main in ancestors(daemon)
    assert is_bridge(processes(driver.here)[main])
    return False
