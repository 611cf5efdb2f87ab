"""Where the machine is short of something: it works all the same, or it is one line, 125, and nothing is left.

Each case is a bridge in namespaces of its own, so that what it leaves can be counted.
"""

import os
import platform
import re
from pathlib import Path

import pytest

from tests.support.command import BRIDGE
from tests.support.counted import Outcome, counted

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for namespaces")

REFUSE = str(Path(__file__).parent / "support" / "refuse.py")
SAYS_READY = """
import os, socket, time
where = os.environ["NOTIFY_SOCKET"]
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"READY=1", "\\0" + where[1:] if where[0] == "@" else where)
time.sleep(0.3)
"""
DAEMON = ("/usr/bin/python3", "-ISc", SAYS_READY)
WRITES = ("sh", "-c", "sleep 0.1; echo $$ >/run/new; sleep 0.3")
READY = "is ready after"
WATCH, SUPERVISE, DAEMONIZE = ("-t systemd -N", "-t systemd -N --supervise", "-t systemd -N --daemonize")
PLAIN = "-t plain --ready-when"
OTHER = "setpriv --reuid 54321 --regid 54321 --clear-groups"


def sh(script: str) -> tuple[str, ...]:
    """What runs the rest of its words after this script, in a mount namespace of its own."""
    return ("unshare", "--mount", "--propagation", "private", "sh", "-c", f'{script} && exec "$@"', "sh")


def refuse(call: str, error: str) -> tuple[str, ...]:
    return ("/usr/bin/python3", "-IS", REFUSE, call, error)


def limit(what: str) -> tuple[str, ...]:
    return ("prlimit", f"--{what}")


def run(wrapper: tuple[str, ...], options: str, *daemon: str) -> Outcome:
    return counted((*wrapper, str(BRIDGE), "--init", "none", *options.split(), "--", *(daemon or DAEMON)))


NO_PROC, NO_DEV = sh("mount -t tmpfs none /proc"), sh("mount -t tmpfs none /dev")
READ_ONLY, FULL = sh("mount -o remount,ro /run"), sh("mount -t tmpfs -o size=4k,nr_inodes=1 none /run")
GONE = sh("mkdir /run/gone && cd /run/gone && rmdir /run/gone")
HIGH = (*sh("mkdir /run/cross-init-status"), *limit("nofile=5"))
NO_INOTIFY = ("unshare", "-Ur", "sh", "-c", 'echo 0 >/proc/sys/user/max_inotify_instances && exec "$@"', "sh")

# By what it is short of: how that comes, the options, and what is said.
WORKS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "no /proc, watch": (NO_PROC, WATCH, READY),
    "no /proc, supervise": (NO_PROC, SUPERVISE, READY),
    "no /dev, watch": (NO_DEV, WATCH, READY),
    "no /dev, supervise": (NO_DEV, SUPERVISE, READY),
    "no /dev, front": (NO_DEV, DAEMONIZE, ""),
    "a read-only /run, watch": (READ_ONLY, WATCH, READY),
    "a read-only /run, supervise": (READ_ONLY, SUPERVISE, READY),
    "a full /run, watch": (FULL, WATCH, READY),
    "a full /run, supervise": (FULL, SUPERVISE, READY),
    "no file may be written": (limit("fsize=0"), WATCH, READY),
    "100 open files, and HTTP": (limit("nofile=100"), f"{WATCH} --health-listen unix:@scarcity", READY),
    "24 open files, and HTTP": (limit("nofile=24"), f"{SUPERVISE} --health-listen unix:@scarcity", READY),
    "a removed directory": (GONE, WATCH, READY),
    "a removed directory, and an absolute path": (GONE, "-t systemd -N --state-file /run/state", READY),
    "a removed directory, and a command": (GONE, f"{WATCH} --ready-when exec:true", READY),
    "an old kernel's way to write": (refuse("pwritev2", "ENOSYS"), WATCH, READY),
}
FAILS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "no pidfd, watch": (refuse("pidfd_open", "ENOSYS"), WATCH, "Linux 5.3 or newer is needed"),
    "no pidfd, supervise": (refuse("pidfd_open", "ENOSYS"), SUPERVISE, "Linux 5.3 or newer is needed"),
    "no pidfd, front": (refuse("pidfd_open", "ENOSYS"), DAEMONIZE, "Linux 5.3 or newer is needed"),
    "no pidfd, serve": (
        *(refuse("pidfd_open", "ENOSYS"), "-t inetd:nowait -N --listen unix:@scarcity"),
        "Linux 5.3 or newer is needed",
    ),
    "no signal by a pidfd": (refuse("pidfd_send_signal", "EPERM"), SUPERVISE, "a sandbox has to allow pidfd_open"),
    "no thread": ((*OTHER.split(), "prlimit", "--nproc=3"), SUPERVISE, "gave no thread .* is a limit on processes"),
    "no process": ((*OTHER.split(), "prlimit", "--nproc=2"), SUPERVISE, "gave no process .* is a limit on processes"),
    **{
        f"no process for the {which}": (
            (*OTHER.split(), "prlimit", f"--nproc={most}"),
            WATCH,
            "starting the watcher: .* is a limit on processes",
        )
        for most, which in enumerate(("helper", "witness", "watcher"), 1)
    },
    "few open files": (limit("nofile=5"), SUPERVISE, "raise the limit on open files"),
    "few open files, and HTTP": (
        *(HIGH, f"{WATCH} --health-listen unix:/run/cross-init-status/h"),
        "raise the limit on open files",
    ),
    "a removed directory, state": (GONE, f"{WATCH} --state-file x", "--state-file x: .* was it removed?"),
    "a removed directory, PID file": (GONE, f"{DAEMONIZE} --pid-file x", "--pid-file x: .* was it removed?"),
    "a removed directory, store": (GONE, f"{WATCH} --fd-store 3", "--fd-store: .* was it removed?"),
    "no descriptor to be told by": (limit("nofile=8"), f"{WATCH} --ready-fd 7", "is no number of a descriptor"),
}


