"""A daemon of which nothing is heard for a while: one line, with what is waited for and why that may be."""

import os
import re
import shutil
import signal
from pathlib import Path

import pytest

from cross_init.kernel.evidence import WRAPPERS
from cross_init.readiness.silence import Seen, reason
from cross_init.systems.dinit import Target as Dinit
from cross_init.systems.s6 import Target as ForS6
from cross_init.systems.systemd_target import Target as Systemd
from tests.support.command import ROOT
from tests.support.observed import PUPPET, PYTHON, Place, Run
from tests.support.waiting import lives_through

SOON_S = 0.5
SILENT = re.compile(r"waiting for \S+ \(PID \d+\) to be ready: after .* nothing was heard of it, .*\n")
FOREVER = ("/bin/sh", "-c", "exec sleep 1000")


@pytest.fixture
def impatient(place: Place) -> Path:
    """A bridge to which half a second is what half a minute is to others; a checkout's, as no other can be changed."""
    for name in ("src", "bin"):
        shutil.copytree(ROOT / name, place.folder / name, ignore=shutil.ignore_patterns("__pycache__"), symlinks=True)
    module = place.folder / "src/cross_init/readiness/silence.py"
    text = module.read_text()
    assert "SILENT_S = 30.0" in text
    module.write_text(text.replace("SILENT_S = 30.0", f"SILENT_S = {SOON_S}"))
    return place.folder / "bin/cross-init-bridge"


def line(run: Run) -> str:
    """What is said, when it is."""
    run.err.hears("nothing was heard of it")
    run.err.hears("\n")
    found = SILENT.search(run.err.text.decode())
    assert found
    return found[0]


WAITS: dict[str, tuple[tuple[str, ...], str]] = {
    "systemd": (("-t", "systemd", "-N"), "waits for READY=1: perhaps it needs an option"),
    "upstart": (("-t", "upstart", "-N"), "waits for the daemon to stop itself: perhaps it needs an option"),
    "s6": (("-t", "s6", "-N"), "waits for a newline on its descriptor: perhaps it needs an option"),
    "dinit": (("-t", "dinit:fd=5", "-N"), "waits for a write to its descriptor: perhaps it needs an option"),
    "sysv": (("-t", "sysv", "-N"), "to end with 0 and leave a daemon: perhaps it needs an option"),
    "plain": (("-t", "plain", "--ready-when", "file:/nonexistent/x"), "waits for file:/nonexistent/x\n"),
}


@pytest.mark.parametrize("target", WAITS)
def test_it_is_said_once_with_the_reasons_that_there_often_are(place: Place, impatient: Path, target: str) -> None:
    words, said = WAITS[target]
    run = place.spawn(*words, command=FOREVER, bridge=impatient)
    assert said in line(run)
    assert not re.search("[A-Z]", said.split("perhaps")[-1])
    run.process.terminate()
    assert run.ends() == -signal.SIGTERM
    assert len(SILENT.findall(run.err.rest())) == 1


def test_on_the_way_to_a_new_main_process_as_well(place: Place, impatient: Path) -> None:
    """Where the daemon is handed over nobody is beside it: the bridge itself waits."""
    run = place.spawn("-t", "upstart", "-N", "--daemonize", command=FOREVER, bridge=impatient)
    assert "perhaps it needs an option to stop itself" in line(run)
    run.process.terminate()
    run.ends()


def test_one_that_has_spoken_is_not_called_silent(place: Place, impatient: Path, shape: tuple[str, ...]) -> None:
    run = place.begin("-t", "systemd", "-N", *shape, bridge=impatient)
    run.puppet.send(repr(b"STATUS=loading"))
    assert lives_through(run.puppet.pid, 2 * SOON_S)
    run.puppet.send(repr(b"READY=1"))
    run.becomes_ready()
    run.puppet.tell("exit 0")
    run.ends()
    assert not SILENT.search(run.err.rest())


