"""Upstart jobs under a real Upstart, and the units that are made of them under a real systemd: the same is seen.

What differs for good stands in DIFFERENCES.
"""

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cross_init.definitions.upstart_jobs import read_job
from cross_init.writers.systemd import BRIDGE as WRITTEN
from cross_init.writers.systemd import write
from tests.support.containers import BRIDGE, INSIDE
from tests.support.programs import USUAL
from tests.support.real_upstart import Upstart, upstart_booted
from tests.support.systemd import Manager
from tests.support.waiting import until

PROBE = f"/usr/bin/python3 -IS {INSIDE}/tests/daemons/looks.py"
FOLDER = "run/looks"
Said = list[dict[str, Any]]
_numbers = itertools.count(1)
# Variables of systemd's services (systemd.exec(5)), and of Upstart's jobs (init(5)); those of a login come with User=.
SYSTEMDS = {"INVOCATION_ID", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID", "LANG", "HOME", "USER", "LOGNAME", "SHELL"}
SYSTEMDS |= {"MEMORY_PRESSURE_WATCH", "MEMORY_PRESSURE_WRITE", "NOTIFY_SOCKET", "PATH"}
SYSTEMDS |= {"UPSTART_JOB", "UPSTART_INSTANCE"}
UPSTARTS = {"TERM", "UPSTART_JOB", "UPSTART_INSTANCE", "PATH"}
# A shell makes these of its own, and Python where there is no locale.
SHELLS = {"PWD", "OLDPWD", "_", "LC_CTYPE"}


class Running:
    """One job under one init."""

    name: str
    init: str

    def __init__(self, root: Path) -> None:
        self.file = root / FOLDER / self.name
        self.file.parent.mkdir(exist_ok=True)
        self.file.parent.chmod(0o1777)

    def said(self) -> Said:
        """What its processes have said so far."""
        try:
            return [json.loads(line) for line in self.file.read_text().splitlines()]
        except FileNotFoundError:
            return []

    def hears(self, count: int) -> Said:
        """Wait for so many lines."""
        until(lambda: len(self.said()) >= count, f"{count} lines of {self.name} under {self.init}")
        return self.said()

    def comes_to(self, state: str) -> None:
        """Wait for this state."""
        until(lambda: self.state() == state, f"{self.name} is {state} under {self.init}")

    def gets_another(self, pid: int) -> None:
        """Wait for a main process that is not this one."""
        until(lambda: self.state() == "running" and self.main_pid() not in (0, pid), f"{self.name} is started anew")

    def start(self) -> int:
        raise NotImplementedError

    def stop(self) -> None:
        raise NotImplementedError

    def reload(self) -> None:
        raise NotImplementedError

    def main_pid(self) -> int:
        raise NotImplementedError

    def kill(self) -> None:
        raise NotImplementedError

    def state(self) -> str:
        raise NotImplementedError

    def end(self) -> None:
        raise NotImplementedError


class UnderUpstart(Running):
    """Under Upstart."""

    init = "upstart"

    def __init__(self, upstart: Upstart, name: str, text: str) -> None:
        self.upstart, self.name = upstart, name
        super().__init__(upstart.root)
        upstart.job(name, text)

    def start(self) -> int:
        return self.upstart.run(f"{self.upstart.prefix}/sbin/initctl", "start", self.name).returncode

    def stop(self) -> None:
        self.upstart.initctl("stop", self.name)

    def reload(self) -> None:
        self.upstart.initctl("reload", self.name)

    def main_pid(self) -> int:
        return self.upstart.main_pid(self.name)

    def kill(self) -> None:
        self.upstart.run("kill", "-KILL", str(self.main_pid()))

    def state(self) -> str:
        said = self.upstart.initctl("status", self.name)
        return "running" if "start/running" in said else "stopped" if "stop/waiting" in said else said

    def end(self) -> None:
        if self.state() != "stopped":
            self.stop()
        (self.upstart.root / f"etc/init/{self.name}.conf").unlink()


class UnderSystemd(Running):
    """Under systemd, as the unit that is made of it."""

    init = "systemd"

    def __init__(self, system: Manager, name: str, text: str, folder: Path) -> None:
        self.system, self.name = system, name
        super().__init__(system.container.root)
        job = folder / f"{name}.conf"
        job.write_text(text)
        definition, remarks = read_job(str(job))
        self.files = []
        for file, unit in write(definition, remarks).items():
            print(file, unit, sep="\n")
            self.files.append(system.folder / file)
            self.files[-1].write_text(unit.replace(WRITTEN, BRIDGE))
        system.systemctl("daemon-reload")
        self.unit = f"{name}.service"

    def start(self) -> int:
        return self.system.systemctl("start", self.unit, check=False).returncode

    def stop(self) -> None:
        self.system.systemctl("stop", self.unit)

    def reload(self) -> None:
        self.system.systemctl("reload", self.unit)

    def show(self, key: str) -> str:
        return self.system.systemctl("show", "--value", "--property", key, self.unit).stdout.strip()

    def main_pid(self) -> int:
        return int(self.show("MainPID"))

    def kill(self) -> None:
        self.system.container.run("kill", "-KILL", str(self.main_pid()))

    def state(self) -> str:
        return {"active": "running", "inactive": "stopped", "failed": "stopped"}.get(
            found := self.show("ActiveState"), found
        )

    def end(self) -> None:
        print(self.system.container.run("journalctl", "--quiet", "--unit", self.unit).stdout)
        names = [file.name for file in reversed(self.files)]
        self.system.systemctl("stop", *names, check=False)
        self.system.systemctl("reset-failed", *names, check=False)
        for file in self.files:
            file.unlink()


@pytest.fixture(scope="module")
def upstart() -> Iterator[Upstart]:
    with upstart_booted() as booted:
        (booted.root / "run").chmod(0o755)
        yield booted


Both = Callable[[str], tuple[Running, Running]]


@pytest.fixture
def both(upstart: Upstart, system: Manager, tmp_path: Path) -> Iterator[Both]:
    """What makes a job under each of the two. LOOKS in its text is the probe, with its file."""
    made: list[Running] = []

    def make(text: str) -> tuple[Running, Running]:
        name = f"looks{next(_numbers)}"
        whole = text.replace("LOOKS", f"{PROBE} /{FOLDER}/{name}").replace("FILE", f"/{FOLDER}/{name}") + "\n"
        theirs = UnderUpstart(upstart, name, whole)
        made.append(theirs)
        ours = UnderSystemd(system, name, whole, tmp_path)
        made.append(ours)
        return theirs, ours

    try:
        yield make
    finally:
        for each in made:
            each.end()


def seen(running: Running) -> dict[str, Any]:
    """What its first process has said, without what is no matter."""
    found = running.hears(1)[0]
    names = found["environ"].keys() - (UPSTARTS if running.init == "upstart" else SYSTEMDS) - SHELLS
    found["environ"] = {name: found["environ"][name] for name in names}
    del found["pid"]
    found["groups"] = [each for each in found["groups"] if each != found["ids"][3]]  # its own is there or not
    return found


JOBS = {
    "plain": "exec LOOKS stay",
    "words": "exec LOOKS stay a $NONE \"b  c\" 'd $e' ${X-f%n} \\\n  g \\;h ~ # no more",
    "words without a shell": "exec LOOKS stay a %n 100% @x -- + #b",
    "script": "script\n  A='x  y'\n  export A  # what it is\n\n  exec LOOKS stay \"$A\" '%h'\nend script",
    "variables": 'env A="b  c $HOME %n"\nenv B=1\nenv B=2\nenv C=\nenv D=a\\\\b\'"\'c\nexec LOOKS stay $B',
    "user": "setuid daemon\nsetgid nogroup\nexec LOOKS stay",
    "user alone": "setuid daemon\nexec LOOKS stay",
    "group alone": "setgid daemon\nexec LOOKS stay",
    "folder": "chdir /usr/lib\nexec LOOKS stay",
    "numbers": "umask 027\nnice 7\noom score 321\nexec LOOKS stay",
    "less": "nice 0\noom score 1000\numask 0\nexec LOOKS stay",
    "limits": "limit nofile 100 200\nlimit core 0 unlimited\nlimit cpu 10 20\nlimit fsize 90000 90001\nexec LOOKS stay",
    "more limits": "limit stack 400000 800000\nlimit memlock 409 819\nlimit as unlimited unlimited\nexec LOOKS stay",
    "no console": "console none\nexec LOOKS stay",
    "stops": "expect stop\nenv A=b\nexec LOOKS stop",
    "stops in a shell": 'expect stop\nscript\n  A=1\n  exec LOOKS stop $A "$UPSTART_JOB"\nend script',
    "forks": "expect fork\nexec LOOKS fork",
    "daemon": "expect daemon\nsetuid daemon\nsetgid daemon\nexec LOOKS daemon",
}
LIMITS = {"limits": "NOFILE CORE CPU FSIZE", "more limits": "STACK MEMLOCK AS"}
# What differs: of a job, what is seen, and why.
DIFFERENCES = {
    ("stops", "leads"): "what stands in for Upstart leads the session in which it starts the daemon",
    ("stops in a shell", "leads"): "the same",
    ("user alone", "groups"): "Upstart leaves root's group to a process of another user",
}


@pytest.mark.parametrize("job", JOBS)
def test_a_process_sees_the_same(both: Both, job: str) -> None:
    found: list[dict[str, Any]] = []
    for running in both(JOBS[job]):
        assert running.start() == 0
        assert running.state() == "running"
        running.hears(2)
        if running.init == "upstart" or job != "daemon":  # of which systemd cannot know it
            assert running.main_pid() == running.said()[0]["pid"]
        found.append(seen(running))
        running.stop()
        assert running.hears(3)[2] == {"signal": "SIGTERM"}
        assert running.state() == "stopped"
    for each in found:
        each["limits"] = {name: each["limits"][f"RLIMIT_{name}"] for name in LIMITS.get(job, "").split()}
        each["streams"] = each["streams"] if job == "no console" else each["streams"][:1]
        if "environ" in each and "PATH" not in JOBS[job]:
            each["environ"].pop("PATH", None)
    for key in found[0].keys() | found[1].keys():
        if (job, key) not in DIFFERENCES:
            assert found[0][key] == found[1][key], key
        else:
            assert found[0][key] != found[1][key], f"{key}: it differs no longer"


FIRST = ("pre-start", "post-start", "pre-stop")


def test_all_processes_of_a_job_run_in_their_order(both: Both) -> None:
    steps = [
        f'{which} exec echo \'{{"step": "{which}"}}\' >> FILE' for which in ("pre-start", "post-start", "pre-stop")
    ]
    steps += ["post-stop script", '  echo \'{"step": "post-stop"}\' >> FILE', "end script"]
    said = []
    for running in both("\n".join([*steps, "exec LOOKS stay"])):
        assert running.start() == 0
        running.hears(4)  # what runs after the start may come before what the main process says
        running.stop()
        lines = running.said()
        assert lines[0] == {"step": "pre-start"}
        assert {"step": "post-start"} in lines[1:4]
        said.append(lines[4:])
    assert said[0] == said[1] == [{"step": "pre-stop"}, {"signal": "SIGTERM"}, {"step": "post-stop"}]


def test_a_start_that_is_called_off_is_no_failure(both: Both, upstart: Upstart) -> None:
    path = f"env PATH={upstart.prefix}/sbin:{USUAL}"
    for running in both(
        f"{path}\npre-start script\n  [ -e /nowhere ] || {{ stop; exit 0; }}\nend script\nexec LOOKS stay"
    ):
        assert running.start() == 0
        assert running.state() == "stopped"
        assert running.said() == []
        if isinstance(running, UnderSystemd):
            assert running.show("ActiveState") == "inactive"


def test_a_pre_start_that_fails_is_a_failure(both: Both) -> None:
    for running in both("pre-start exec false\nexec LOOKS stay"):
        assert running.start() != 0
        assert running.state() == "stopped"
        assert running.said() == []


def test_a_service_is_started_anew_but_not_after_a_normal_exit(both: Both) -> None:
    for running in both("respawn\nrespawn limit 4 30\nexec LOOKS stay"):
        running.start()
        first = running.hears(2)[0]["pid"]
        running.kill()
        running.hears(4)
        running.gets_another(first)
        running.stop()
        assert running.hears(5)[4] == {"signal": "SIGTERM"}
    for running in both("respawn\nnormal exit 3\nexec LOOKS exit:3"):
        running.start()
        running.comes_to("stopped")
        assert len(running.hears(1)) == 1
        if isinstance(running, UnderSystemd):
            assert running.show("ActiveState") == "inactive"


def test_one_that_ends_again_and_again_is_left_after_as_many_times(both: Both) -> None:
    counts = []
    for running in both("respawn\nrespawn limit 3 100\nexec LOOKS exit:1"):
        running.start()
        running.comes_to("stopped")
        counts.append(len(running.said()))
    assert counts == [4, 4]


def test_a_task_is_waited_for(both: Both) -> None:
    for code in (0, 3):
        for running in both(f"task\nexec LOOKS exit:{code}"):
            assert (running.start() == 0) == (code == 0)
            assert len(running.said()) == 1
            assert running.state() == "stopped"


def test_signals_of_a_stop_and_of_a_reload(both: Both) -> None:
    for running in both("kill signal INT\nreload signal USR1\nsetuid daemon\nexec LOOKS stay"):
        running.start()
        running.hears(2)
        running.reload()
        running.hears(3)
        running.stop()
        assert running.hears(4)[2:] == [{"signal": "SIGUSR1"}, {"signal": "SIGINT"}]


def test_one_that_does_not_end_is_killed_in_time(both: Both) -> None:
    for running in both("kill timeout 1\nexec LOOKS deaf"):
        running.start()
        running.hears(2)
        running.stop()
        assert running.state() == "stopped"
        assert running.said()[2:] == [{"signal": "SIGTERM"}]


def test_a_state_without_a_process(both: Both) -> None:
    for running in both("pre-start exec echo '{}' >> FILE\npost-stop exec echo '{}' >> FILE"):
        assert running.start() == 0
        assert running.state() == "running"
        assert len(running.said()) == 1
        running.stop()
        assert (running.state(), len(running.said())) == ("stopped", 2)


EVENT = ("PROTO", "PORT", "ADDR", "UPSTART_EVENTS")  # socket-event(7)
CONNECT = "import socket; socket.create_connection(('127.0.0.1', 7755), 10)"


@pytest.mark.parametrize("expect", ["expect stop\nexec LOOKS stop", "exec LOOKS stay"])
def test_a_client_starts_it_and_it_has_the_socket(both: Both, upstart: Upstart, expect: str) -> None:
    if "socket-bridge" not in upstart.processes():
        upstart.job("bridge", f"exec {upstart.prefix}/sbin/upstart-socket-bridge\n")
        assert "start/running" in upstart.initctl("start", "bridge")
    found = []
    for running in both(f"start on socket PROTO=inet PORT=7755 ADDR=127.0.0.1\n{expect}"):
        if isinstance(running, UnderSystemd):
            running.system.systemctl("start", f"{running.name}.socket")
            running.system.container.run("/usr/bin/python3", "-ISc", CONNECT)
        else:
            until(lambda: upstart.run("/usr/bin/python3", "-ISc", CONNECT).returncode == 0, "the socket bridge listens")
        said = running.hears(2)[0]
        running.comes_to("running")
        assert running.main_pid() == said["pid"]
        found.append((said["sockets"], {name: said["environ"].get(name) for name in EVENT}))
        if isinstance(running, UnderSystemd):
            running.system.systemctl("stop", f"{running.name}.socket")
        else:
            (upstart.root / f"etc/init/{running.name}.conf").write_text("manual\n")  # nobody listens for it any more
        running.stop()
    assert found[0] == found[1]
    assert found[0][0] == [["127.0.0.1", 7755]]
