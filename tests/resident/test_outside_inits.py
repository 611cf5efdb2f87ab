"""The same under inits that are no supervisors of one service each: what each of them allows from outside."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cross_init.detect import INITS, init_named
from cross_init.model import Init
from tests.support.containers import FRONT_DOOR as FRONT_DOOR_INSIDE
from tests.support.dinit import prefix
from tests.support.outside import ALONE, NOTIFY, opened, puppet_line, resident_says
from tests.support.packages import need
from tests.support.private_run import Ended
from tests.support.real_upstart import LONGEST_S, Upstart, upstart_booted
from tests.support.resident import Machine, machine
from tests.support.roots import PUPPET, rooted
from tests.support.trees import tree
from tests.support.waiting import until

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "resident.md"
REDIS = "/usr/bin/redis-server --port 0 --unixsocket /tmp/redis.sock --supervised systemd --daemonize no --save ''"


def test_every_init_has_its_row_in_the_table_of_what_it_allows() -> None:
    table = DOCUMENT.read_text().partition("| init | is told by ")[2].partition("\n\n")[0]
    rows = [line.strip("|").split(" | ") for line in table.splitlines()[2:]]
    assert sorted(row[0].strip() for row in rows) == sorted(set(INITS) - {"none"})
    for row in rows:
        may_be_told = init_named(row[0].strip()).reach.__func__ is not Init.reach  # type: ignore[attr-defined]
        assert (row[-1].strip() == "yes") == (may_be_told and row[0].strip() != "systemd")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Machine]:
    with machine(tmp_path) as made:
        made.serve()
        yield made


class Dinit:
    """One on this machine."""

    def __init__(self, machine: Machine, **services: str) -> None:
        self.machine = machine
        self.sbin = prefix() / "sbin"
        self.folder = machine.folder / "services"
        self.folder.mkdir()
        (self.folder / "boot").write_text("type = internal\n")
        (self.folder / "env").write_text(f"NOTIFY_SOCKET={NOTIFY}\n")
        for name, text in services.items():
            (self.folder / name).write_text(f"type = process\nenv-file = {self.folder}/env\n{text}")
        self.control = machine.folder / "control"
        machine.spawn(str(self.sbin / "dinit"), "--user", "-q", "-d", str(self.folder), "-p", str(self.control))
        until(lambda: self.ask("list").code == 0, "dinit is up")

    def begin(self, *words: str) -> "subprocess.Popen[bytes]":
        return self.machine.spawn(str(self.sbin / "dinitctl"), "-p", str(self.control), *words)

    def ask(self, *words: str) -> Ended:
        return self.machine.private.run(str(self.sbin / "dinitctl"), "-p", str(self.control), *words)

    def state(self, name: str) -> str:
        said = self.ask("status", name).out
        return next((line.split()[1] for line in said.splitlines() if line.strip().startswith("State:")), said)


@pytest.mark.parametrize("named", [True, False])
def test_dinit_hears_that_the_daemon_is_ready(here: Machine, named: bool) -> None:
    stage = opened(here, "web")
    command = puppet_line(here, "web").removeprefix("exec ")
    options = "load-options = export-service-name\n" if named else ""
    dinit = Dinit(here, web=f"command = {command}\nready-notification = pipefd:4\n{options}")
    started = dinit.begin("start", "web")
    puppet = stage.puppet()
    puppet.send(repr(b"STATUS=nearly there"))
    assert dinit.state("web") == "STARTING"
    assert ("web" if named else "python3") in here.status()
    puppet.send(repr(b"READY=1"))
    assert started.wait(LONGEST_S) == 0
    assert dinit.state("web") == "STARTED"
    until(lambda: here.ours() == ALONE, "who took off what came with descriptors has gone")


def test_a_service_that_dinit_does_not_wait_for_is_said_to_be_ready_in_the_log(here: Machine) -> None:
    stage = opened(here, "web")
    dinit = Dinit(here, web=f"command = {puppet_line(here, 'web').removeprefix('exec ')}\n")
    dinit.begin("start", "web")
    stage.puppet().send(repr(b"READY=1"))
    resident_says(here, "dinit is not told: it does not wait for that")
    assert " ready " in here.status()


@pytest.fixture(scope="module")
def upstart() -> Iterator[Upstart]:
    """One that has booted, with a resident as a job of its own."""
    need("redis-server")
    with upstart_booted() as booted:
        booted.job("resident", f"exec sh -c 'exec {FRONT_DOOR_INSIDE} serve 2>>/run/said'\n")
        booted.initctl("start", "resident")
        until(lambda: (booted.root / NOTIFY.lstrip("/")).exists(), "the resident listens")
        yield booted


def test_upstart_sees_the_daemon_stop_when_it_is_ready(upstart: Upstart) -> None:
    upstart.job("redis", f"expect stop\nenv NOTIFY_SOCKET={NOTIFY}\nexec {REDIS}\n")
    assert "redis start/running" in upstart.initctl("start", "redis")
    pid = upstart.main_pid("redis")
    assert f"process_id:{pid}" in upstart.run("redis-cli", "-s", "/tmp/redis.sock", "info", "server").stdout
    assert " ready " in upstart.run(FRONT_DOOR_INSIDE, "status", "redis").stdout
    assert "redis start/running" in upstart.initctl("restart", "redis")
    assert "PONG" in upstart.run("redis-cli", "-s", "/tmp/redis.sock", "ping").stdout
    assert "redis stop/waiting" in upstart.initctl("stop", "redis")
    assert "cross-init-bridge" not in upstart.processes()


def test_a_job_that_does_not_wait_is_not_stopped(upstart: Upstart) -> None:
    upstart.job("eager", f"env NOTIFY_SOCKET={NOTIFY}\nexec {REDIS.replace('redis.sock', 'eager.sock')}\n")
    assert "eager start/running" in upstart.initctl("start", "eager")
    until(lambda: " ready " in upstart.run(FRONT_DOOR_INSIDE, "status", "eager").stdout, "it is ready")
    assert "PONG" in upstart.run("redis-cli", "-s", "/tmp/eager.sock", "ping").stdout
    upstart.initctl("stop", "eager")


def test_a_child_that_has_the_jobs_variables_does_not_speak_for_it(upstart: Upstart) -> None:
    say = f"import socket; socket.socket(1, 2).sendto(b'READY=1', '{NOTIFY}'); import time; time.sleep(1234)"
    upstart.job(
        "child", f'expect stop\nscript\n  (setsid /usr/bin/python3 -ISc "{say}" &)\n  exec sleep 1234\nend script\n'
    )
    words = upstart.enter(f"{upstart.prefix}/sbin/initctl", "start", "child")
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as start:
        try:
            until(lambda: "tracks another process for the job child" in log_of(upstart), "the orphan is seen")
            assert "child start/spawned" in upstart.initctl("status", "child")
            assert " child " not in upstart.run(FRONT_DOOR_INSIDE, "status").stdout
        finally:
            upstart.run("kill", "-STOP", str(upstart.main_pid("child")))  # the job would be stuck for good
        start.wait(LONGEST_S)
    upstart.initctl("stop", "child")


# A daemon that shows something else where its variables were, as those do that set their title.
CLOBBER = f"""
import ctypes, os, socket, time
stat = open("/proc/self/stat").read().rpartition(")")[2].split()
start, end = int(stat[47]), int(stat[48])
ctypes.memset(start, 0, end - start)
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"READY=1", "{NOTIFY}")
time.sleep(1234)
"""


def test_a_job_is_known_by_its_process_where_its_variables_are_gone(upstart: Upstart) -> None:
    (upstart.root / "run/clobber").write_text(CLOBBER)
    upstart.job("gone", "expect stop\ninstance $WHICH\nexec /usr/bin/python3 -IS /run/clobber\n")
    assert "start/running" in upstart.initctl("start", "gone", "WHICH=a/b")
    assert "gone/a/b " in upstart.run(FRONT_DOOR_INSIDE, "status").stdout
    upstart.initctl("stop", "gone", "WHICH=a/b")


def log_of(upstart: Upstart) -> str:
    """What the resident has said."""
    return (upstart.root / "run/said").read_text()


STANZAS = f"""runlevel 2
service [2] name:resident {FRONT_DOOR_INSIDE} serve -- the resident
service [2] notify:s6 name:web /usr/bin/env NOTIFY_SOCKET={NOTIFY} /bin/sh /etc/web %n -- the daemon
"""
# Once the resident listens: what else may begin first is none of this test's.
WEB = f"#!/bin/sh\nuntil [ -S {NOTIFY} ]; do sleep 0.1; done\nexec {PUPPET}\n"


def test_finit_hears_it_by_the_pipe_that_it_made(tmp_path: Path) -> None:
    files = {"/etc/finit.conf": STANZAS, "/etc/web": WEB, "/etc/init.d/redis-server": "#!/bin/sh\n"}
    with rooted(tree("sid-inits"), ("/sbin/finit",), files) as root:
        puppet = root.stage.puppet()

        def is_ready() -> bool:
            return root.run("initctl", "cond", "get", "service/web/ready", check=False).returncode == 0

        puppet.send(repr(b"STATUS=nearly there"))
        assert not is_ready()
        puppet.send(repr(b"READY=1"))
        until(is_ready, "Finit hears that it is ready")
        assert puppet.hello["parent"] == 1
        assert " finit " in root.run(FRONT_DOOR_INSIDE, "status").stdout


SCRIPT = f"""#!/sbin/openrc-run
command=/usr/bin/env
command_args="NOTIFY_SOCKET={NOTIFY} {PUPPET}"
pidfile=/run/web.pid
"""
RESIDENT = (
    f"#!/sbin/openrc-run\ncommand={FRONT_DOOR_INSIDE}\ncommand_args=serve\ncommand_background=yes\npidfile=/run/r.pid\n"
)
WAYS = {
    "start-stop-daemon": "command_background=yes\nnotify=fd:3\n",
    "supervise-daemon": "supervisor=supervise-daemon\nnotify=fd:3\n",
}


@pytest.mark.parametrize("way", WAYS)
def test_openrc_hears_it_by_the_pipe_that_it_made(way: str) -> None:
    files = {
        "/etc/init.d/redis-server": "#!/sbin/openrc-run\n",
        "/etc/init.d/resident": RESIDENT,
        "/etc/runlevels/default/resident": RESIDENT,
        "/etc/init.d/web": SCRIPT + WAYS[way],
    }
    with rooted(tree("sid-inits"), ("/sbin/openrc-init",), files) as root:
        until(lambda: root.exists(NOTIFY), "the resident listens", 30)
        started = subprocess.Popen(
            root.enter("rc-service", "web", "start"), env=root.environment(0), stdin=subprocess.DEVNULL
        )
        try:
            puppet = root.stage.puppet()
            puppet.send(repr(b"STATUS=nearly there"))
            assert started.poll() is None
            puppet.send(repr(b"READY=1"))
            assert started.wait(LONGEST_S) == 0
            assert " openrc " in root.run(FRONT_DOOR_INSIDE, "status").stdout
        finally:
            started.kill()
            started.wait()
