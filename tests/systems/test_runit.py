"""Daemons for systemd and Upstart as services of a real runsv, and what a real sv is told of them."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import FRONT_DOOR, ask, script
from tests.support.own import open_to_others
from tests.support.packages import need
from tests.support.processes import kill
from tests.support.puppet import Puppet
from tests.support.supervised import Supervised, supervised
from tests.support.waiting import becomes, until


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Supervised]:
    """A service directory for runsv, down, with a ./check that notes that it was asked."""
    need("runit")
    with supervised("runsv", tmp_path / "web") as made:
        (made.folder / "down").touch()
        script(made.folder, "check", f"#!/bin/sh\necho >>asked\nexec {FRONT_DOOR} check\n")
        made.write_run("-t", "systemd", "-N", before="exec")
        yield made


def get_ready(puppet: Puppet) -> None:
    puppet.tell("notify READY=1")
    puppet.hear("notified")


def was_asked(service: Supervised) -> None:
    """Return when sv has asked once more."""
    asked = service.folder / "asked"
    before = asked.stat().st_size if asked.exists() else 0
    until(lambda: asked.exists() and asked.stat().st_size > before, "sv runs ./check")


def test_sv_start_returns_when_the_daemon_says_ready_and_not_before(service: Supervised) -> None:
    service.start()
    starting = service.begin("sv", "-w", "15", "start")
    puppet = service.stage.puppet()
    becomes((service.folder / "supervise/pid").read_text, f"{puppet.pid}\n")
    assert puppet.hello["parent"] == service.pid
    was_asked(service)
    was_asked(service)
    assert starting.poll() is None
    assert ask(cwd=service.folder)[1].startswith("starting since ")
    get_ready(puppet)
    assert starting.wait(15) == 0
    assert starting.communicate()[0].startswith(f"ok: run: {service.folder}: (pid {puppet.pid})")
    assert ask(cwd=service.folder) == (0, f"ready (PID {puppet.pid})\n", "")
    assert service.log == ""


def test_sv_start_gives_up_on_a_daemon_that_does_not_get_ready(service: Supervised) -> None:
    service.start()
    starting = service.begin("sv", "-w", "1", "start")
    puppet = service.stage.puppet()
    out, err = starting.communicate(timeout=15)
    assert starting.returncode == 1
    assert out.startswith(f"timeout: run: {service.folder}: (pid {puppet.pid})")
    assert err == "", "what ./check says comes several times a second"


def test_stop_and_start_again(service: Supervised) -> None:
    service.start()
    service.tell("sv", "up")
    puppet = service.stage.puppet()
    get_ready(puppet)
    assert service.tell("sv", "-w", "15", "check")[0] == 0
    stopping = service.begin("sv", "-w", "15", "stop")
    puppet.hear_signal(signal.SIGTERM)
    puppet.tell("exit 0")
    assert stopping.wait(15) == 0
    assert ask(cwd=service.folder)[:2] == (1, f"not running: process {puppet.pid}, which was ready, has ended\n")
    starting = service.begin("sv", "-w", "15", "start")
    second = service.stage.puppet()
    was_asked(service)
    assert starting.poll() is None, "the state of the last daemon is not this one's"
    get_ready(second)
    assert starting.wait(15) == 0


def test_a_crash_is_seen_and_the_next_daemon_has_to_get_ready_itself(service: Supervised) -> None:
    service.start()
    service.tell("sv", "up")
    puppet = service.stage.puppet()
    get_ready(puppet)
    assert service.tell("sv", "-w", "15", "check")[0] == 0
    puppet.tell(f"die {signal.SIGKILL}")
    second = service.stage.puppet()
    assert second.pid != puppet.pid
    assert ask(cwd=service.folder)[0] == 1
    get_ready(second)
    until(lambda: ask(cwd=service.folder)[0] == 0, "the second one is ready")


def test_restart(service: Supervised) -> None:
    service.start()
    service.tell("sv", "up")
    puppet = service.stage.puppet()
    get_ready(puppet)
    assert service.tell("sv", "-w", "15", "check")[0] == 0
    # In the second in which it was started, sv takes the old process, still ready, for the new one.
    begun = (service.folder / "supervise/status").stat().st_mtime
    until(lambda: int(time.time()) > int(begun), "the next second")
    restarting = service.begin("sv", "-w", "15", "restart")
    puppet.hear_signal(signal.SIGTERM)
    puppet.tell("exit 0")
    second = service.stage.puppet()
    was_asked(service)
    assert restarting.poll() is None
    get_ready(second)
    assert restarting.wait(15) == 0


def test_the_state_is_true_although_the_watcher_was_killed(service: Supervised) -> None:
    service.start()
    service.tell("sv", "up")
    puppet = service.stage.puppet()
    until(lambda: ask(cwd=service.folder)[1].startswith("starting since"), "the watcher has noted the start")
    watcher = service.watcher()
    kill(watcher)
    puppet.hear_signal(signal.SIGTERM)  # nobody would hear that it is ready, so it is to be started anew
    puppet.tell("exit 1")
    second = service.stage.puppet()
    get_ready(second)
    assert service.tell("sv", "-w", "15", "check")[0] == 0
    watcher = service.watcher()
    kill(watcher)
    assert ask(cwd=service.folder)[0] == 0
    service.tell("sv", "down")
    second.tell(f"die {signal.SIGKILL}")
    second.last_words()
    until(lambda: ask(cwd=service.folder)[1].startswith("not running"), "it has ended")


def test_no_process_of_ours_is_needed_once_it_is_ready(service: Supervised) -> None:
    service.write_run("-t", "systemd", "-N", "--end-after-ready", before="exec")
    service.start()
    service.tell("sv", "up")
    get_ready(service.stage.puppet())
    assert service.tell("sv", "-w", "15", "check")[0] == 0
    service.bury()
    assert ask(cwd=service.folder)[0] == 0


def test_a_daemon_for_upstart_is_a_child_of_the_supervised_process(service: Supervised) -> None:
    service.write_run("-t", "upstart", "-N", before="exec")
    service.start()
    starting = service.begin("sv", "-w", "15", "start")
    puppet = service.stage.puppet()
    assert (service.folder / "supervise/pid").read_text() == f"{puppet.hello['parent']}\n"
    assert puppet.environ["UPSTART_JOB"] == "web"
    puppet.get_ready()
    assert starting.wait(15) == 0
    assert ask(cwd=service.folder)[1] == f"ready (PID {puppet.pid})\n"
    stopping = service.begin("sv", "-w", "15", "stop")
    puppet.hear_signal(signal.SIGTERM)
    puppet.tell("exit 0")
    assert stopping.wait(15) == 0
    assert ask(cwd=service.folder)[0] == 1


@pytest.mark.parametrize("mode", [None, 0o644])
def test_without_a_check_that_can_be_run_it_is_refused(service: Supervised, mode: int | None) -> None:
    (service.folder / "check").unlink()
    if mode is not None:
        script(service.folder, "check", f"#!/bin/sh\nexec {FRONT_DOOR} check\n", mode)
    service.start()
    service.tell("sv", "once")
    until(lambda: "\n" in service.log, "the bridge complains")
    line = service.log
    assert line.startswith("cross-init-bridge: telling runit that the daemon is ready: there is no executable ")
    # The line says what to do; done to the letter, but for where the command is, it works.
    advice = line.rpartition("wait: ")[2].replace("exec cross-init", f"exec {FRONT_DOOR}")
    assert os.system(advice) == 0
    starting = service.begin("sv", "-w", "15", "start")
    get_ready(service.stage.puppet())
    assert starting.wait(15) == 0


def test_without_readiness_no_check_is_needed(service: Supervised) -> None:
    (service.folder / "check").unlink()
    service.write_run("-t", "systemd", before="exec")
    service.start()
    assert service.tell("sv", "-w", "15", "start")[0] == 0
    service.stage.puppet()
    assert service.log == ""


def test_a_run_script_may_leave_the_service_directory(service: Supervised) -> None:
    service.write_run("-t", "systemd", "-N", before="cd /; exec")
    service.start()
    starting = service.begin("sv", "-w", "15", "start")
    get_ready(service.stage.puppet())
    assert starting.wait(15) == 0


def test_supervise_may_be_a_link_to_where_one_can_write(service: Supervised, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (service.folder / "supervise").symlink_to(tmp_path / "elsewhere")
    service.start()
    starting = service.begin("sv", "-w", "15", "start")
    get_ready(service.stage.puppet())
    assert starting.wait(15) == 0
    assert (tmp_path / "elsewhere/cross-init").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to change users")
def test_the_user_is_changed_behind_the_bridge(service: Supervised, tmp_path: Path) -> None:
    open_to_others(service.folder)
    service.write_run("-t", "systemd", "-N", before="exec chpst -u nobody")
    service.start()
    service.tell("sv", "once")
    until(lambda: "\n" in service.log, "the bridge complains")
    assert "-- chpst -u USER" in service.log
    service.write_run("-t", "systemd", "-N", before="exec", command=("chpst", "-u", "nobody", *service.puppet))
    starting = service.begin("sv", "-w", "15", "start")
    puppet = service.stage.puppet()
    assert puppet.hello["status"]["Uid"].split()[0] != "0"
    get_ready(puppet)
    assert starting.wait(15) == 0


def test_what_would_happen_is_explained_without_a_trace(service: Supervised) -> None:
    service.write_run("-t", "systemd", "-N", "--explain", before="exec >explained")
    service.start()
    service.tell("sv", "once")
    explained = service.folder / "explained"
    until(lambda: explained.exists() and explained.read_text() != "", "it explains")
    said = explained.read_text().splitlines()
    assert said[0] == f"init        runit, because the parent process {service.pid} is runsv"
    assert said[1] == "service     web"
    assert any("becomes the answer of cross-init check" in line for line in said)
    assert not (service.folder / "supervise/cross-init").exists()
