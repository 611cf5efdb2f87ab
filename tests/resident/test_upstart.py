"""Jobs under a real Upstart, whose daemons are handed over to a resident, which is a job as well."""

import subprocess
from collections.abc import Iterator

import pytest

from tests.support.command import ROOT
from tests.support.containers import BRIDGE, FRONT_DOOR
from tests.support.real_upstart import LONGEST_S, Upstart, upstart_booted
from tests.support.waiting import until

# Listens until it was asked.
LISTEN = "import socket; s = socket.socket(socket.AF_UNIX); s.bind('/run/opened'); s.listen(); s.accept()"
CONF = (ROOT / "examples/serve/cross-init-serve.upstart.conf").read_text()


@pytest.fixture(scope="module")
def upstart() -> Iterator[Upstart]:
    with upstart_booted() as booted:
        conf = CONF.replace("/usr/bin/cross-init-bridge", str(BRIDGE)).replace("/usr/bin/cross-init ", f"{FRONT_DOOR} ")
        booted.job("cross-init-serve", conf)
        assert "start/running" in booted.initctl("start", "cross-init-serve")
        yield booted


def test_it_is_told_when_the_daemon_is_ready_and_when_it_ends(upstart: Upstart) -> None:
    redis = "/usr/bin/redis-server --port 7002 --supervised systemd --daemonize no --save ''"
    upstart.job("redis", f"expect stop\nchdir /tmp\nexec {BRIDGE} -t systemd -N --need-resident -- {redis}\n")
    assert "redis start/running" in upstart.initctl("start", "redis")
    pid = upstart.main_pid("redis")
    assert "PONG" in upstart.run("redis-cli", "-p", "7002", "ping").stdout
    assert f" {pid} " in upstart.run(str(FRONT_DOOR), "status", "redis").stdout
    upstart.run("kill", "-KILL", str(pid))
    until(lambda: "redis stop/waiting" in upstart.initctl("status", "redis"), "Upstart sees the crash")


def test_a_start_that_is_cancelled_ends_the_daemon(upstart: Upstart) -> None:
    upstart.job("hangs", f"expect stop\nexec {BRIDGE} -t systemd -N --need-resident -- /bin/sleep 1234\n")
    words = upstart.enter(f"{upstart.prefix}/sbin/initctl", "start", "hangs")
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as start:
        until(lambda: "sleep 1234" in upstart.processes(), "the daemon starts")
        assert "hangs stop/waiting" in upstart.initctl("stop", "hangs")
        start.wait(LONGEST_S)
    until(lambda: "sleep 1234" not in upstart.processes(), "nothing is left")


def test_a_job_that_does_not_wait_is_let_run_on(upstart: Upstart) -> None:
    upstart.job("opened", f"exec {BRIDGE} -t plain --ready-when unix:/run/opened --need-resident -- /bin/sleep 4322\n")
    assert "opened start/running" in upstart.initctl("start", "opened")
    upstart.run("python3", "-c", LISTEN)
    until(lambda: " ready " in upstart.run(str(FRONT_DOOR), "status", "opened").stdout, "it is ready")
    assert "T" not in upstart.run("ps", "-o", "stat=", "-C", "sleep").stdout