@pytest.mark.parametrize("case", WORKS)
def test_it_works_all_the_same(case: str) -> None:
    wrapper, options, says = WORKS[case]
    outcome = run(wrapper, options)
    assert outcome.status == 0, outcome
    assert len(outcome.lines) == bool(says), outcome
    assert re.search(says, "".join(outcome.lines)), outcome
    assert outcome.left == []


@pytest.mark.parametrize("case", FAILS)
def test_it_is_one_line_and_nothing_is_left(case: str) -> None:
    wrapper, options, says = FAILS[case]
    outcome = run(wrapper, options)
    assert outcome.status == 125, outcome
    assert len(outcome.lines) == 1, outcome
    assert re.search(f"^cross-init-bridge: .*{says}", outcome.lines[0]), outcome
    assert outcome.left == []


@pytest.mark.parametrize("shape", ["", "--supervise "])
@pytest.mark.parametrize("condition", ["file:/run/new", "pid-file:/run/new", "file:/run/a/b/new"])
def test_without_inotify_it_is_asked_in_steps(shape: str, condition: str) -> None:
    daemon = WRITES if "/a/" not in condition else ("sh", "-c", "mkdir -p /run/a/b; : >/run/a/b/new; sleep 1")
    outcome = run(NO_INOTIFY, f"{shape}{PLAIN} {condition}", *daemon)
    assert (outcome.status, outcome.left) == (0, [])
    assert len(outcome.lines) == 1, outcome
    assert READY in outcome.lines[0]


def test_without_inotify_a_pid_file_is_found() -> None:
    script = "(sh -c 'echo $PPID >/run/new'; sleep 0.5) & exit 0"
    outcome = run(NO_INOTIFY, "-t sysv -N --pid-file /run/new", "sh", "-c", script)
    assert (outcome.status, outcome.left) == (0, [])
    assert READY in outcome.lines[0]


def test_without_a_thread_a_url_is_asked_for_later() -> None:
    wrapper = (*OTHER.split(), "prlimit", "--nproc=4")
    outcome = run(wrapper, f"--supervise {PLAIN} http://127.0.0.1:1/", "sleep", "0.3")
    assert (outcome.status, outcome.left) == (0, [])
    assert len(outcome.lines) == 2, outcome
    assert "the kernel gave no thread for it" in outcome.lines[0]
    assert "ended (exit code 0) while it still waited for http:" in outcome.lines[1]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="system calls are known by their numbers")
@pytest.mark.parametrize("options", [WATCH, SUPERVISE])
@pytest.mark.parametrize("error", ["ENOMEM", "ENOBUFS"])
def test_what_cannot_be_received_is_said_once_and_ends_nothing(options: str, error: str) -> None:
    outcome = run(refuse("recvmsg", error), options)
    said = [line for line in outcome.lines if "trying again" in line]
    assert (outcome.status, outcome.left, len(said)) == (0, [], 1), outcome
    assert not [line for line in outcome.lines if "mistake" in line]
