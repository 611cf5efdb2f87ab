"""Faults on purpose: each system call of each of our processes fails, or is the moment at which the process is killed.

usage: python -m tests.faults [--shape S]... [--kinds kill,error] [--seconds N | --all] [--seed N] [--jobs N]
                              [--table FILE] [--again "SHAPE | FAULT"]...

The program is traced from the first line of start.py on, in every process that it forks, until that becomes the daemon
(injection/injector.c). Each fault has a start of its own, in namespaces of its own; the init is a stand-in, a real
s6-supervise, or a real systemd in a container. After it the next start must find nothing in its way, and leave nothing.

Printed are the points at which something was wrong, a line each, which --again does again, and a table. --table writes
that into a document. The exit code is 1 if anything was wrong. The suite runs it shortly.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from errno import errorcode
from pathlib import Path

import pytest

from tests.injection.calls import KINDS, Fault
from tests.injection.campaign import Campaign, Result, Task
from tests.injection.shapes import SHAPES
from tests.injection.table import as_markdown, as_text, rows, write
from tests.support.beginning import begin
from tests.support.programs import close_path, open_path

SECONDS, JOBS = 60.0, 8
CANNOT = 2  # the exit code
NUMBERS = {name: number for number, name in errorcode.items()} | {"SIGKILL": 0}
AGAIN = re.compile(r"(?P<shape>[^|]+) \| (?P<role>\S+) (?P<call>\w+)#(?P<count>\d+) (?P<at>\w+) (?P<error>\w+)")


def again(text: str) -> Task:
    """The fault that a line tells of."""
    match = AGAIN.match(text)
    if match is None or match["shape"] not in SHAPES or match["error"] not in NUMBERS:
        raise argparse.ArgumentTypeError(f'{text}: write a line as it is printed: "watch, s6 | main close#3 file EIO"')
    return match["shape"], Fault(
        match["role"], match["call"], int(match["count"]), match["at"], NUMBERS[match["error"]]
    )


def kinds(text: str) -> tuple[str, ...]:
    """Which of KINDS."""
    words = tuple(text.split(","))
    if not set(words) <= set(KINDS):
        raise argparse.ArgumentTypeError(f"{text}: there are {','.join(KINDS)}")
    return words


def main(words: Sequence[str]) -> int:
    """Do what the command line says; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--shape", action="append", choices=tuple(SHAPES), help="only these")
    parser.add_argument("--kinds", type=kinds, default=KINDS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--all", action="store_true", help="every fault, however long it takes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=JOBS)
    parser.add_argument("--table", type=Path, help="write the table into this document")
    parser.add_argument("--again", type=again, action="append", default=[], help="only this fault")
    wish = parser.parse_args(words)
    begin()
    open_path()
    try:
        return run(wish)
    except pytest.skip.Exception as skipped:
        print(skipped)
        return CANNOT
    finally:
        close_path()


def run(wish: argparse.Namespace) -> int:
    """Make the faults; returns the exit code."""
    shapes = list(dict.fromkeys(shape for shape, _ in wish.again)) or wish.shape or list(SHAPES)
    campaign = Campaign(shapes, wish.kinds, wish.jobs, wish.seed)
    results: list[Result] = []
    missed = 0
    for result in campaign.run(None if wish.all or wish.again else wish.seconds, wish.again):
        results.append(result)
        missed += result.fault is not None and not result.outcome.seen.hit
        if result.outcome.broken:
            print(f"{result.shape} | {result.fault} | the run itself failed: {result.outcome.broken}", flush=True)
        for line in result.lines():
            print(line, flush=True)
    found = rows(results)
    print(as_text(found))
    print(f"{sum(campaign.planned.values())} faults in {len(shapes)} shapes, --seed {wish.seed}; missed: {missed}")
    if campaign.skipped:
        print(f"left out: {campaign.skipped}")
    if wish.table:
        write(wish.table, as_markdown(found))
    return int(any(result.lines() or result.outcome.broken for result in results))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