@pytest.mark.parametrize("wrapper", ["env -i", "a child of sh, without it", "a child of sh"])
def test_who_stands_before_it_is_named(place: Place, impatient: Path, wrapper: str, shape: tuple[str, ...]) -> None:
    command = (*PYTHON, PUPPET, str(place.folder / "stage"))
    words = " ".join(command)
    daemon: tuple[str, ...] = {
        "env -i": ("/usr/bin/env", "-i", *command),
        "a child of sh, without it": ("/bin/sh", "-c", f"env -i {words}; exit"),
        "a child of sh": ("/bin/sh", "-c", f"{words}; exit"),
    }[wrapper]
    run = place.spawn("-t", "systemd", "-N", *shape, "--watchdog", "60", command=daemon, bridge=impatient)
    puppet = place.stage.puppet()
    said = line(run)
    assert "perhaps" not in said
    if wrapper != "a child of sh":
        assert f"process {puppet.pid} ({words[:40]}" in said
        assert "has no NOTIFY_SOCKET, which what was run before it has dropped" in said
    if wrapper.startswith("a child"):
        assert re.search(
            rf"process \d+ \(/bin/sh -c .*\) is what is listened to, and waits for process {puppet.pid} ", said
        )
        assert "write exec before that there, or say --notify-access all" in said
    if wrapper == "a child of sh":
        assert "WATCHDOG_PID in its variables mean that one" in said
        puppet.send(repr(b"READY=1"))
        run.err.hears("with --notify-access all whatever was started in the service may)")
        puppet.tell("exit 0")


def test_one_whose_helper_has_spoken_is_told_what_lets_it(
    place: Place, impatient: Path, shape: tuple[str, ...]
) -> None:
    run = place.begin("-t", "systemd", "-N", *shape, bridge=impatient)
    run.puppet.do("child = os.fork()\nif not child: notify('READY=1'); os._exit(0)\nos.waitpid(child, 0)")
    run.err.hears("which may not speak for the service (--notify-access main, process ")
    said = line(run)
    assert re.search(r"READY=1: process \d+ has spoken, which may not \(--notify-access main\): say --notify-acc", said)
    run.puppet.tell("exit 0")


def seen(pid: int, parent: int, words: str, *environ: bytes) -> Seen:
    return Seen(pid, parent, words.split(), list(environ))


HAS = b"NOTIFY_SOCKET=/run/x"
SHELL, DAEMON = seen(10, 1, "sh -c d", HAS), seen(11, 10, "d", HAS)


@pytest.mark.parametrize(
    ("processes", "access", "says"),
    [
        ([], "main", ""),
        ([seen(10, 1, "d", HAS)], "main", ""),
        ([seen(10, 1, "d", HAS), seen(11, 10, "worker", HAS)], "main", ""),
        ([seen(10, 1, "d", b"A=b")], "main", "process 10 (d) has no NOTIFY_SOCKET"),
        ([seen(10, 1, "d")], "main", "process 10 (d) has no NOTIFY_SOCKET"),
        ([seen(10, 1, "nginx: master", b"process", b"")], "main", ""),  # written over, for ps(1)
        ([seen(10, 1, "d", b"", b"", b"")], "main", ""),
        ([Seen(10, 1, ["d"], None)], "main", ""),
        ([SHELL, DAEMON], "all", "write exec before that there"),
        ([SHELL, DAEMON], "main", "write exec before that there, or say --notify-access all"),
        ([SHELL, seen(11, 10, "su - u", HAS), seen(12, 11, "d")], "main", "process 12 (d) has no NOTIFY_SOCKET"),
        ([SHELL, seen(11, 10, "d", HAS, b"LISTEN_PID=10", b"WATCHDOG_PID=10")], "main", "LISTEN_PID and WATCHDOG_PID"),
        ([SHELL, seen(11, 10, "d", HAS, b"LISTEN_PID=11")], "main", "waits for process 11 (d): write exec"),
    ],
)
def test_what_the_processes_show(processes: list[Seen], access: str, says: str) -> None:
    said = reason(processes, Systemd(), access)
    assert (says in said) if says else not said
    if access == "all":
        assert "--notify-access" not in said


def test_what_the_processes_of_others_show() -> None:
    dinit = Dinit()
    dinit.configure("var=READY_FD")
    assert "process 10 (d) has no READY_FD" in reason([seen(10, 1, "d")], dinit, "main")
    s6 = reason([seen(10, 1, "sh -c d"), seen(11, 10, "d")], ForS6(), "main")
    assert s6.endswith("write exec before that there")
    assert all(reason([seen(10, 1, f"{each} d"), seen(11, 10, "d")], ForS6(), "main") for each in WRAPPERS)


def test_nothing_waits_for_half_a_minute_that_need_not(place: Place, impatient: Path) -> None:
    """Nobody is started to look where there is nothing to be said by it; and what is ready is looked at no more."""
    run = place.begin("-t", "systemd", "-N", bridge=impatient)
    run.puppet.send(repr(b"READY=1"))
    run.becomes_ready()
    watcher = run.observer
    assert lives_through(run.puppet.pid, 2 * SOON_S)
    assert not SILENT.search(run.err.text.decode())
    assert os.path.exists(f"/proc/{watcher}")
