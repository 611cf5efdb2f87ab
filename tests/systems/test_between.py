"""A shell that stands between a real init and us, and stays: it is that one that the init watches, and stops."""

import os
from pathlib import Path

import pytest

from tests.support.command import BRIDGE, script
from tests.support.dinit import dinit
from tests.support.packages import need
from tests.support.supervised import Supervised, supervised
from tests.support.systemd import Manager
from tests.support.waiting import until

PROGRAMS = {"s6-supervise": "s6", "runsv": "runit", "supervise": "daemontools"}
# What stands around the bridge in a run script, %s, so that a process stays there.
STAYS = {
    "no exec": "%s\ntrue",
    "a pipe": "exec %s | cat",
    "a shell": "exec sh -c '%s; true'",
    "timeout": "exec timeout 60 %s",
}


def write(made: Supervised, stays: str, *options: str) -> None:
    """A run script that does not become the bridge with these options."""
    made.write_run(*options)
    words = (made.folder / "run").read_text().splitlines()[-1].strip()
    script(made.folder, "run", f"#!/bin/sh\nexec 2>>log\n{STAYS[stays] % words}\n")
    if made.program == "s6-supervise":
        (made.folder / "notification-fd").write_text("3\n")
    if made.program == "runsv":
        script(made.folder, "check", "#!/bin/sh\nexec true\n")


@pytest.mark.parametrize("stays", STAYS)
@pytest.mark.parametrize("program", ["s6-supervise", "runsv"])
def test_readiness_is_told_to_nobody_by_no_start(tmp_path: Path, program: str, stays: str) -> None:
    need(PROGRAMS[program])
    with supervised(program, tmp_path / "web") as made:
        write(made, stays, "-t", "systemd", "-N")
        made.start()
        advice = "have timeout behind us" if stays == "timeout" else "write exec before cross-init-bridge"
        until(lambda: advice in made.log, "it is refused")
        assert f"telling {PROGRAMS[program]} that the daemon is ready: it started process " in made.log
        assert "is ready" not in made.log.replace("the daemon is ready", "")
        assert made.stage.is_empty()


@pytest.mark.parametrize("program", PROGRAMS)
def test_without_readiness_it_starts_and_is_told_what_a_stop_will_not_reach(tmp_path: Path, program: str) -> None:
    need(PROGRAMS[program])
    with supervised(program, tmp_path / "web") as made:
        write(made, "no exec", "-t", "systemd")
        made.start()
        puppet = made.stage.puppet()
        assert f"{PROGRAMS[program]} watches and stops process {puppet.hello['parent']} (" in made.log
        puppet.tell("exit 0")


@pytest.mark.parametrize("how", [("--ready-fd", "3"), ("--init", "s6")])
def test_who_says_how_the_init_is_told_is_told_what_remains(tmp_path: Path, how: tuple[str, str]) -> None:
    need("s6")
    with supervised("s6-supervise", tmp_path / "web") as made:
        write(made, "no exec", "-t", "systemd", "-N", *how)
        made.start()
        puppet = made.stage.puppet()
        puppet.tell("notify READY=1\nSTATUS=up")
        puppet.hear("notified")
        until(lambda: made.tell("s6-svstat", "-o", "ready") == (0, "true\n"), "s6 has heard it")
        until(lambda: "web[" in made.log, "its lines have the service's name")
        assert "s6 watches and stops process" in made.log
        puppet.tell("exit 0")


def test_a_shell_that_waits_for_a_daemon_to_be_ready_is_no_mistake(tmp_path: Path) -> None:
    need("runit")
    with supervised("runsv", tmp_path / "web") as made:
        made.write_run("-t", "systemd", "--daemonize")
        script(made.folder, "run", (made.folder / "run").read_text() + "echo went on >>log\nexec sleep 60\n")
        made.start()
        puppet = made.stage.puppet()
        puppet.tell("notify READY=1")
        until(lambda: "went on" in made.log, "the script goes on")
        assert "cross-init-bridge: telling" not in made.log
        puppet.tell("exit 0")


