"""Every init × every kind of daemon, once: ready at the right moment, main process, crash, stop, nothing left."""

import os
from contextlib import nullcontext
from pathlib import Path

import pytest

from cross_init.detect import INITS, TARGETS
from tests.matrix import beside
from tests.matrix.beside import Serve
from tests.matrix.daemons import ancestors, daemons, is_bridge, processes, release, waiting
from tests.matrix.driver import Driver
from tests.matrix.files import files, nothing_left
from tests.matrix.kinds import KINDS, command, options
from tests.matrix.table import NOT_RUN, ROWS, STOPS, Machines
from tests.support.command import script
from tests.support.waiting import until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for the inits and to see what daemons wait for")


@pytest.mark.parametrize("init", INITS)
def test_every_init_is_in_the_matrix(init: str) -> None:
    if init in NOT_RUN:
        pytest.skip(f"{init}: {NOT_RUN[init]}")
    assert init in {row.name for row in ROWS.values()}


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_is_in_the_matrix(target: str) -> None:
    if target in NOT_RUN:
        pytest.skip(f"{target}: {NOT_RUN[target]}")
    assert target in KINDS


# One after the other on the same machine: without a resident, then beside one, which is what most of them see of it.
LIVES = [
    (init, kind, is_beside)
    for init, row in ROWS.items()
    for is_beside in (False, True)
    for kind in KINDS
    if not is_beside or kind in (row.hands_over or (STOPS,))
]


@pytest.mark.parametrize(
    ("init", "kind", "is_beside"), LIVES, ids=[f"{init}-{kind}{'-resident' * beside}" for init, kind, beside in LIVES]
)
def test_a_service_lives(init: str, kind: str, is_beside: bool, tmp_path: Path, machines: Machines) -> None:
    row = ROWS[init]
    if machines.served and not is_beside:
        machines.close()  # it was tested in another order
    with beside.here() if is_beside and row.serve is None else nullcontext():
        live(init, kind, row.serve if is_beside else None, kind in row.hands_over and is_beside, tmp_path, machines)


def live(init: str, kind: str, serve: Serve | None, is_handed: bool, tmp_path: Path, machines: Machines) -> None:
    """All of a service's life. serve: starts a resident beside it; is_handed: that one has to watch it."""
    folder = tmp_path / "here"
    folder.mkdir()
    with ROWS[init].make(folder, machines) as driver:
        if serve:
            machines.serve(serve)
        before = files(driver)
        given = options(kind, driver.here, driver.names_main)
        fifo = driver.folder / "fifo"
        os.mkfifo(fifo)
        driver.install([driver.bridge, *given, "--", *command(kind, driver.here, driver.project)])
        driver.begin()
        first = lives(driver, fifo)
        is_main(driver, first, kind in ROWS[init].stays_for)
        if is_handed:
            until(lambda: beside.watches(driver, first), "the resident says that it watches it")
            until(lambda: ours(driver.here).keys() == {first}, f"nobody stands beside it, but {ours(driver.here)}")

        os.kill(first, 9)
        if not driver.restarts:
            until(driver.is_down, f"{init} sees the crash", 20)
            driver.begin()
        second = lives(driver, fifo)
        assert second != first
        is_main(driver, second, kind in ROWS[init].stays_for)

        driver.stop()
        until(driver.is_down, f"{init} says that it is down")
        until(lambda: ours(driver.here) == {}, f"no process is left, but {ours(driver.here)}")
        nothing_left(driver, before)


# Errors go to a file wherever an init would have them; and a daemon that forks away, of which nobody was told.
SAYING = '#!/bin/sh\nexec BRIDGE "$@" 2>>HERE/said\n'
FORKS_AWAY = "#!/bin/sh\nsleep 1 &\n"


@pytest.mark.parametrize("init", ROWS)
def test_a_start_that_ends_with_0_before_it_is_ready_says_so(init: str, tmp_path: Path, machines: Machines) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    with ROWS[init].make(folder, machines) as driver:
        before = files(driver)
        said = driver.folder / "said"
        said.touch()
        said.chmod(0o666)
        script(driver.folder, "bridge", SAYING.replace("HERE", driver.here).replace("BRIDGE", driver.bridge))
        script(driver.folder, "daemon", FORKS_AWAY)
        never = f"file:{driver.here}/never"
        given = ["-t", "systemd", "-N", "--ready-when", never]
        given += ["--pid-file", f"{driver.here}/pid"] * driver.names_main
        driver.install([f"{driver.here}/bridge", *given, "--", f"{driver.here}/daemon"])
        driver.begin()
        words = f") while it still waited for READY=1 and {never}; if it forks away, use -t sysv --pid-file PATH"
        # Who is asked whether it is down takes its exit status, where the test is its parent.
        until(lambda: (driver.is_down(), words in said.read_text())[1], f"{said} says so", 20)
        if driver.restarts or not driver.is_down():
            driver.stop()
        until(driver.is_down, f"{init} says that it is down")
        until(lambda: ours(driver.here) == {}, f"no process is left, but {ours(driver.here)}")
        nothing_left(driver, before)


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


def is_main(driver: Driver, daemon: int, stays: bool) -> None:
    """The main process is the daemon itself; or one of ours above it, if we have to stay."""
    if not stays:
        driver.shows_main(daemon)
        return
    until(lambda: driver.main_pid() in ancestors(daemon)[1:], "it shows one above the daemon")
    main = driver.main_pid()
    assert is_bridge(processes(driver.here)[main])
