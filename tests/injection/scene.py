"""One run of a fault in namespaces of its own: the start with the fault, what it leaves, and the next start.

Runs in a process that was forked for it and is PID 1 there; it answers on a pipe.
"""

import json
import os
import signal
import sys
import time
import traceback
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.injection.calls import Call, Fault
from tests.injection.inits import FOLDER, PLACE, STAND_INS, StandIn
from tests.injection.loop import Loop
from tests.injection.namespaces import end_with_parent, settle_in, unshare
from tests.injection.play import Play, Seen
from tests.injection.programs import Kit
from tests.injection.s6 import Supervised
from tests.injection.shapes import Shape

LONGEST_S = 120
OURS = ("run/cross-init", "run/cross-init-status")  # where all that it leaves stands
BEGINNING = "@cross-init"  # of the abstract names
AGE_S = 120  # what the next start finds is as old as if it came after these seconds
IGNORED = ("notification-fd",)


@dataclass
class Outcome:
    """What was seen of a run. left: what the next start has not removed; next_start: what was wrong with that one."""

    seen: Seen = field(default_factory=Seen)
    left: list[str] = field(default_factory=list)
    next_start: str = ""
    calls: list[Call] = field(default_factory=list)
    broken: str = ""  # why the run itself failed


class Scene:
    """PID 1 of a run."""

    def __init__(self, shape: Shape, kit: Kit, numbers: dict[str, int]) -> None:
        self.shape = shape
        self.kit = kit
        self.numbers = numbers
        self.loop = Loop()
        self.init: StandIn | None = None
        woken, wake = os.pipe()
        os.set_blocking(woken, False)
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        self.woken = woken
        self.loop.watch(woken, self._reap)

    def _reap(self) -> None:
        os.read(self.woken, 4096)
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
            except ChildProcessError:
                return
            if not pid:
                return
            if self.init is not None:
                self.init.reaped(pid, status)

    def play(self, fault: Fault | None, traced: bool) -> Play:
        """One start, to its end."""
        kind = Supervised if self.shape.init == "s6-supervise" else STAND_INS[self.shape.init]
        self.init = kind(self.loop, lambda: self._others(play))
        play = Play(self.loop, self.init, self.shape, self.kit, FOLDER, FOLDER, lambda: self._left(play))
        try:
            play.run(fault, self.numbers if traced else None)
        finally:
            play.close()
            for pid in _processes():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            assert self.loop.until(lambda: not _processes(), LONGEST_S)
        return play

    def _others(self, play: Play) -> list[int]:
        assert self.init is not None
        known = {play.tracer_pid, *self.init.helpers()}
        return [pid for pid in _processes() if pid not in known]

    def _left(self, play: Play) -> list[str]:
        assert self.init is not None
        names = [_name(pid) for pid in self._others(play)]
        return [name for name in names if not name.split()[0].rpartition("/")[2].startswith(self.init.own)]

    def run(self, fault: Fault | None) -> Outcome:
        """The start with the fault, or without one to list its calls; then, if something is left, the next start."""
        PLACE.mkdir(parents=True)
        os.chdir(PLACE)
        play = self.play(fault, True)
        outcome = Outcome(play.seen, calls=[] if fault else play.listed(self.numbers))
        if leftovers(Path("/"), self.shape):  # else it would find what every start finds
            age(Path("/"))
            after = self.play(None, False).seen
            outcome.next_start = after.trouble(self.shape.waits)
            outcome.left = leftovers(Path("/"), self.shape)
        return outcome


def leftovers(root: Path, shape: Shape, place: Path = PLACE, network: str = "self") -> list[str]:
    """What stands where the bridge leaves things, beside what may stay."""
    found: list[str] = []
    for folder in OURS:
        where = root / folder
        found += [f"/{folder}/{name}" for name in (os.listdir(where) if where.is_dir() else ())]
    found += [f"PLACE/{name}" for name in os.listdir(place) if name not in (*shape.stays, *IGNORED)]
    lines = Path(f"/proc/{network}/net/unix").read_text(errors="replace").splitlines()
    return found + [line.split()[-1] for line in lines if line.split()[-1].startswith(BEGINNING)]


def age(root: Path, place: Path = PLACE) -> None:
    """As if all of it had been left a while ago."""
    then = time.time() - AGE_S
    for folder in (*(root / each for each in OURS), place):
        for entry in folder.iterdir() if folder.is_dir() else ():
            os.utime(entry, (then, then), follow_symlinks=False)


def _processes() -> list[int]:
    """All but this one that have not ended."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and name != "1":
            try:
                state = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if state not in "ZX":
                found.append(int(name))
    return found


def _name(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "a process that has just ended"
    return f"{b' '.join(words[:4]).decode('utf-8', 'replace')} ({state})"


def perform(shape: Shape, kit: Kit, numbers: dict[str, int], fault: Fault | None) -> Outcome:
    """Do it in a process of its own, and return what was seen."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        _outside(shape, kit, numbers, fault, write)
    os.close(write)
    try:
        with os.fdopen(read, "rb") as answer:
            loop = Loop()
            text = bytearray()
            done = False

            def hear() -> None:
                nonlocal done
                part = os.read(answer.fileno(), 65536)
                text.extend(part)
                done = not part

            loop.watch(answer.fileno(), hear)
            if not loop.until(lambda: done, LONGEST_S):
                return Outcome(broken=f"it took longer than {LONGEST_S} s")
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    if not text:
        return Outcome(broken="it ended without an answer")
    return understood(json.loads(text))


def understood(answer: dict[str, Any]) -> Outcome:
    """An outcome that came as JSON."""
    made = Outcome(**answer)
    made.seen = Seen(**answer["seen"])
    calls: list[dict[str, Any]] = answer["calls"]
    made.calls = [Call(**{**each, "arguments": tuple(each["arguments"])}) for each in calls]
    return made


def _outside(shape: Shape, kit: Kit, numbers: dict[str, int], fault: Fault | None, answer: int) -> None:
    """Between the two forks. Does not return."""
    try:
        end_with_parent()
        unshare()
        pid = os.fork()
        if pid == 0:
            _inside(shape, kit, numbers, fault, answer)
        os.close(answer)
        os.waitpid(pid, 0)
    finally:
        os._exit(0)


def _inside(shape: Shape, kit: Kit, numbers: dict[str, int], fault: Fault | None, answer: int) -> None:
    """As PID 1. Does not return."""
    try:
        end_with_parent()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        try:
            settle_in(kit.folder)
            outcome = Scene(shape, kit, numbers).run(fault)
        except Exception:
            outcome = Outcome(broken=traceback.format_exc())
        sys.stdout.flush()
        with os.fdopen(answer, "w") as told:
            json.dump(asdict(outcome), told)
    finally:
        os._exit(0)