def test_a_script_of_dinits(tmp_path: Path) -> None:
    with dinit(tmp_path) as init:
        run = script(tmp_path, "run", f"#!/bin/sh\n{BRIDGE} -t systemd -N -- {' '.join(init.puppet)}\ntrue\n")
        text = f"type = process\ncommand = {run}\nlogfile = {tmp_path}/log\nready-notification = pipefd:4\n"
        (init.services / "web").write_text(text)
        init.tell("start", "web")
        until(lambda: "telling dinit that the daemon is ready: it started process" in init.log, "it is refused")
        assert init.stage.is_empty()


@pytest.mark.parametrize("access", ["main", "exec", "all"])
def test_systemd_is_asked_whose_messages_it_hears(system: Manager, access: str) -> None:
    shell = "/bin/sh -c 'BRIDGE -t upstart -N -- PUPPET; true'"
    with system.unit(f"Type=notify\nNotifyAccess={access}\nTimeoutStartSec=60\nExecStart={shell}") as unit:
        start = unit.begin("start")
        puppet = unit.stage.puppet()
        if access == "all":
            puppet.get_ready()
            assert start.ends() == 0
            assert unit.ours() == []
        else:
            (line,) = unit.ours()
            assert "and not this one, which it does not hear then: write exec" in line


def test_a_socket_that_was_passed_to_the_shell_is_the_daemons(system: Manager) -> None:
    shell = "/bin/sh -c 'BRIDGE -t upstart -- PUPPET; true'"
    path = "/run/between.socket"
    with system.unit(f"ExecStart={shell}", f"ListenStream={path}") as unit:
        system.systemctl("start", unit.socket)
        unit.start()
        puppet = unit.stage.puppet()
        assert (puppet.environ["UPSTART_FDS"], puppet.environ["SOCKET_PATH"]) == ("3", path)
        puppet.tell("exit 0")


def test_a_unit_that_waits_for_no_readiness(system: Manager) -> None:
    shell = "/bin/sh -c 'BRIDGE -t upstart -N -- PUPPET; true'"
    with system.unit(f"Type=oneshot\nExecStart={shell}") as unit:
        unit.start(check=False)
        (line,) = unit.ours()
        assert "systemd gave no NOTIFY_SOCKET, so the unit does not wait for readiness: set Type=notify" in line
        assert unit.stage.is_empty()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a PID namespace")
@pytest.mark.parametrize("before", ["", "cd /\n"])
def test_a_pid_namespace_that_was_entered_before_us(tmp_path: Path, before: str) -> None:
    need("s6")
    with supervised("s6-supervise", tmp_path / "web") as made:
        (made.folder / "notification-fd").write_text("3\n")
        (made.folder / "log").touch()
        enter = f"exec 2>>{made.folder}/log\n{before}exec unshare -p -f --kill-child --mount-proc"
        made.write_run("-t", "systemd", "-N", before=enter)
        made.start()
        puppet = made.stage.puppet()
        puppet.tell("notify READY=1")
        puppet.hear("notified")
        if before:  # nothing is left to tell which init it is
            assert "descriptor 3 is a pipe that was left open" in made.log
            assert "say --ready-fd 3" in made.log
        else:
            until(lambda: made.tell("s6-svstat", "-o", "ready") == (0, "true\n"), "s6 has heard it")
            assert "cross-init-bridge: " not in made.log
        puppet.tell("exit 0")


@pytest.mark.parametrize("offers", [True, False])
def test_an_init_that_waits_without_us_is_named(tmp_path: Path, offers: bool) -> None:
    need("s6")
    with supervised("s6-supervise", tmp_path / "web") as made:
        made.write_run("-t", "systemd", before="exec")
        if offers:
            (made.folder / "notification-fd").write_text("3\n")
        made.start()
        puppet = made.stage.puppet()
        assert ("s6 waits for readiness (notification-fd), and nobody tells it: add -N" in made.log) == offers
        puppet.tell("exit 0")


def test_a_unit_that_waits_without_us_is_named(system: Manager) -> None:
    with system.unit("Type=notify\nTimeoutStartSec=60\nExecStart=BRIDGE -t upstart -- PUPPET") as unit:
        unit.begin("start")
        unit.stage.puppet()
        (line,) = unit.ours()
        assert "systemd hears readiness (NOTIFY_SOCKET is set), and nobody tells it: add -N" in line
