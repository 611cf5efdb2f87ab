"""Faults on purpose, shortly: a sample over all shapes. `make faults` makes all of them."""

import os
from dataclasses import replace
from errno import EAGAIN, EIO, EMFILE, EPIPE
from fcntl import F_GETFD
from socket import MSG_DONTWAIT

import pytest

from tests.injection.calls import ERRORS, KINDS, Call, Fault, faults
from tests.injection.campaign import Campaign
from tests.injection.judge import (
    DAEMON_LEFT,
    FALSE_READY,
    HANG,
    LEFTOVER,
    MISTAKE,
    NEVER_READY,
    NOT_TOLD,
    SILENT,
    TRACEBACK,
    judge,
)
from tests.injection.play import Seen
from tests.injection.programs import call_numbers
from tests.injection.scene import Outcome
from tests.injection.shapes import SHAPES
from tests.support.packages import need

SECONDS, JOBS, SEED = 15, 4, 20261126
LINE = "cross-init-bridge: telling s6 that the daemon is ready failed"
RIGHT = Seen(hit=True, started=True, said=True, told=True)
ENDED = Seen(hit=True, status=125 << 8, text=LINE)
KILLED = Fault("main", "read", 1, "file", 0)
FAILED = Fault("main.1", "openat", 3, "none", EMFILE)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for namespaces")
@pytest.mark.timeout(180)
def test_no_fault_of_a_sample_does_harm() -> None:
    campaign = Campaign(list(SHAPES), KINDS, JOBS, SEED)
    results = list(campaign.run(SECONDS))
    assert [result.outcome.broken for result in results if result.outcome.broken] == []
    assert [line for result in results for line in result.lines()] == []
    landed = [result for result in results if result.outcome.seen.hit]
    assert {result.shape for result in landed} >= {name for name, shape in SHAPES.items() if not shape.is_real}


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for namespaces")
def test_a_fault_lands_where_it_is_meant_to() -> None:
    campaign = Campaign(["exec"], KINDS, 1, SEED)
    # The last thing that a start does: killed there, it is no daemon yet; refused, it says so.
    of = [("exec", Fault("main", "execve", 1, "none", error)) for error in (0, EMFILE)]
    _, killed, refused = (result.outcome.seen for result in campaign.run(only=of))
    assert (killed.hit, killed.started, killed.status) == (True, False, 9)
    assert (refused.hit, refused.started, refused.status) == (True, False, 126 << 8)
    assert "Too many open files" in refused.text


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for namespaces")
def test_what_only_our_own_write_brings_does_not_reach_the_daemon() -> None:
    # Killed when it is let go, and no witness is there yet: what is said to that is written into a broken pipe.
    fault = Fault("main.1", "clone", 2, "none", 0)
    *_, result = Campaign(["hand over, systemd"], KINDS, 1, SEED).run(only=[("hand over, systemd", fault)])
    assert (result.outcome.broken, result.lines()) == ("", [])
    seen = result.outcome.seen
    assert (seen.hit, seen.told, seen.status) == (True, True, 0)


