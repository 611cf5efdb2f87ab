"""What a container's first process does: each of tini, dumb-init, catatonit and the bridge, asked the same.

Each is process 1 of a PID namespace. Where one of them does not do a thing, that stands in the table.
"""

import os
import signal
import subprocess
import time

import pytest

from tests.support.alone import ALONE
from tests.support.command import BRIDGE, PATH
from tests.support.packages import need
from tests.support.processes import children, named
from tests.support.waiting import until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a PID namespace of its own")
LONGEST_S = 20
OURS = "the bridge"
WORDS: dict[str, tuple[str, ...]] = {
    "tini": ("tini", "{tini}", "--"),
    "dumb-init": ("dumb-init", "{dumb-init}", "--"),
    "catatonit": ("catatonit", "{catatonit}", "--"),
    OURS: (str(BRIDGE), "--init", "container", "-t", "plain", "{the bridge}", "--"),
}


def start(program: str, command: str, **options: str) -> "subprocess.Popen[str]":
    """One of the four as process 1, with the shell's command. options: each program's own, by its name."""
    if program != OURS:
        need(program)
    given = {name.replace("_", "-"): words for name, words in options.items()}
    given[OURS] = given.pop("ours", "")
    words: list[str] = []
    for word in WORDS[program]:
        words += given.get(program, "").split() if word == f"{{{program}}}" else [word]
    return subprocess.Popen(
        [*ALONE, *words, "/bin/sh", "-c", command],
        env={"PATH": PATH},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def process_1(outer: "subprocess.Popen[str]") -> int:
    """As this namespace numbers it. outer: unshare, which has taken the place of setpriv."""
    until(lambda: len(children(outer.pid)) == 1, "the namespace is there")
    return children(outer.pid)[0]


def ends(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Its exit code, and what it has said on standard output."""
    try:
        said, _ = process.communicate(timeout=LONGEST_S)
        return process.returncode, said
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("program", WORDS)
@pytest.mark.parametrize(
    ("command", "code"), [("exit 0", 0), ("exit 42", 42), ("kill -TERM $$", 143), ("kill -KILL $$", 137)]
)
def test_the_exit_code_is_the_daemons(program: str, command: str, code: int) -> None:
    assert ends(start(program, command))[0] == code


@pytest.mark.parametrize("program", WORDS)
def test_a_stop_is_passed_on(program: str) -> None:
    process = start(program, "trap 'echo TERM; exit 7' TERM; echo up; while :; do sleep 0.05; done")
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    os.kill(process_1(process), signal.SIGTERM)
    assert ends(process) == (7, "TERM\n")


@pytest.mark.parametrize("program", WORDS)
def test_orphans_are_reaped(program: str) -> None:
    process = start(program, "(sleep 0.01 & sleep 0.01 &); echo up; exec sleep 1000")
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    first = process_1(process)
    until(lambda: len([pid for pid in below(first) if named(pid) == "sleep"]) == 1, "the orphans have gone")
    process.kill()
    ends(process)


def below(pid: int) -> list[int]:
    found = children(pid)
    return [*found, *(each for child in found for each in below(child))]


# Of QUIT and TERM, which the daemon gets for them. tini and catatonit rewrite nothing.
@pytest.mark.parametrize(
    ("program", "gets"), [("dumb-init", "INT"), (OURS, "INT"), ("tini", "TERM"), ("catatonit", "TERM")]
)
def test_signals_are_rewritten_and_dropped(program: str, gets: str) -> None:
    command = 'for each in TERM INT QUIT HUP; do trap "echo $each" $each; done; echo up; while :; do sleep 0.05; done'
    options = {"dumb_init": "--rewrite 15:2 --rewrite 3:0", "ours": "--rewrite-signal TERM:INT --rewrite-signal QUIT:0"}
    process = start(program, command, **options)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    first = process_1(process)
    os.kill(first, signal.SIGTERM)
    assert process.stdout.readline() == f"{gets}\n"
    os.kill(first, signal.SIGQUIT)
    if gets == "TERM":
        assert process.stdout.readline() == "QUIT\n"
    os.kill(first, signal.SIGHUP)
    assert process.stdout.readline() == "HUP\n"
    process.kill()
    ends(process)


# catatonit and dumb-init map no exit codes.
@pytest.mark.parametrize(("program", "code"), [("tini", 0), (OURS, 0), ("dumb-init", 143), ("catatonit", 143)])
def test_exit_codes_are_mapped(program: str, code: int) -> None:
    options = {"tini": "-e 143 -e 5", "ours": "--success-exit-status 143 --success-exit-status 5"}
    assert ends(start(program, "kill -TERM $$", **options))[0] == code
    assert ends(start(program, "exit 5", **options))[0] == (5 if code else 0)
    assert ends(start(program, "exit 6", **options))[0] == 6


# What is left when the daemon has ended is told to end, and waited for (krallin/tini#180): of the four, by us alone.
@pytest.mark.parametrize(
    ("program", "waits"), [("tini", False), ("dumb-init", False), ("catatonit", False), (OURS, True)]
)
def test_what_is_left_is_told_to_end_and_waited_for(program: str, waits: bool) -> None:
    left = "trap 'sleep 0.3; echo late; exit' TERM; echo up; while :; do sleep 0.05; done"
    process = start(program, f'setsid sh -c "{left}" & sleep 0.3; exit 3', ours="--kill-mode control-group")
    code, said = ends(process)
    assert code == 3
    assert said.split() == (["up", "late"] if waits else ["up"])


def test_only_as_long_as_was_asked_for() -> None:
    left = "trap '' TERM; echo up; while :; do sleep 0.05; done"
    began = time.monotonic()
    process = start(
        OURS, f'setsid sh -c "{left}" & sleep 0.3; exit 3', ours="--kill-mode control-group --stop-timeout 0.5"
    )
    assert ends(process) == (3, "up\n")
    assert time.monotonic() - began < 10


def test_what_was_started_from_outside_is_waited_for_as_well() -> None:
    process = start(OURS, "echo up; exec sleep 1000", ours="--kill-mode control-group")
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    enter = ("nsenter", "--target", str(process_1(process)), "--pid", "--mount", "/bin/sh", "-c")
    command = "trap 'sleep 0.3; echo late; exit' TERM; echo there; while :; do sleep 0.05; done"
    other = subprocess.Popen([*enter, command], env={"PATH": PATH}, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "there\n"
    os.kill(process_1(process), signal.SIGTERM)
    assert ends(process)[0] == 143
    assert other.communicate(timeout=LONGEST_S)[0] == "late\n"
