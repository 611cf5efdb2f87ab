"""From a shell with job control: keys that send a signal reach the daemon once, and it stops and goes on with us."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.command import BRIDGE, PATH
from tests.support.puppet import Puppet, stage
from tests.support.shell import Terminal
from tests.support.show import PUPPET
from tests.support.waiting import until

# The bridge stays, and is the daemon's parent; the bridge becomes the daemon.
SUPERVISED, WATCHED = ("-t", "upstart", "-N"), ("-t", "systemd", "-N")
SHAPES = pytest.mark.parametrize("options", [SUPERVISED, WATCHED], ids=["supervised", "watched"])


@contextmanager
def began(folder: Path, *options: str) -> Iterator[tuple[Terminal, Puppet]]:
    """A puppet that was started from a terminal; all of it ends with this."""
    command = [str(BRIDGE), "--init", "none", *options, "--", "/usr/bin/python3", "-IS", PUPPET, f"{folder}/stage"]
    with stage(folder / "stage") as where:
        terminal = Terminal(command, {"PATH": PATH})
        try:
            yield terminal, where.puppet()
        finally:
            terminal.close()


def state(pid: int) -> str:
    """T: stopped (proc_pid_stat(5))."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@SHAPES
@pytest.mark.parametrize(("key", "number"), [(b"\x03", signal.SIGINT), (b"\x1c", signal.SIGQUIT)])
def test_a_key_reaches_the_daemon_exactly_once(
    tmp_path: Path, options: tuple[str, ...], key: bytes, number: signal.Signals
) -> None:
    with began(tmp_path, *options) as (terminal, puppet):
        for _ in range(20):
            terminal.type(key)
            puppet.hear_signal(number)
            # Passed on by us only when we have dealt with the key, whose number is lower.
            os.kill(terminal.job, signal.SIGUSR1)
            puppet.hear_signal(signal.SIGUSR1)
        get_ready(terminal, puppet, options)  # whoever listens has not been ended by the key
        puppet.tell("exit 7")
        assert puppet.last_words() == []
        assert terminal.ended() == 7


@SHAPES
def test_a_signal_that_somebody_sends_to_the_main_process_reaches_the_daemon_once(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    with began(tmp_path, *options) as (terminal, puppet):
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP):
            os.kill(terminal.job, number)
            puppet.hear_signal(number)
        puppet.tell("exit 0")
        assert puppet.last_words() == []
        assert terminal.ended() == 0


@SHAPES
@pytest.mark.parametrize("ready", [False, True])
def test_a_daemon_that_is_stopped_by_the_terminal_goes_on_in_the_foreground(
    tmp_path: Path, options: tuple[str, ...], ready: bool
) -> None:
    with began(tmp_path, *options) as (terminal, puppet):
        if ready:
            get_ready(terminal, puppet, options)
        for _ in range(5):
            terminal.type(b"\x1a")
            assert terminal.stopped() in (signal.SIGTSTP, signal.SIGSTOP)
            assert {state(pid) for pid in (terminal.job, puppet.pid)} == {"T"}
            terminal.continue_job()
            # We pass on, and the daemon hears; and the terminal is ours.
            os.kill(terminal.job, signal.SIGUSR1)
            puppet.hear_signal(signal.SIGUSR1)
            until(lambda: os.tcgetpgrp(terminal.master) == terminal.job, "the job is in the foreground")
            terminal.type(b"\x03")
            puppet.hear_signal(signal.SIGINT)
        if not ready:
            assert b"is ready" not in terminal.shown
            get_ready(terminal, puppet, options)
        puppet.tell("exit 7")
        assert puppet.last_words() == []
        assert terminal.ended() == 7
        assert terminal.shown.count(b"is ready") == 1


def get_ready(terminal: Terminal, puppet: Puppet, options: tuple[str, ...]) -> None:
    """Have it say that it is ready in its own way, and return when that stands on the terminal."""
    if options == SUPERVISED:
        puppet.get_ready()
    else:
        puppet.send(repr(b"READY=1"))
    terminal.shows(b"is ready after ")


@SHAPES
def test_a_key_that_ends_the_daemon_is_what_the_shell_sees_us_end_by(tmp_path: Path, options: tuple[str, ...]) -> None:
    command = ("/bin/sh", "-c", "echo running; exec sleep 1000")
    terminal = Terminal([str(BRIDGE), "--init", "none", *options, "--", *command], {"PATH": PATH})
    try:
        terminal.shows(b"running")
        terminal.type(b"\x03")
        assert terminal.ended() == -signal.SIGINT
    finally:
        terminal.close()


def test_a_daemon_that_is_stopped_as_for_reading_in_the_background_stops_us_too(tmp_path: Path) -> None:
    command = ("/bin/sh", "-c", "echo running; read line; echo stops; kill -TTIN $$; read line; exit $line")
    terminal = Terminal([str(BRIDGE), "--init", "none", *SUPERVISED, "--", *command], {"PATH": PATH})
    try:
        terminal.shows(b"running")
        terminal.type(b"\n")
        terminal.stopped()
        terminal.continue_job()
        terminal.type(b"9\n")
        assert terminal.ended() == 9
    finally:
        terminal.close()
