"""Daemons for systemd and Upstart as programs of a real supervisord, with a real event listener."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.command import BRIDGE, PATH, script
from tests.support.kept import keep, kept, only_ours
from tests.support.puppet import Puppet, Stage, stage
from tests.support.waiting import until

BIN = Path(sys.executable).parent
PUPPET = Path(__file__).parents[1] / "daemons" / "puppet.py"
LONGEST_S = 30
CONFIGURATION = """
[supervisord]
nodaemon=true
logfile={folder}/log
pidfile={folder}/pid
[unix_http_server]
file={folder}/control
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{folder}/control
[eventlistener:listener]
command={folder}/listener {folder}/heard
events=PROCESS_COMMUNICATION
[program:web]
command={command}
autostart=false
stdout_capture_maxbytes={capture}
stdout_logfile={folder}/out
stderr_logfile={folder}/err
{more}
"""
# supervisord.org/events.html, "Event Listener Notification Protocol"
LISTENER = f"""#!{sys.executable} -IS
import sys
while True:
    print("READY", flush=True)
    words = dict(word.split(":") for word in sys.stdin.readline().split())
    with open(sys.argv[1], "a") as heard:
        heard.write(words["eventname"] + " " + sys.stdin.read(int(words["len"])).replace("\\n", " ") + "\\n")
    print("RESULT 2\\nOK", end="", flush=True)
"""


class Supervisord:
    """A supervisord with one program, web."""

    def __init__(self, folder: Path, where: Stage) -> None:
        self.folder = folder
        self.stage = where
        self.process: subprocess.Popen[bytes] | None = None

    def start(
        self,
        *options: str,
        capture: str = "1KB",
        more: str = "",
        command: str = "",
        words: tuple[str, ...] = (f"{BIN}/supervisord",),
    ) -> None:
        """Start it, with a program that runs the bridge with these options; the program is not started.

        words: the command that it is started by.
        """
        script(self.folder, "listener", LISTENER)
        daemon = f"/usr/bin/python3 -IS {PUPPET} {self.folder}/stage"
        command = command or " ".join((str(BRIDGE), *options, "--", daemon))
        text = CONFIGURATION.format(folder=self.folder, command=command, capture=capture, more=more)
        (self.folder / "conf").write_text(text)
        null = subprocess.DEVNULL
        self.process = subprocess.Popen(
            [*words, "-c", "conf"], env={"PATH": PATH}, cwd=self.folder, stdin=null, stdout=null, stderr=null
        )
        until(lambda: "RUNNING" in self.control("status", "listener"), "supervisord is up, and its listener")

    def control(self, *words: str) -> str:
        """Run supervisorctl with these words; returns what it said."""
        ran = subprocess.run(
            [f"{BIN}/supervisorctl", "-c", self.folder / "conf", *words],
            env={"PATH": PATH},
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
        )
        return ran.stdout

    def read(self, name: str) -> str:
        """What stands in this file of it, "" if it is not there."""
        path = self.folder / name
        return path.read_text() if path.exists() else ""


@contextmanager
def supervisord(folder: Path) -> Iterator[Supervisord]:
    made = None
    try:
        with stage(folder / "stage") as where:
            made = Supervisord(folder, where)
            try:
                yield made
            except BaseException:
                print(made.read("log"), made.read("err"))
                raise
            finally:
                if made.process:
                    made.process.terminate()  # before the puppets end with their stage, or they were started anew
        if made.process:
            made.process.wait(LONGEST_S)
    finally:
        if made and made.process:
            made.process.kill()
            made.process.wait()


@pytest.fixture
def init(tmp_path: Path) -> Iterator[Supervisord]:
    with supervisord(tmp_path) as made:
        yield made


def begin(init: Supervisord) -> Puppet:
    """Start the program, without waiting for startsecs; returns its daemon."""
    starting = subprocess.Popen(
        [f"{BIN}/supervisorctl", "-c", init.folder / "conf", "start", "web"],
        env={"PATH": PATH},
        stdout=subprocess.DEVNULL,
    )
    try:
        return init.stage.puppet()
    finally:
        starting.wait(LONGEST_S)


def say(puppet: Puppet, text: str) -> None:
    puppet.tell(f"notify {text}")
    puppet.hear("notified")


def test_its_listeners_hear_when_the_daemon_is_ready_and_not_before(init: Supervisord) -> None:
    init.start("-t", "systemd", "-N", "--init", "supervisord:event")
    puppet = begin(init)
    assert f"pid {puppet.pid}," in init.control("status", "web")
    say(puppet, "STATUS=nearly")
    assert init.read("heard") == ""
    say(puppet, "READY=1")
    until(lambda: init.read("heard") != "", "the listener hears of it")
    header = f"processname:web groupname:web pid:{puppet.pid} "
    assert init.read("heard") == f"PROCESS_COMMUNICATION_STDOUT {header}cross-init ready web {puppet.pid}\n"
    assert init.read("out") == "", "what was captured is not in the log"
    assert not [key for key in puppet.environ if key.startswith("SUPERVISOR_")]
    say(puppet, "READY=1")
    say(puppet, "STATUS=still here")
    (pipe,) = {puppet.hello["fds"]["1"]}
    assert init.process is not None
    both = {puppet.pid, init.process.pid}
    until(lambda: holders(pipe) == both, "the watcher holds standard output no longer")
    assert init.read("heard").count("\n") == 1


def holders(what: str) -> set[int]:
    """The processes that have this open."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*/fd"):
        try:
            if any(os.readlink(entry) == what for entry in folder.iterdir()):
                found.add(int(folder.parent.name))
        except OSError:
            continue  # it has ended meanwhile
    return found


