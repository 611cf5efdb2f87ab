"""Daemons for systemd and Upstart as services of a real supervise (daemontools), which waits for nobody."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.packages import need
from tests.support.puppet import Puppet
from tests.support.supervised import Supervised, supervised
from tests.support.waiting import until

ONE_LINE = (
    "cross-init-bridge: telling that the daemon is ready: "
    "daemontools waits for no daemon to be ready; it goes to syslog\n"
)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Supervised]:
    """A service directory for supervise."""
    need("daemontools")
    with supervised("supervise", tmp_path / "web") as made:
        yield made


def is_up(service: Supervised, puppet: Puppet) -> bool:
    return service.tell("svstat")[1].startswith(f"{service.folder}: up (pid {puppet.pid}) ")


def test_the_daemon_runs_and_one_line_says_that_nobody_waits_for_it(service: Supervised) -> None:
    service.write_run("-t", "systemd", "-N", before="exec")
    service.start()
    puppet = service.stage.puppet()
    assert puppet.hello["parent"] == service.pid
    assert is_up(service, puppet)
    assert service.tell("svok")[0] == 0
    assert service.log == ONE_LINE
    puppet.tell("notify STATUS=at work\nREADY=1")
    puppet.hear("notified")
    # Where there is a syslog it goes there; where there is none, to standard error.
    until(lambda: Path("/dev/log").exists() or f"web[{puppet.pid}]: ready after " in service.log, "the log is told")
    assert Path("/dev/log").exists() or f"web[{puppet.pid}]: status: at work" in service.log


def test_without_readiness_there_is_nothing_to_say(service: Supervised) -> None:
    service.write_run("-t", "systemd", before="exec")
    service.start()
    assert is_up(service, service.stage.puppet())
    assert service.log == ""


def test_stop_and_a_crash(service: Supervised) -> None:
    service.write_run("-t", "systemd", "-N", before="exec")
    service.start()
    puppet = service.stage.puppet()
    puppet.tell(f"die {signal.SIGKILL}")
    second = service.stage.puppet()
    assert second.pid != puppet.pid
    until(lambda: is_up(service, second), "supervise shows the second")
    assert service.tell("svc", "-d")[0] == 0
    second.hear_signal(signal.SIGTERM)
    second.tell("exit 0")
    until(lambda: ": down " in service.tell("svstat")[1], "supervise sees its end")
    service.bury()


def test_a_daemon_for_upstart_is_continued_although_nobody_is_told(service: Supervised) -> None:
    service.write_run("-t", "upstart", "-N", before="exec")
    service.start()
    puppet = service.stage.puppet()
    assert puppet.environ["UPSTART_JOB"] == "web"
    puppet.get_ready()
    assert service.log.startswith(ONE_LINE)
    service.tell("svc", "-d")
    puppet.hear_signal(signal.SIGTERM)
    puppet.tell("exit 0")
    until(lambda: ": down " in service.tell("svstat")[1], "supervise sees its end")


def test_it_is_explained(service: Supervised) -> None:
    service.write_run("-t", "systemd", "-N", "--explain", before="exec >explained")
    service.start()
    explained = service.folder / "explained"
    until(lambda: explained.exists() and explained.read_text() != "", "it explains")
    said = explained.read_text().splitlines()
    assert said[0] == f"init        daemontools, because the parent process {service.pid} is supervise"
    assert said[1] == "service     web"
    assert "gets lost   readiness: daemontools waits for no daemon to be ready; it goes to syslog" in said
