"""Upstart jobs, unmodified, as services of a real s6 and a real runit: readiness, a stop, what runs around."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import FRONT_DOOR, PATH, ask, script
from tests.support.packages import need
from tests.support.supervised import Supervised, supervised
from tests.support.waiting import until

SUPERVISORS = {"s6-supervise": "s6", "runsv": "runit"}
START = {
    "s6-supervise": ("s6-svc", "-wU", "-T", "20000", "-u"),
    "runsv": ("sv", "-w", "20", "start"),
}
STOP = {"s6-supervise": ("s6-svc", "-wD", "-T", "20000", "-d"), "runsv": ("sv", "-w", "20", "stop")}
AROUND = "pre-start exec echo pre-start >> WRITTEN\npost-stop exec echo post-stop $UPSTART_JOB >> WRITTEN\n"
JOBS = {
    "none": "exec PUPPET",
    "stop": "expect stop\nexec PUPPET",
    "fork": "expect fork\nscript\n  PUPPET &\nend script",
    "daemon": "expect daemon\nscript\n  (setsid PUPPET &) &\nend script",
}


@pytest.fixture(params=SUPERVISORS)
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Supervised]:
    """A service directory that runs the job web.conf in it; down."""
    program = str(request.param)
    need(SUPERVISORS[program])
    with supervised(program, tmp_path / "web") as made:
        (made.folder / "down").touch()
        (made.folder / "notification-fd").write_text("3\n")
        script(made.folder, "check", f"#!/bin/sh\nexec {FRONT_DOOR} check\n")
        script(made.folder, "run", f"#!/bin/sh\nexec 2>>log\nexec {FRONT_DOOR} run {made.folder}/web.conf\n")
        yield made


def job(service: Supervised, text: str) -> None:
    text = text.replace("PUPPET", " ".join(service.puppet)).replace("WRITTEN", str(service.folder / "written"))
    (service.folder / "web.conf").write_text(f"{text}\n")


@pytest.mark.parametrize("expect", JOBS)
def test_a_job_is_ready_as_upstart_has_it_and_stopped(service: Supervised, expect: str) -> None:
    job(service, AROUND + JOBS[expect])
    service.start()
    starting = service.begin(*START[service.program])
    puppet = service.stage.puppet()
    assert puppet.environ["UPSTART_JOB"] == "web"
    if expect == "stop":
        assert starting.poll() is None
        puppet.get_ready()
    assert starting.wait(20) == 0, service.log
    code, said, _ = ask(cwd=service.folder)
    assert (code, f"(PID {puppet.pid})" in said) == (0, True), said
    stopping = service.begin(*STOP[service.program])
    puppet.hear_signal(signal.SIGTERM)
    puppet.tell("exit 0")
    assert stopping.wait(20) == 0
    written = service.folder / "written"
    until(lambda: "post-stop" in written.read_text(), "what comes after it was run")
    assert written.read_text().splitlines() == ["pre-start", "post-stop web"]


def test_a_job_that_is_killed_is_started_anew_by_the_init(service: Supervised) -> None:
    job(service, "respawn\nexpect stop\nexec PUPPET")
    service.start()
    service.begin(*START[service.program])
    puppet = service.stage.puppet()
    puppet.get_ready()
    puppet.tell(f"die {signal.SIGKILL:d}")
    again = service.stage.puppet()
    assert again.pid != puppet.pid
    again.get_ready()


def test_a_command_before_that_fails_is_told_in_the_jobs_words(tmp_path: Path) -> None:
    (tmp_path / "web.conf").write_text(f"exec touch {tmp_path}/not\npre-start exec false\npost-stop exec echo after\n")
    words = [str(FRONT_DOOR), "run", "--init", "none", str(tmp_path / "web.conf")]
    ran = subprocess.run(words, env={"PATH": PATH}, capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stdout) == (1, "after\n"), ran
    assert "web.conf:2: pre-start false: it failed (exit code 1), so the service is not started" in ran.stderr
    assert not (tmp_path / "not").exists()


def test_an_instance_is_named_by_variables(tmp_path: Path) -> None:
    (tmp_path / "web.conf").write_text("instance $TTY-${N}\nenv N=7\nexec env\n")
    words = [str(FRONT_DOOR), "run", "--init", "none", str(tmp_path / "web.conf")]
    ran = subprocess.run(words, env={"PATH": PATH, "TTY": "tty1"}, capture_output=True, text=True, timeout=60)
    assert {"TTY=tty1", "UPSTART_JOB=web", "UPSTART_INSTANCE=tty1-7"} <= set(ran.stdout.splitlines()), ran
    ran = subprocess.run(words, env={"PATH": PATH}, capture_output=True, text=True, timeout=60)
    assert (ran.returncode, "no variable TTY is set" in ran.stderr) == (125, True), ran