def test_a_daemon_for_upstart_tells_it_too(init: Supervisord) -> None:
    init.start("-t", "upstart", "-N", "--init", "supervisord:event")
    puppet = begin(init)
    assert puppet.environ["UPSTART_JOB"] == "web"
    puppet.get_ready()
    until(lambda: f"ready web {puppet.pid}\n" in init.read("heard"), "the listener hears of it")


def test_by_default_one_line_says_that_nobody_is_told(init: Supervisord) -> None:
    init.start("-t", "systemd", "-N", capture="0")
    puppet = begin(init)
    until(lambda: init.read("err") != "", "supervisord takes in the line")
    assert init.read("err") == (
        "cross-init-bridge: telling that the daemon is ready: supervisord waits for no daemon to be ready; "
        "it goes to syslog; with --init supervisord:event its event listeners are told\n"
    )
    say(puppet, "READY=1")
    until(lambda: Path("/dev/log").exists() or f"web[{puppet.pid}]: ready after" in init.read("err"), "the log is told")
    assert init.read("heard") == ""


def test_stop_and_a_crash(init: Supervisord) -> None:
    init.start("-t", "systemd", "-N", "--init", "supervisord:event", more="autorestart=true")
    puppet = begin(init)
    say(puppet, "READY=1")
    until(lambda: f" {puppet.pid}\n" in init.read("heard"), "the listener hears of the first")
    puppet.tell(f"die {signal.SIGKILL}")
    second = init.stage.puppet()
    say(second, "READY=1")
    until(lambda: f" {second.pid}\n" in init.read("heard"), "the listener hears of the second")
    control = [f"{BIN}/supervisorctl", "-c", str(init.folder / "conf"), "stop", "web"]
    with subprocess.Popen(control, env={"PATH": PATH}, stdout=subprocess.DEVNULL) as stopping:
        second.hear_signal(signal.SIGTERM)
        second.tell("exit 0")
        assert stopping.wait(LONGEST_S) == 0
    assert "STOPPED" in init.control("status", "web")


def test_a_process_of_a_group_is_named_as_supervisorctl_does(init: Supervisord) -> None:
    words = f"{BRIDGE} -t systemd -N --init supervisord:event -- /usr/bin/python3 -IS {PUPPET} {init.folder}/stage"
    init.start(command=words, more="[group:site]\nprograms=web")
    control = [f"{BIN}/supervisorctl", "-c", str(init.folder / "conf"), "start", "site:web"]
    with subprocess.Popen(control, env={"PATH": PATH}, stdout=subprocess.DEVNULL):
        puppet = init.stage.puppet()
        say(puppet, "READY=1")
    until(lambda: f"cross-init ready site:web {puppet.pid}\n" in init.read("heard"), "the listener hears of it")


@pytest.mark.parametrize("words", [(f"{BIN}/supervisord",), (sys.executable, "-m", "supervisor.supervisord")])
def test_it_is_detected_however_it_was_started(init: Supervisord, words: tuple[str, ...]) -> None:
    init.start("-t", "systemd", "-N", "--explain", words=words, more="autorestart=false\nstartsecs=0")
    init.control("start", "web")
    until(lambda: init.read("out") != "", "it explains")
    said = init.read("out").splitlines()
    assert said[0] == "init        supervisord, because SUPERVISOR_ENABLED is set"
    assert said[1] == "service     web"
    lost = "readiness: supervisord waits for no daemon to be ready; it goes to syslog"
    assert f"gets lost   {lost}; with --init supervisord:event its event listeners are told" in said


def test_an_event_needs_its_pipe(init: Supervisord) -> None:
    words = f"sh -c 'exec {BRIDGE} -t systemd -N --init supervisord:event -- true >{init.folder}/elsewhere'"
    init.start(command=words, more="autorestart=false\nstartsecs=0")
    init.control("start", "web")
    until(lambda: init.read("err") != "", "it is refused")
    assert init.read("err") == (
        "cross-init-bridge: telling supervisord that the daemon is ready: standard output, where events are "
        "written, is no pipe to supervisord: do not redirect it\n"
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to have /run/cross-init")
def test_a_program_that_has_moved_to_another_folder_has_its_descriptors(init: Supervisord) -> None:
    daemon = f"/usr/bin/python3 -IS {PUPPET} {init.folder}/stage"
    words = f"{BRIDGE} -t systemd -N --fd-store 2 -- {daemon}"
    run = script(init.folder, "run", f'#!/bin/sh\ncd "{init.folder}/now/." && cd "$(pwd -P)" && exec {words}\n')
    for release in ("one", "two"):
        (init.folder / release).mkdir()
    (init.folder / "now").symlink_to("one")
    with only_ours():
        init.start(command=str(run))
        puppet = begin(init)
        puppet.do("made = os.memfd_create('made')")
        keep(puppet, "FDSTORE=1\nFDNAME=mine", "made")
        (init.folder / "now").unlink()
        (init.folder / "now").symlink_to("two")
        puppet.tell(f"die {signal.SIGKILL}")
        again = init.stage.puppet()
        assert [name for name, _ in kept(again)] == ["mine"]
        keep(again, "FDSTOREREMOVE=1\nFDNAME=mine")


def test_a_shell_that_stays_is_said_to_be_what_supervisord_stops(init: Supervisord) -> None:
    daemon = f"/usr/bin/python3 -IS {PUPPET} {init.folder}/stage"
    run = script(init.folder, "run", f"#!/bin/sh\n{BRIDGE} -t systemd -N -- {daemon}\ntrue\n")
    init.start(command=str(run))
    puppet = begin(init)
    said = f"supervisord watches and stops process {puppet.hello['parent']} ("
    until(lambda: said in init.read("err"), "it is said")
    puppet.tell("exit 0")
