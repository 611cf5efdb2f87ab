"""Jobs under a real Upstart, where CROSS_INIT_TEST_UPSTART names the prefix that it is in."""

import subprocess
from collections.abc import Iterator

import pytest

from tests.support.containers import BRIDGE
from tests.support.packages import need
from tests.support.real_upstart import LONGEST_S, Upstart, upstart_booted
from tests.support.waiting import until


@pytest.fixture(scope="module")
def upstart() -> Iterator[Upstart]:
    with upstart_booted() as booted:
        yield booted


def test_redis_for_systemd_is_started_stopped_restarted_and_missed(upstart: Upstart) -> None:
    need("redis-server")
    redis = "/usr/bin/redis-server --port 7002 --supervised systemd --daemonize no --save ''"
    upstart.job("redis", f"expect stop\nchdir /tmp\nexec {BRIDGE} -t systemd -N -- {redis}\n")
    assert "redis start/running" in upstart.initctl("start", "redis")
    pid = upstart.main_pid("redis")
    assert "PONG" in upstart.run("redis-cli", "-p", "7002", "ping").stdout
    assert f"process_id:{pid}" in upstart.run("redis-cli", "-p", "7002", "info", "server").stdout
    assert "redis start/running" in upstart.initctl("restart", "redis")
    pid = upstart.main_pid("redis")
    upstart.run("kill", "-KILL", str(pid))
    until(lambda: "redis stop/waiting" in upstart.initctl("status", "redis"), "Upstart sees the crash")
    assert "redis start/running" in upstart.initctl("start", "redis")
    assert "redis stop/waiting" in upstart.initctl("stop", "redis")
    until(lambda: "cross-init-bridge" not in upstart.processes(), "the watcher goes")
    assert list((upstart.root / "run/cross-init").iterdir()) == []


def test_a_start_that_is_cancelled_ends_the_daemon(upstart: Upstart) -> None:
    upstart.job("hang", f"expect stop\nexec {BRIDGE} -t systemd -N -- /bin/sleep 1234\n")
    words = upstart.enter(f"{upstart.prefix}/sbin/initctl", "start", "hang")
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as start:
        until(lambda: "sleep 1234" in upstart.processes(), "the daemon starts")
        assert "hang stop/waiting" in upstart.initctl("stop", "hang")
        start.wait(LONGEST_S)
    until(lambda: "sleep 1234" not in upstart.processes(), "nothing is left")
    until(lambda: "cross-init-bridge" not in upstart.processes(), "the watcher goes")


def test_a_daemon_that_ends_before_it_is_ready_fails_the_start(upstart: Upstart) -> None:
    upstart.job("fails", f"expect stop\nexec {BRIDGE} -t systemd -N -- /bin/sh -c 'exit 7'\n")
    assert "Job failed to start" in upstart.initctl("start", "fails")


def test_a_shell_on_an_upstart_machine_is_no_job(upstart: Upstart) -> None:
    ran = upstart.run(BRIDGE, "-t", "systemd", "--", "/bin/true")
    assert ran.returncode == 125
    assert "UPSTART_JOB is not set" in ran.stderr


@pytest.mark.parametrize(("family", "host"), [("inet", "127.0.0.1"), ("inet6", "::1")])
def test_a_client_starts_the_job_and_is_served(upstart: Upstart, family: str, host: str) -> None:
    if "socket-bridge" not in upstart.processes():
        bridge = f"{upstart.prefix}/sbin/upstart-socket-bridge"
        upstart.job("bridge", f"exec {bridge}\n")
        assert "start/running" in upstart.initctl("start", "bridge")
    port = {"inet": 7701, "inet6": 7702}[family]
    daemon = (
        "import os, socket; s = socket.socket(fileno=3); c, _ = s.accept(); "
        "c.sendall(('%s %s' % (os.environ['LISTEN_FDS'], os.environ['LISTEN_PID'] == str(os.getpid()))).encode())"
    )
    (upstart.root / f"run/{family}.py").write_text(daemon)
    on = f"start on socket PROTO={family} PORT={port} ADDR={host}"
    upstart.job(f"on-{family}", f"{on}\nexec {BRIDGE} -t systemd -- /usr/bin/python3 /run/{family}.py\n")
    client = f"import socket; c = socket.create_connection(({host!r}, {port}), 10); print(c.recv(100).decode())"
    until(lambda: f":{port} " in upstart.run("ss", "-Hltn").stdout, "the socket bridge listens")
    assert upstart.run("/usr/bin/python3", "-c", client).stdout == "1 True\n"
