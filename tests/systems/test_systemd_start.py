"""A daemon for Upstart as a Type=notify service of a real systemd: readiness, and who is the main process."""

import signal

import pytest

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


def has_no_warning(unit: Unit, early_end: str = "") -> None:
    """The manager found nothing strange, and we said nothing. early_end: but how it ended before it was ready.

    Of a process that has ended at once the journal does not always know whose line it was.
    """
    strange = [line for line in unit.journal() if any(warning in line for warning in WARNINGS)]
    assert strange == []
    said = unit.ours()
    assert len(said) <= bool(early_end)
    for line in said:
        assert f" ended ({early_end}) while it still waited for the daemon to stop itself" in line


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
        unit.has_only()
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


def test_a_daemon_that_stops_itself_at_once_is_heard(manager: Manager) -> None:
    with manager.unit(f"{NOTIFY}/bin/sh -c 'kill -STOP $$$$; exec sleep infinity'") as unit:
        for _ in range(5):
            assert unit.begin("start").ends() == 0
            unit.has_only(unit.main_pid)
            unit.stop()


def test_a_killed_daemon_is_noticed(system: Manager) -> None:
    with system.unit(f"{NOTIFY}PUPPET") as unit:
        run = unit.begin("start", "--wait")
        unit.stage.puppet().get_ready()
        unit.kill(signal.SIGKILL)
        run.ends()
        unit.shows(ActiveState="failed", Result="signal", ExecMainCode="2", ExecMainStatus="9")
        has_no_warning(unit)


def test_a_daemon_that_ends_before_it_is_ready_fails_the_start_with_its_own_exit_code(system: Manager) -> None:
    with system.unit(f"{NOTIFY}PUPPET") as unit:
        start = unit.begin("start")
        unit.stage.puppet().tell("exit 7")
        assert start.ends() == 1
        unit.shows(ActiveState="failed", Result="exit-code", ExecMainCode="1", ExecMainStatus="7")
        has_no_warning(unit, "exit code 7")


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL, signal.SIGALRM])
def test_a_daemon_that_dies_of_a_signal_before_it_is_ready_fails_the_start_with_that_signal(
    system: Manager, number: signal.Signals
) -> None:
    with system.unit(f"{NOTIFY}PUPPET\nLimitCORE=infinity\nWorkingDirectory=/run") as unit:
        start = unit.begin("start")
        puppet = unit.stage.puppet()
        bridge = unit.main_pid
        puppet.tell(f"die {int(number)}")
        assert start.ends() == 1
        # 2: killed, without a core, though that is allowed here: the main process was still the bridge.
        unit.shows(ActiveState="failed", Result="signal", ExecMainCode="2", ExecMainStatus=str(int(number)))
        unit.shows(ExecMainPID=str(bridge))
        unit.has_only()
        has_no_warning(unit, number.name)


@pytest.mark.parametrize("mode", ["control-group", "mixed", "process"])
def test_a_cancelled_start_ends_the_daemon_with_one_sigterm(manager: Manager, mode: str) -> None:
    with manager.unit(f"{NOTIFY}PUPPET\nKillMode={mode}") as unit:
        start = unit.begin("start")
        puppet = unit.stage.puppet()
        stop = unit.begin("stop")
        puppet.hear_signal(signal.SIGTERM)
        assert not stop.has_ended
        puppet.tell("exit 0")
        assert puppet.last_words() == []
        assert stop.ends() == 0
        assert start.ends() != 0
        unit.shows(ActiveState="inactive", Result="success")
        unit.has_only()
        has_no_warning(unit, "exit code 0")


def test_a_stop_after_readiness_gives_the_daemon_one_sigterm(system: Manager) -> None:
    with system.unit(f"{NOTIFY}PUPPET") as unit:
        start = unit.begin("start")
        puppet = unit.stage.puppet()
        puppet.get_ready()
        assert start.ends() == 0
        stop = unit.begin("stop")
        puppet.hear_signal(signal.SIGTERM)
        puppet.tell("exit 0")
        assert puppet.last_words() == []
        assert stop.ends() == 0
        unit.shows(ActiveState="inactive", Result="success")


def test_signals_to_the_bridge_reach_the_daemon_while_it_starts(system: Manager) -> None:
    with system.unit(f"{NOTIFY}PUPPET") as unit:
        start = unit.begin("start")
        puppet = unit.stage.puppet()
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT):
            unit.kill(number)
            puppet.hear_signal(number)
        puppet.get_ready()
        assert start.ends() == 0


def test_nothing_is_left_of_a_start_whose_bridge_is_killed(system: Manager) -> None:
    with system.unit(f"{NOTIFY}PUPPET\nKillMode=process") as unit:
        start = unit.begin("start")
        puppet = unit.stage.puppet()
        unit.kill(signal.SIGKILL)
        assert start.ends() == 1
        assert puppet.last_words() == []
        unit.has_only()
        unit.shows(ActiveState="failed", Result="signal", ExecMainStatus="9")


@pytest.mark.parametrize("mode", ["control-group", "process"])
def test_nothing_is_left_of_a_start_that_takes_too_long(system: Manager, mode: str) -> None:
    with system.unit(f"{NOTIFY}PUPPET\nTimeoutStartSec=1\nTimeoutStopSec=1\nKillMode={mode}") as unit:
        start = unit.begin("start")
        puppet = unit.stage.puppet()
        assert start.ends() == 1
        assert [each["number"] for each in puppet.last_words()] == [signal.SIGTERM]
        unit.has_only()
        unit.shows(ActiveState="failed", Result="timeout")
