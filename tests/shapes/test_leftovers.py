"""What a main process leaves when it ends, where somebody of ours is there then, by the mode of --kill-mode.

The daemon is a shell that starts others. Each says its PID on a line, and its end is seen by a pidfd.
"""

import os
import select
import signal
import socket
import subprocess

import pytest

from tests.support.command import BRIDGE, PATH
from tests.support.observed import Place, Run
from tests.support.processes import end

LONGEST_S = 15
READY = ("--ready-when", "exec:true")
SHAPES = {"watch": READY, "supervise": (*READY, "--supervise")}
# What the shell starts: a worker, one that ignores SIGTERM, and one in a session of its own without any variable.
WORKER = "sleep 1001 & echo $!; "
STUBBORN = "sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1002; done' & "
ELSEWHERE = "env -i setsid sh -c 'echo $$; exec sleep 1003' & "
WAIT = "exec sleep 1004"


class Service:
    """One bridge with its daemon. pidfds: of the main process and of what it has started, in that order."""

    def __init__(self, run: Run, lines: int) -> None:
        self.run = run
        assert run.process.stdout is not None
        self.pids = [int(run.process.stdout.readline()) for _ in range(lines)]
        self.pidfds = [os.pidfd_open(pid) for pid in self.pids]
        run.err.hears("ready after")

    def send(self, number: int) -> None:
        """A signal to the main process."""
        signal.pidfd_send_signal(self.pidfds[0], number)

    def ended(self, number: int, seconds: float = LONGEST_S) -> bool:
        """Whether this one has ended, or does in this time."""
        return bool(select.select([self.pidfds[number]], [], [], seconds)[0])


def service(place: Place, *options: str, command: str, lines: int, target: str = "plain") -> Service:
    """A service whose processes say so many PIDs; as under an init its main process leads a session."""
    run = place.spawn(
        "-t",
        target,
        *options,
        command=("/bin/sh", "-c", f"echo $$; {command}"),
        stdout=subprocess.PIPE,
        session=True,
    )
    return Service(run, lines)


@pytest.mark.parametrize("mode", [(), ("--kill-mode=control-group",), ("--kill-mode=mixed",)], ids=" ".join)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_worker_ends_with_a_main_process_that_is_killed(place: Place, shape: str, mode: tuple[str, ...]) -> None:
    found = service(place, *SHAPES[shape], *mode, command=WORKER + WAIT, lines=2)
    found.send(signal.SIGKILL)
    assert found.ended(1)
    assert found.run.ends() == -signal.SIGKILL
    place.nothing_remains()


@pytest.mark.parametrize("shape", SHAPES)
def test_what_ignores_that_is_killed_in_time(place: Place, shape: str) -> None:
    found = service(place, *SHAPES[shape], "--stop-timeout", "0.5", command=STUBBORN + WAIT, lines=2)
    found.send(signal.SIGKILL)
    assert found.ended(1)
    found.run.err.hears("did not end within 0.5 s: sending SIGKILL")
    place.nothing_remains()


@pytest.mark.parametrize("mode", ["process", "none"])
@pytest.mark.parametrize("shape", SHAPES)
def test_it_may_be_left_on_purpose(place: Place, shape: str, mode: str) -> None:
    found = service(place, *SHAPES[shape], "--kill-mode", mode, command=WORKER + WAIT, lines=2)
    found.send(signal.SIGKILL)
    assert found.run.ends() == -signal.SIGKILL
    assert not found.ended(1, 0.3)
    end(found.pids[1:])
    place.nothing_remains()


def test_whoever_supervises_finds_what_has_left_its_session_and_its_variables(place: Place) -> None:
    found = service(place, *SHAPES["supervise"], command=ELSEWHERE + WAIT, lines=2)
    found.send(signal.SIGKILL)
    assert found.ended(1)
    place.nothing_remains()


