"""Fixtures of the whole suite: the inits that tests run on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.containers import booted, systemd_version
from tests.support.systemd import Host, Manager
from tests.support.trees import sid, sid_folder

TREES = {
    f"systemd-{systemd_version(Path('/')) or 'host'}": lambda: Path("/"),
    f"systemd-{systemd_version(sid_folder()) or 'sid'}": sid,
}


@pytest.fixture(scope="session", params=list(TREES))
def host(request: pytest.FixtureRequest) -> Iterator[Host]:
    """A container with a real systemd: the machine's own version, then Debian sid's."""
    with booted(TREES[request.param]()) as container:
        yield Host(container)


@pytest.fixture
def system(host: Host) -> Manager:
    """The system's manager."""
    return host.system


@pytest.fixture(params=["system", "user"])
def manager(request: pytest.FixtureRequest, host: Host) -> Manager:
    """The system's manager, then that of an unprivileged user."""
    return host.system if request.param == "system" else host.user
