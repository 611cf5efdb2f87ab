"""What test_upstart.py expects of jobs under its stand-in, seen under a real Upstart."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.containers import BRIDGE, INSIDE
from tests.support.puppet import Puppet, Stage, stage
from tests.support.real_upstart import LONGEST_S, Upstart, upstart_booted
from tests.support.waiting import until

PUPPET = f"/usr/bin/python3 -IS {INSIDE}/tests/daemons/puppet.py /run/stage"


class Show:
    """A real Upstart, and a stage for the daemons of its jobs."""

    def __init__(self, upstart: Upstart, where: Stage) -> None:
        self.upstart = upstart
        self.stage = where

    def job(self, name: str, options: str = "-t systemd -N", *stanzas: str, expect: str = "expect stop") -> None:
        """A job whose daemon is a puppet; not started."""
        lines = (*stanzas, expect, f"exec {BRIDGE} {options} -- {PUPPET} 2>> /run/said-{name}")
        self.upstart.job(name, "\n".join(lines) + "\n")

    @contextmanager
    def starting(self, *words: str) -> Iterator[tuple["subprocess.Popen[str]", Puppet]]:
        """initctl start with these words, while it waits, and the puppet."""
        command = self.upstart.enter(f"{self.upstart.prefix}/sbin/initctl", "start", *words)
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdout=pipe, stderr=subprocess.STDOUT, text=True) as start:
            try:
                yield start, self.stage.puppet()
            finally:
                start.kill()

    def status(self, *words: str) -> str:
        return self.upstart.initctl("status", *words)

    def said(self, name: str) -> str:
        """What the job has said on standard error."""
        return (self.upstart.root / f"run/said-{name}").read_text()

    def left(self) -> list[Path]:
        """What is there of notification sockets, and of files that tell of a watcher."""
        return list((self.upstart.root / "run/cross-init").iterdir())

    def watchers(self) -> list[int]:
        """Processes of ours."""
        lines = self.upstart.run("ps", "-eo", "pid,args").stdout.splitlines()
        return [int(line.split()[0]) for line in lines if BRIDGE in line]

    def nothing_is_left(self) -> None:
        until(lambda: self.watchers() == [], "the watcher goes")
        assert self.left() == []


@pytest.fixture(scope="module")
def booted() -> Iterator[Upstart]:
    with upstart_booted() as upstart:
        (upstart.root / "run").chmod(0o755)
        yield upstart


@pytest.fixture
def show(booted: Upstart) -> Iterator[Show]:
    with stage(booted.root / "run/stage") as where:
        yield Show(booted, where)


def say(puppet: Puppet, text: str) -> None:
    puppet.tell(f"notify {text}")
    puppet.hear("notified")


def test_the_job_runs_when_the_daemon_says_ready_and_not_before_and_is_not_stopped_again(show: Show) -> None:
    show.job("web")
    with show.starting("web") as (start, puppet):
        assert puppet.hello["parent"] == 1
        say(puppet, "STATUS=not yet\nX_NOTHING=1")
        assert "web start/spawned" in show.status("web")
        assert start.poll() is None
        say(puppet, "STATUS=first another line\nREADY=1")
        assert start.communicate(timeout=LONGEST_S)[0] == f"web start/running, process {puppet.pid}\n"
    for _ in range(20):
        say(puppet, "RELOADING=1\nREADY=1")
    say(puppet, "STATUS=all of it was read when this was")
    puppet.tell("exit 3")  # were it stopped again, it could not
    until(lambda: "web stop/waiting" in show.status("web"), "Upstart sees the end")
    show.nothing_is_left()
    assert "all of it was read" in show.said("web")


def test_a_daemon_that_has_dropped_its_privileges_is_heard(show: Show) -> None:
    show.job("drops")
    with show.starting("drops") as (start, puppet):
        puppet.do("os.setgroups([]); os.setgid(65534); os.setuid(65534)")
        say(puppet, "READY=1")
        assert "start/running" in start.communicate(timeout=LONGEST_S)[0]
    puppet.tell("exit 0")
    show.nothing_is_left()


def test_a_job_of_another_user(show: Show) -> None:
    show.job("other", "-t systemd -N", "setuid daemon")
    (show.upstart.root / "run/said-other").touch()
    (show.upstart.root / "run/said-other").chmod(0o666)
    with show.starting("other") as (start, puppet):
        assert puppet.environ["NOTIFY_SOCKET"].startswith("@")
        say(puppet, "READY=1")
        assert "start/running" in start.communicate(timeout=LONGEST_S)[0]
    puppet.tell("exit 0")
    show.nothing_is_left()


def test_what_a_killed_watcher_left_is_swept_by_the_next_start(show: Show) -> None:
    show.job("first")
    show.job("second")
    with show.starting("first") as (start, first):
        say(first, "READY=1")
        start.wait(LONGEST_S)
    (watcher,) = show.watchers()
    show.upstart.run("kill", "-KILL", str(watcher))
    before = show.left()
    assert len(before) == 2
    with show.starting("second") as (start, second):
        say(second, "READY=1")
        start.wait(LONGEST_S)
    until(lambda: set(before).isdisjoint(show.left()), "the next watcher sweeps")
    assert len(show.left()) == 2
    for puppet in (first, second):
        puppet.tell("exit 0")
    show.nothing_is_left()


def test_no_process_of_ours_remains_and_nothing_holds_the_daemon_up(show: Show) -> None:
    show.job("leaves", "-t systemd -N --end-after-ready")
    with show.starting("leaves") as (start, puppet):
        say(puppet, "READY=1")
        assert "start/running" in start.communicate(timeout=LONGEST_S)[0]
    show.nothing_is_left()
    puppet.do("for _ in range(10_000): notify('STATUS=still here')")
    puppet.send("b'STATUS=and a barrier'")
    assert "leaves stop/waiting" in stops(show, "leaves", puppet)


def stops(show: Show, name: str, puppet: Puppet) -> str:
    """Have Upstart stop the job, and the puppet end by that; what initctl says."""
    command = show.upstart.enter(f"{show.upstart.prefix}/sbin/initctl", "stop", name)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as stop:
        puppet.hear("signal")
        puppet.tell("exit 0")
        return stop.communicate(timeout=LONGEST_S)[0]


@pytest.mark.parametrize("more", ["", " --supervise", " --end-after-ready"])
def test_a_job_that_does_not_expect_a_stop_is_told_at_once_and_is_not_stopped(show: Show, more: str) -> None:
    name = f"forgets{len(more)}"
    show.job(name, f"-t systemd -N{more}", expect="")
    with show.starting(name) as (start, puppet):
        assert "start/running" in start.communicate(timeout=LONGEST_S)[0], "it does not wait"
        puppet.tell("notify READY=1")
        puppet.hear("notified")
        until(lambda: 'add "expect stop"' in show.said(name), "it is told", 5)  # and not when it was stopped for 10 s
        say(puppet, "STATUS=it goes on")
    puppet.tell("exit 0")
    show.nothing_is_left()


@pytest.mark.parametrize("instance", ["1", "a/b c-d"])
def test_instances_are_started_and_cancelled_one_by_one(show: Show, instance: str) -> None:
    name = f"many{len(instance)}"
    show.job(name, "-t systemd -N", "instance $WHICH")
    with show.starting(name, f"WHICH={instance}") as (_, puppet), show.starting(name, "WHICH=other") as (start, other):
        assert puppet.environ["WHICH"] == instance
        stopping = show.upstart.enter(f"{show.upstart.prefix}/sbin/initctl", "stop", name, f"WHICH={instance}")
        with subprocess.Popen(stopping, stdout=subprocess.DEVNULL) as stop:
            puppet.hear("signal")
            puppet.tell("exit 0")
            assert stop.wait(LONGEST_S) == 0
        say(other, "READY=1")
        assert "start/running" in start.communicate(timeout=LONGEST_S)[0]
    other.tell("exit 0")
    show.nothing_is_left()


def test_a_supervised_daemon(show: Show) -> None:
    show.job("stays", "-t systemd -N --supervise")
    with show.starting("stays") as (start, puppet):
        say(puppet, "READY=1")
        assert "start/running" in start.communicate(timeout=LONGEST_S)[0]
    assert show.upstart.main_pid("stays") == puppet.hello["parent"]
    show.upstart.initctl("reload", "stays")
    puppet.hear_signal(1)
    assert "stays stop/waiting" in stops(show, "stays", puppet)
    assert puppet.last_words() == []
    show.nothing_is_left()


@pytest.mark.parametrize("expect", ["fork", "daemon"])
@pytest.mark.parametrize("options", ["-t systemd -N", "-t sysv -N", "-t systemd --supervise"])
def test_a_job_that_is_followed_over_a_fork_is_refused_before_one(show: Show, expect: str, options: str) -> None:
    name = f"{expect}s{len(options)}"
    show.job(name, options, expect=f"expect {expect}")
    assert "Job failed to start" in show.upstart.initctl("start", name)
    assert "write expect stop in its place" in show.said(name)
    assert f"{name} stop/waiting" in show.status(name), "it is not stuck"
    assert show.stage.is_empty()


def test_a_job_that_is_followed_over_the_daemons_own_forks_is_left_alone(show: Show) -> None:
    show.job("own", "-t systemd", expect="expect fork")
    with show.starting("own") as (start, puppet):
        assert "own start/" in show.status("own")
        assert show.said("own") == ""
        puppet.tell("exit 0")
        start.wait(LONGEST_S)


@pytest.mark.parametrize("how", ["script\n%s\ntrue\nend script", "exec %s | cat"])
def test_a_shell_that_stays_between_is_refused_before_it_is_waited_for(show: Show, how: str) -> None:
    name = f"between{len(how)}"
    command = f"{BRIDGE} -t systemd -N -- {PUPPET} 2>> /run/said-{name}"
    show.upstart.job(name, f"expect stop\n{how % command}\n")
    show.upstart.initctl("start", name)
    assert f"{name} stop/waiting" in show.status(name), "it is not stuck"
    assert "telling upstart that the daemon is ready: it tracks process" in show.said(name)
    assert "write exec before cross-init-bridge there" in show.said(name)
    assert show.stage.is_empty()


def test_a_script_with_exec_is_as_good_as_none(show: Show) -> None:
    command = f"{BRIDGE} -t systemd -N -- {PUPPET} 2>> /run/said-script"
    show.upstart.job("script", f"expect stop\nscript\nexec {command}\nend script\n")
    with show.starting("script") as (start, puppet):
        say(puppet, "READY=1")
        assert "start/running" in start.communicate(timeout=LONGEST_S)[0]
        assert show.said("script") == ""
        puppet.tell("exit 0")
    show.nothing_is_left()


def test_a_job_that_came_down_to_a_shell_is_doubted_aloud(show: Show) -> None:
    words = ("env", "UPSTART_JOB=nosuch", "sh", "-c", f"{BRIDGE} -t systemd -- /bin/true; true")
    said = show.upstart.run(*words).stderr
    assert "UPSTART_JOB=nosuch is set, so this is taken for that job; but process" in said
    assert "Upstart has no such job running" in said
    assert "unset UPSTART_JOB, or say --init none" in said


def test_who_asks_for_a_job_is_answered_by_the_bridge_or_by_upstart(show: Show) -> None:
    front_door = BRIDGE.removesuffix("-bridge")

    def check(name: str) -> tuple[int, str]:
        ran = show.upstart.run(front_door, "check", name)
        return ran.returncode, ran.stdout

    show.job("asked", "-t systemd -N --end-after-ready")
    with show.starting("asked") as (start, puppet):
        assert check("asked")[0] == 1
        until(lambda: "waits for READY=1" in check("asked")[1], "the watcher has noted the start")
        say(puppet, "READY=1")
        start.wait(LONGEST_S)
        until(lambda: show.watchers() == [], "the watcher goes")
        assert check("asked") == (0, f"ready (PID {puppet.pid}), as upstart says\n")
        puppet.tell("exit 0")
    until(lambda: check("asked")[0] == 1, "it is down")