@pytest.mark.parametrize("mode", [(), ("--kill-mode=mixed", "--stop-timeout=0.5")], ids=" ".join)
def test_a_wrapper_that_ignores_a_stop_ends(place: Place, mode: tuple[str, ...]) -> None:
    command = "trap : TERM; sh -c 'trap \"exit 0\" TERM; echo $$; while :; do sleep 0.05; done'; exit 7"
    found = service(place, *SHAPES["supervise"], *mode, command=command, lines=2)
    found.run.process.terminate()
    assert found.run.ends() == (-signal.SIGKILL if mode else 7)
    assert found.ended(1)
    place.nothing_remains()


@pytest.mark.parametrize("shape", SHAPES)
def test_what_was_there_before_the_daemon_is_let_alone(place: Place, shape: str) -> None:
    before = ("/bin/sh", "-c", 'sleep 1005 & echo $!; sleep 0.05; exec "$@"', "sh")
    run = place.spawn(
        *("-t", "plain", *SHAPES[shape]),
        command=("/bin/sh", "-c", f"echo $$; {WORKER}{WAIT}"),
        wrapper=before,
        stdout=subprocess.PIPE,
        session=True,
    )
    found = Service(run, 3)
    signal.pidfd_send_signal(found.pidfds[1], signal.SIGKILL)
    assert found.ended(2)
    assert run.ends() == -signal.SIGKILL
    assert not found.ended(0, 0.3)
    end(found.pids[:1])
    place.nothing_remains()


@pytest.mark.skipif(
    os.geteuid() != 0, reason="needs root's folder, or one of the user's own, for the next start to know"
)
def test_the_next_start_waits_until_it_has_ended(place: Place) -> None:
    # A shell starts nothing anew, so there two of one name have nothing to do with each other.
    options = (*SHAPES["watch"], "--stop-timeout", "1.5", "--init", "daemontools")
    found = service(place, *options, command=STUBBORN + WAIT, lines=2)
    found.send(signal.SIGKILL)
    found.run.ends()
    assert not found.ended(1, 0)
    again = place.spawn(
        "-t", "plain", *options, command=("/bin/sh", "-c", "echo $$; " + WAIT), stdout=subprocess.PIPE, session=True
    )
    assert again.process.stdout is not None
    again.process.stdout.readline()
    assert found.ended(1, 0)
    again.err.hears("waiting for what its last start has left to end (--stop-timeout)")
    again.process.kill()
    place.nothing_remains()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root's folder, for the next start to know")
def test_the_next_start_can_listen_where_the_last_one_did(place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        listen = ("--listen", f"tcp:127.0.0.1:{free.getsockname()[1]}")
    options = (*SHAPES["watch"], "--stop-timeout", "1.5", "--init", "daemontools", *listen)
    first = service(place, *options, command=STUBBORN + WAIT, lines=2, target="systemd")
    first.send(signal.SIGKILL)
    first.run.ends()
    assert not first.ended(1, 0)  # and has the socket
    second = service(place, *options, command=WAIT, lines=1, target="systemd")
    second.run.process.kill()
    place.nothing_remains()


REFUSED = {
    "-t systemd -N --end-after-ready --kill-mode mixed": "--kill-mode needs somebody who stays",
    "-t systemd -N --end-after-ready --stop-timeout 5": "--stop-timeout needs somebody who stays",
    "-t systemd -N --kill-mode none --stop-timeout 5": "with --kill-mode none nothing is",
    "-t upstart --init systemd --kill-mode process": "let the unit have KillMode=",
    "-t upstart --init systemd --supervise --stop-timeout 5": "let the unit have TimeoutStopSec=",
    "-t inetd:nowait --listen tcp:127.0.0.1:0 --kill-mode mixed": "each client gets a daemon of its own here",
}


@pytest.mark.parametrize("options", REFUSED)
def test_it_is_refused_where_nobody_would_do_it(options: str) -> None:
    words = [str(BRIDGE), *options.split(), "--", "/bin/true"]
    ran = subprocess.run(words, env={"PATH": PATH}, capture_output=True, text=True, timeout=LONGEST_S)
    assert ran.returncode == 125
    assert REFUSED[options] in ran.stderr
