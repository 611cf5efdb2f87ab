"""Daemons for systemd and Upstart as services of a real dinit, what dinit says of them, and daemons for dinit."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import PATH, command, run
from tests.support.dinit import Dinit, dinit
from tests.support.puppet import Puppet, stage
from tests.support.supervised import PUPPET
from tests.support.waiting import until

PIPES = {"pipefd": ("ready-notification = pipefd:4", ""), "pipevar": ("ready-notification = pipevar:READY", "READY")}
REFUSED = "cross-init-bridge: telling dinit that the daemon is ready: "


@pytest.fixture
def init(tmp_path: Path) -> Iterator[Dinit]:
    with dinit(tmp_path) as made:
        yield made


def get_ready(puppet: Puppet) -> None:
    puppet.tell("notify READY=1")
    puppet.hear("notified")


@pytest.mark.parametrize("pipe", PIPES)
def test_dinitctl_start_returns_when_the_daemon_says_ready_and_not_before(init: Dinit, pipe: str) -> None:
    init.write(PIPES[pipe][0], options="-t systemd -N")
    starting = init.begin("start", "web")
    puppet = init.stage.puppet()
    assert puppet.hello["parent"] == init.process.pid
    assert init.status() == ("STARTING", puppet.pid)
    assert starting.poll() is None
    get_ready(puppet)
    assert starting.wait(15) == 0
    assert init.status() == ("STARTED", puppet.pid)
    assert init.log == ""
    assert all("pipe:" not in file for file in puppet.hello["fds"].values()), "the pipe is not the daemon's"


def test_the_variable_of_the_pipe_is_kept_from_the_daemon_if_it_is_named(init: Dinit) -> None:
    init.write(PIPES["pipevar"][0], options="--init dinit:var=READY -t systemd -N")
    starting = init.begin("start", "web")
    puppet = init.stage.puppet()
    assert "READY" not in puppet.environ
    get_ready(puppet)
    assert starting.wait(15) == 0


@pytest.mark.parametrize("option", ["--init dinit:fd=4", "--ready-fd 4"])
def test_the_number_of_the_pipe_may_be_named(init: Dinit, option: str) -> None:
    init.write(PIPES["pipefd"][0], options=f"{option} -t systemd -N")
    starting = init.begin("start", "web")
    get_ready(init.stage.puppet())
    assert starting.wait(15) == 0


def test_stop_and_start_again(init: Dinit) -> None:
    init.write(PIPES["pipefd"][0], options="-t systemd -N")
    for _ in range(2):
        starting = init.begin("start", "web")
        puppet = init.stage.puppet()
        get_ready(puppet)
        assert starting.wait(15) == 0
        stopping = init.begin("stop", "web")
        puppet.hear_signal(signal.SIGTERM)
        puppet.tell("exit 0")
        assert stopping.wait(15) == 0
        assert init.status() == ("STOPPED", 0)


def test_a_crash_is_seen_and_the_next_daemon_has_to_get_ready_itself(init: Dinit) -> None:
    init.write(PIPES["pipefd"][0], "restart = yes", options="-t systemd -N")
    starting = init.begin("start", "web")
    puppet = init.stage.puppet()
    get_ready(puppet)
    assert starting.wait(15) == 0
    puppet.tell(f"die {signal.SIGKILL}")
    second = init.stage.puppet()
    assert init.status() == ("STARTING", second.pid)
    get_ready(second)
    until(lambda: init.status() == ("STARTED", second.pid), "it is ready")


def test_a_crash_before_it_is_ready_fails_the_start(init: Dinit) -> None:
    init.write(PIPES["pipefd"][0], options="-t systemd -N")
    starting = init.begin("start", "web")
    init.stage.puppet().tell("exit 3")
    assert starting.wait(15) == 1
    assert init.status()[0] == "STOPPED"


def test_a_daemon_for_upstart_is_a_child_of_the_service_process(init: Dinit) -> None:
    init.write(PIPES["pipefd"][0], "load-options = export-service-name", options="-t upstart -N")
    starting = init.begin("start", "web")
    puppet = init.stage.puppet()
    assert puppet.environ["UPSTART_JOB"] == "web"
    assert init.status() == ("STARTING", puppet.hello["parent"])
    puppet.get_ready()
    assert starting.wait(15) == 0
    stopping = init.begin("stop", "web")
    puppet.hear_signal(signal.SIGTERM)
    puppet.tell("exit 0")
    assert stopping.wait(15) == 0


@pytest.mark.parametrize("pipe", PIPES)
def test_a_socket_is_passed_on_beside_readiness(init: Dinit, tmp_path: Path, pipe: str) -> None:
    path = tmp_path / "socket"
    init.write(PIPES[pipe][0], f"socket-listen = {path}", options="-t upstart -N")
    starting = init.begin("start", "web")
    puppet = init.stage.puppet()
    assert not any(name.startswith("LISTEN_") for name in puppet.environ)
    assert puppet.environ["SOCKET_PATH"] == str(path)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(b"you")
        puppet.tell("serve")
        puppet.hear("served")
        assert client.recv(100) == b"hello you"
    puppet.get_ready()
    assert starting.wait(15) == 0


def test_a_daemon_for_systemd_gets_the_socket_by_its_own_pid(init: Dinit, tmp_path: Path) -> None:
    init.write(f"socket-listen = {tmp_path}/socket", options="-t systemd")
    init.tell("start", "web")
    puppet = init.stage.puppet()
    assert puppet.environ["LISTEN_PID"] == str(puppet.pid)
    assert (puppet.environ["LISTEN_FDS"], puppet.environ["LISTEN_FDNAMES"]) == ("1", "unknown")
    assert puppet.hello["fds"]["3"].startswith("socket:")


def test_a_service_that_does_not_wait_is_refused_with_the_line_to_write(init: Dinit) -> None:
    init.write(options="-t systemd -N")
    init.tell("start", "web")
    until(lambda: "\n" in init.log, "the bridge complains")
    assert init.log.startswith(f"{REFUSED}the service does not wait for it: write into its file: ")
    line = init.log.rstrip("\n").rpartition("file: ")[2]
    init.write(line, options="-t systemd -N")
    until(lambda: init.status()[0] == "STOPPED", "it has ended")
    init.tell("reload", "web")
    starting = init.begin("start", "web")
    get_ready(init.stage.puppet())
    assert starting.wait(15) == 0


def test_it_is_explained(init: Dinit, tmp_path: Path) -> None:
    init.write(PIPES["pipefd"][0], f"socket-listen = {tmp_path}/socket", options="-t systemd -N --explain")
    assert init.tell("start", "web")[0] == 1, "explaining is no readiness"
    said = init.log.splitlines()
    assert said[0] == f"init        dinit, because the parent process {init.process.pid} is dinit"
    assert f"sockets     fd 3 (unix:{tmp_path}/socket), passed by dinit" in said


# Daemons for dinit, from a shell.


@pytest.mark.parametrize(("option", "where"), [("fd=4", "4"), ("var=READY", "READY")])
def test_a_daemon_for_dinit_writes_any_byte(tmp_path: Path, option: str, where: str) -> None:
    words = [f"-tdinit:{option}", "--init=none", "-N", f"--listen=unix:{tmp_path}/socket", "--"]
    with stage(tmp_path / "stage") as place:
        bridge = subprocess.Popen(
            [*command(*words), "/usr/bin/python3", "-IS", PUPPET, str(tmp_path / "stage")],
            env={"PATH": PATH},
            stderr=subprocess.PIPE,
        )
        try:
            assert bridge.stderr
            puppet = place.puppet()
            assert (puppet.pid, puppet.environ["LISTEN_PID"]) == (bridge.pid, str(bridge.pid))
            assert puppet.environ["LISTEN_FDS"] == "1"
            assert puppet.hello["fds"]["3"].startswith("socket:")
            puppet.tell(f"write {where} x")
            puppet.hear("written")
            assert b" is ready after " in bridge.stderr.readline()
            puppet.tell("exit 0")
            assert bridge.wait(15) == 0
        finally:
            bridge.kill()
            bridge.communicate()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["-tdinit", "-N"], "where? Write -t dinit:fd=N or dinit:var=NAME"),
        (["-tdinit:fd=2", "-N"], "--target dinit:fd=2: there it takes fd=N or var=NAME"),
        (["-tdinit:fd=99999", "-N"], "N is 3 to 1023"),
        (["-tdinit:var=A=B", "-N"], "there it takes fd=N or var=NAME"),
        (["-tdinit:4", "-N"], "there it takes fd=N or var=NAME"),
        (["-tdinit:fd=3", "-N", "--listen=unix:@x"], "it would be descriptor 3"),
        (["-tdinit", "--listen=unix:@x", "--listen=unix:@y"], "passing 2 sockets to a daemon for dinit"),
        (["-tdinit", "--listen=udp:127.0.0.1:0"], "dinit passes listening stream sockets"),
    ],
)
def test_what_dinit_could_not_do_is_refused(words: list[str], line: str) -> None:
    result = run(*words, "--init=none", "--", "/bin/true")
    assert result.status == 125
    assert line in result.line


@pytest.mark.parametrize(
    ("option", "line"),
    [("fd=77", "descriptor 77 is not open for writing"), ("var=NOTHING", "ready-notification = pipevar:NOTHING")],
)
def test_a_pipe_that_is_not_there_is_refused(option: str, line: str) -> None:
    result = run("-tsystemd", "-N", f"--init=dinit:{option}", "--", "/bin/true")
    assert result.status == 125
    assert line in result.line


def test_a_pipe_that_our_parent_does_not_read_is_not_taken_for_dinits() -> None:
    ours, theirs = os.pipe()
    try:
        shell = ["sh", "-c", '"$@"; exit $?', "sh"]
        result = run("-tsystemd", "-N", "--init=dinit", "--", "/bin/true", pass_fds=[theirs], wrapper=shell)
        assert result.status == 125
        assert "write into its file: ready-notification = pipefd:4" in result.line
    finally:
        os.close(ours)
        os.close(theirs)


def test_with_two_pipes_to_the_parent_it_has_to_be_said_which() -> None:
    pipes = [os.pipe(), os.pipe()]
    try:
        result = run("-tsystemd", "-N", "--init=dinit", "--", "/bin/true", pass_fds=[theirs for _, theirs in pipes])
        assert result.status == 125
        assert "say which, with --init dinit:fd=N" in result.line
    finally:
        for ours, theirs in pipes:
            os.close(ours)
            os.close(theirs)