@pytest.mark.parametrize(
    ("shape", "fault", "outcome", "wrong"),
    [
        ("watch, s6", FAILED, Outcome(RIGHT), ""),
        ("watch, s6", FAILED, Outcome(ENDED), ""),
        ("watch, s6", FAILED, Outcome(replace(RIGHT, early=True)), FALSE_READY),
        ("watch, s6", FAILED, Outcome(replace(RIGHT, dead=True)), FALSE_READY),
        ("front", FAILED, Outcome(replace(RIGHT, status=0, notes=["the PID file: none"])), FALSE_READY),
        ("supervise, none", KILLED, Outcome(replace(RIGHT, status=9, left_alone="State: S")), DAEMON_LEFT),
        (
            "supervise, none",
            KILLED,
            Outcome(replace(RIGHT, processes=["/x/daemon /run/faults/stage (S)"])),
            DAEMON_LEFT,
        ),
        ("watch, s6", FAILED, Outcome(replace(RIGHT, told=False)), NEVER_READY),
        ("watch, s6", FAILED, Outcome(replace(RIGHT, told=False, text=LINE)), NOT_TOLD),
        ("exec", FAILED, Outcome(replace(RIGHT, told=False)), ""),
        ("watch, s6", FAILED, Outcome(replace(RIGHT, told=False, said=False)), HANG),
        ("hand over, systemd", FAILED, Outcome(RIGHT), HANG),
        ("hand over, systemd", FAILED, Outcome(replace(RIGHT, status=0)), ""),
        ("watch, s6", FAILED, Outcome(replace(RIGHT, processes=["sleep (S)"])), LEFTOVER),
        ("watch, s6", KILLED, Outcome(RIGHT, left=["/run/cross-init/x"]), LEFTOVER),
        ("watch, s6", KILLED, Outcome(RIGHT, next_start="told False"), LEFTOVER),
        ("watch, s6", FAILED, Outcome(replace(ENDED, text="Traceback (most recent call last):")), TRACEBACK),
        ("watch, s6", FAILED, Outcome(replace(ENDED, text=f"{LINE}: a mistake in it")), MISTAKE),
        ("watch, s6", FAILED, Outcome(replace(ENDED, text="")), SILENT),
        ("watch, s6", KILLED, Outcome(replace(ENDED, status=9, text="")), ""),
        ("watch, s6", replace(KILLED, role="main:1"), Outcome(replace(ENDED, status=9, text="")), ""),
        ("watch, s6", replace(KILLED, role="main.1"), Outcome(replace(ENDED, text="")), SILENT),
        ("front", replace(KILLED, role="main.1"), Outcome(replace(ENDED, status=9, text="")), ""),
        ("watch, s6", Fault("main", "write", 1, "pipe", EPIPE), Outcome(replace(ENDED, text="", hit_first=2)), ""),
        ("watch, none", Fault("main", "write", 1, "pipe", EPIPE), Outcome(replace(RIGHT, told=False, hit_first=2)), ""),
        ("watch, s6", FAILED, Outcome(replace(ENDED, text="", became=True)), ""),
        ("front", Fault("main", "exit_group", 1, "none", 0), Outcome(replace(RIGHT, status=9, left_alone="S")), ""),
    ],
)
def test_what_is_wrong_is_seen(shape: str, fault: Fault, outcome: Outcome, wrong: str) -> None:
    assert list(judge(SHAPES[shape], fault, outcome)) == ([wrong] if wrong else [])


def test_each_call_meets_its_errors_and_a_kill() -> None:
    calls = [Call("main", "pipe2"), Call("main", "fcntl", (3, F_GETFD)), Call("main", "pipe2")]
    found = faults(calls)
    of = (("pipe2", 1), ("fcntl", 1), ("pipe2", 2))
    kills = [Fault("main", call, count, "none", 0) for call, count in of]
    assert [fault for fault in found if not fault.error] == kills
    assert {fault.error for fault in found if fault.call == "pipe2" and fault.count == 2} == {0, *ERRORS["pipe2"]}
    assert [fault for fault in found if fault.call == "fcntl"] == [kills[1]]


def test_errors_are_such_as_the_call_may_have_there() -> None:
    assert EPIPE in Call("main", "write", (2, 0, 1, 0), "pipe").errors
    assert EPIPE not in Call("main", "write", (9, 0, 1, 0), "pipe").errors
    assert EAGAIN not in Call("main", "write", (9, 0, 1, 0), "pipe").errors
    assert EAGAIN not in Call("main", "recvmsg", (9, 0, 0, 0), "socket").errors
    assert EAGAIN in Call("main", "recvmsg", (9, 0, MSG_DONTWAIT, 0), "socket").errors
    assert Call("main", "close", (9, 0, 0, 0), "pipe").errors == ()
    assert EIO in Call("main", "close", (9, 0, 0, 0), "file").errors


def test_the_calls_of_the_table_are_calls() -> None:
    need("gcc", "libc6-dev")
    known = call_numbers()
    assert known["openat"] > 0
    old = {"open", "stat", "lstat", "fork", "dup2", "mkdir", "rmdir", "rename", "unlink", "readlink", "chmod", "poll"}
    assert {name.partition(",")[0] for name in ERRORS} - set(known) <= old | {
        "renameat"
    }  # newer architectures do without them
