"""Many faults in many shapes: which there are, in which order they are made, and by whom at the same time."""

import random
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from multiprocessing.queues import Queue
from pathlib import Path
from queue import Empty
from tempfile import TemporaryDirectory

import pytest

from tests.injection.calls import Fault, faults
from tests.injection.judge import HARM, judge
from tests.injection.machine import machine
from tests.injection.namespaces import end_with_parent
from tests.injection.programs import Kit, call_numbers, kit
from tests.injection.scene import Outcome, perform
from tests.injection.shapes import SHAPES
from tests.support.containers import INSIDE_NEEDED
from tests.support.packages import need

MACHINE = "systemd-manager"
NEEDED = {"s6-supervise": ("s6",), MACHINE: ("systemd-container", *INSIDE_NEEDED)}
MACHINES = 2  # containers at once, of the real systemd
LONGEST_S = 240  # for one answer
CONTEXT = get_context("fork")


@dataclass(frozen=True)
class Result:
    """One fault that was made: where, and what came of it (judge.py)."""

    shape: str
    fault: Fault | None
    outcome: Outcome
    found: dict[str, str]

    def lines(self) -> list[str]:
        """The harm that was done, one line each, with what it takes to do it again."""
        said = self.outcome.seen.text.splitlines()
        return [
            f"{self.shape} | {self.fault} | {kind}: {text}{f' | {said[-1]}' if said else ''}"
            for kind, text in self.found.items()
            if kind in HARM
        ]


Task = tuple[str, Fault | None]


def _work(where: Kit, numbers: dict[str, int], tasks: "Queue[Task | None]", results: "Queue[Result | str]") -> None:
    """In a process of its own: one task after the other, in namespaces."""
    end_with_parent()
    while (task := tasks.get()) is not None:
        shape, fault = task
        results.put(_result(shape, fault, perform(SHAPES[shape], where, numbers, fault)))


def _work_on_machine(
    where: Kit, numbers: dict[str, int], tasks: "Queue[Task | None]", results: "Queue[Result | str]"
) -> None:
    """The same in a container with a real systemd."""
    end_with_parent()
    try:
        with machine(where, numbers) as booted:
            while (task := tasks.get()) is not None:
                shape, fault = task
                results.put(_result(shape, fault, booted.perform(SHAPES[shape], fault)))
    except pytest.skip.Exception as skipped:
        results.put(str(skipped))


def _result(shape: str, fault: Fault | None, outcome: Outcome) -> Result:
    return Result(shape, fault, outcome, judge(SHAPES[shape], fault, outcome))


class Crew:
    """Processes that do one kind of task."""

    def __init__(self, work: object, many: int, where: Kit, numbers: dict[str, int]) -> None:
        self.tasks: Queue[Task | None] = CONTEXT.Queue()
        self.results: Queue[Result | str] = CONTEXT.Queue()
        self.busy = 0
        arguments = (where, numbers, self.tasks, self.results)
        self.processes = [CONTEXT.Process(target=work, args=arguments) for _ in range(many)]  # type: ignore[arg-type]
        for process in self.processes:
            process.start()

    def give(self, task: Task) -> None:
        self.busy += 1
        self.tasks.put(task)

    def take(self, wait_s: float) -> Result | str | None:
        """An answer, if one comes in this time."""
        try:
            answer = self.results.get(timeout=wait_s)
        except Empty:
            dead = [process for process in self.processes if process.exitcode]
            assert not dead, f"{dead} ended in the middle of it"
            return None
        self.busy -= 1
        return answer

    def close(self) -> None:
        for _ in self.processes:
            self.tasks.put(None)
        for process in self.processes:
            process.join(LONGEST_S)
            process.kill()


class Campaign:
    """The faults of some shapes. planned: how many there are. skipped: why the rest of a shape's were not made."""

    def __init__(self, shapes: Sequence[str], kinds: Iterable[str], jobs: int, seed: int) -> None:
        self.shapes = shapes
        self.kinds = tuple(kinds)
        self.jobs = jobs
        self.random = random.Random(seed)
        self.planned: dict[str, int] = {}
        self.skipped = ""

    def run(self, seconds: float | None = None, only: Sequence[Task] = ()) -> Iterator[Result]:
        """Make them, in an order that the seed decides, for this time or to the end; yield each with its result.

        only: these and no others. First each shape's start without a fault, which has to be right.
        """
        for init in sorted({SHAPES[shape].init for shape in self.shapes}):
            need(*NEEDED.get(init, ()))  # before there are several processes that would
        with TemporaryDirectory(prefix="cross-init-faults.") as folder:
            Path(folder).chmod(0o755)
            where, numbers = kit(Path(folder)), call_numbers()
            crews: dict[bool, Crew] = {}
            for on_machine in {SHAPES[shape].init == MACHINE for shape in self.shapes}:
                work, many = (_work_on_machine, MACHINES) if on_machine else (_work, self.jobs)
                crews[on_machine] = Crew(work, many, where, numbers)
            try:
                yield from self._run(crews, seconds, only)
            finally:
                for crew in crews.values():
                    crew.close()

    def _run(self, crews: dict[bool, Crew], seconds: float | None, only: Sequence[Task]) -> Iterator[Result]:
        plan: dict[bool, list[Task]] = {on_machine: [] for on_machine in crews}
        found: dict[str, list[Fault]] = {}
        for result in self._all(crews, {at: [(s, None) for s in self.shapes if _at(s) == at] for at in crews}, None):
            found[result.shape] = faults(result.outcome.calls, self.kinds)
            yield result
        end = None if seconds is None else time.monotonic() + seconds
        for shape in self.shapes:  # in the order of the shapes, so that the seed decides alone
            tasks = found.get(shape, [])
            self.random.shuffle(tasks)
            self.planned[shape] = len(tasks)
        for at in crews:
            of = [found.get(shape, []) for shape in self.shapes if _at(shape) == at]
            names = [shape for shape in self.shapes if _at(shape) == at]
            for number in range(max(map(len, of), default=0)):  # every shape in turn
                plan[at] += [
                    (name, tasks[number]) for name, tasks in zip(names, of, strict=True) if number < len(tasks)
                ]
        if only:
            plan = {at: [task for task in only if _at(task[0]) == at] for at in crews}
        yield from self._all(crews, plan, end)

    def _all(self, crews: dict[bool, Crew], plan: dict[bool, list[Task]], end: float | None) -> Iterator[Result]:
        """Hand out what is planned, and yield what comes back."""
        left = {at: iter(tasks) for at, tasks in plan.items()}
        for at, crew in crews.items():
            for first in islice(left[at], 2 * len(crew.processes)):
                crew.give(first)
        while any(crew.busy for crew in crews.values()):
            for at, crew in crews.items():
                answer = crew.take(0.02) if crew.busy else None
                if isinstance(answer, str):
                    self.skipped, crew.busy = answer, 0
                elif answer is not None:
                    if (end is None or time.monotonic() < end) and (task := next(left[at], None)) is not None:
                        crew.give(task)
                    yield answer


def _at(shape: str) -> bool:
    """Whether it is made on a machine of its own."""
    return SHAPES[shape].init == MACHINE
