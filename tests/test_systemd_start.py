"""A daemon for Upstart as a Type=notify service of a real systemd: readiness, and who is the main process."""

import signal

from tests.support.systemd import Manager, Unit

NOTIFY = "Type=notify\nExecStart=BRIDGE -t upstart -N -- "
REDIS = "/usr/bin/redis-server --supervised upstart --save '' --port 0 --unixsocket /run/redis-test.sock"
# What a manager says of a main process or a message that it does not take as it should.
WARNINGS = (
    "not our child",
    "alien",
    "Cannot find",
    "refusing",
    "Refusing",
    "Got notification",
    "not belong",
    "left-over",
)


def has_no_warning(unit: Unit) -> None:
    """The manager found nothing strange, and we said nothing."""
    strange = [line for line in unit.journal() if any(warning in line for warning in WARNINGS)]
    assert strange == []
    assert unit.ours() == []


def test_redis_becomes_the_main_process_and_nothing_of_ours_stays(system: Manager) -> None:
    with system.unit(f"{NOTIFY}{REDIS}") as unit:
        unit.start()
        unit.shows(ActiveState="active", SubState="running", NotifyAccess="main")
        pid = unit.main_pid
        assert unit.processes()[pid].startswith("/usr/bin/redis-server")
        unit.has_only(pid)
        system.systemctl("restart", unit.name)
        assert unit.main_pid != pid
        unit.has_only(unit.main_pid)
        unit.stop()
        unit.shows(ActiveState="inactive", Result="success")
        assert unit.processes() == {}
        has_no_warning(unit)


def test_the_start_is_not_over_before_the_daemon_stops_itself(manager: Manager) -> None:
    with manager.unit(f"{NOTIFY}PUPPET") as unit:
        start = unit.begin("start")
        puppet = unit.stage.puppet()
        unit.shows(ActiveState="activating", SubState="start", NotifyAccess="main")
        assert unit.main_pid != puppet.pid
        assert not start.has_ended
        puppet.get_ready()
        assert start.ends() == 0
        unit.shows(ActiveState="active", MainPID=str(puppet.pid))
        unit.has_only(puppet.pid)
        has_no_warning(unit)


def test_a_killed_daemon_is_noticed(system: Manager) -> None:
    with system.unit(f"{NOTIFY}PUPPET") as unit:
        run = unit.begin("start", "--wait")
        unit.stage.puppet().get_ready()
        unit.kill(signal.SIGKILL)
        run.ends()
        unit.shows(ActiveState="failed", Result="signal", ExecMainCode="2", ExecMainStatus="9")
        has_no_warning(unit)
