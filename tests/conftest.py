"""Fixtures of the whole suite: the inits that tests run on."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from cross_init.commands.status import run as status
from cross_init.readiness.notify_socket import ROOT_FOLDER
from cross_init.readiness.sweeping import sweep
from tests.matrix.table import Machines
from tests.support.beginning import begin
from tests.support.containers import booted, systemd_version
from tests.support.kept import only_ours
from tests.support.observed import SHAPES, Place, observed
from tests.support.own import open_to_others
from tests.support.programs import close_path, open_path
from tests.support.puppet import stage
from tests.support.show import Show
from tests.support.systemd import Host, Manager
from tests.support.trees import sid, sid_folder
from tests.support.upstart import reap

begin()
# The same examples each time, on a machine however busy; --hypothesis-profile default looks for new ones.
SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much]
settings.register_profile("suite", derandomize=True, deadline=None, database=None, suppress_health_check=SLOW)
settings.load_profile("suite")
TREES = {
    f"systemd-{systemd_version(Path('/')) or 'host'}": lambda: Path("/"),
    f"systemd-{systemd_version(sid_folder()) or 'sid'}": sid,
}


def pytest_configure() -> None:
    """PATH is there before any test is, and until the last one has ended."""
    open_path()


def pytest_unconfigure() -> None:
    """And no longer."""
    close_path()


@pytest.fixture(scope="module")
def machines() -> Iterator[Machines]:
    """Those on which real inits run, each made when it is needed first."""
    made = Machines()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="session", autouse=True)
def swept() -> Iterator[None]:
    """What killed bridges have left on disk is removed at the end, as the next start and the next question do it."""
    yield
    sweep(ROOT_FOLDER)
    status([])


@pytest.fixture(scope="session")
def hosts() -> Iterator[Callable[[str], Host]]:
    """Containers with a real systemd, each of which is booted when it is first asked for, and runs till the end."""
    with ExitStack() as stack:
        yield cache(lambda tree: Host(stack.enter_context(booted(TREES[tree]()))))


@pytest.fixture(scope="session", params=list(TREES))
def host(request: pytest.FixtureRequest, hosts: Callable[[str], Host]) -> Host:
    """The one that has the machine's own version, then that with Debian sid's."""
    return hosts(request.param)


@pytest.fixture
def system(host: Host) -> Manager:
    """The system's manager."""
    return host.system


@pytest.fixture(params=["system", "user"])
def manager(request: pytest.FixtureRequest, host: Host) -> Manager:
    """The system's manager, then that of an unprivileged user."""
    return host.system if request.param == "system" else host.user


@pytest.fixture(autouse=True)
def stores() -> Iterator[None]:
    """Who keeps descriptors for a test's daemons ends with the test, as it would not by itself."""
    with only_ours():
        yield


@pytest.fixture
def show(tmp_path: Path) -> Iterator[Show]:
    """A place for jobs under the stand-in for Upstart; all that they leave is ended with it."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to change users and to have /run/cross-init")
    open_to_others(tmp_path)
    reap(True)
    with stage(tmp_path / "stage") as where:
        shown = Show(tmp_path, where)
        try:
            yield shown
        finally:
            for job in shown.jobs:
                job.close()
            reap(False)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A place for daemons that are observed; all that they leave is ended with it."""
    with observed(tmp_path) as made:
        yield made


@pytest.fixture(params=list(SHAPES))
def shape(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """The options for each shape in which a daemon is observed without an init."""
    return SHAPES[request.param]
