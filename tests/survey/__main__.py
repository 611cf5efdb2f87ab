"""A table of unmodified daemons of Debian under real inits, with no code for any one of them.

usage: python -m tests.survey [--only NAME]... [--init INIT]... [--jobs N] [--table FILE]

As root, and with Debian's archive in reach for the first run: the packages are installed in batches, in trees that are
kept. Each daemon has a root of its own for each init. What is not right is printed, with what was said meanwhile.
--table writes the table into a document; it takes everything. The exit code is 1 if anything was not right.
"""

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.beginning import begin
from tests.support.packages import need
from tests.support.programs import close_path, open_path
from tests.survey.judged import INITS, judge
from tests.survey.others import OTHERS, TEN
from tests.survey.table import NOT_ASKED, OF_DAEMONS, OF_TEN, OF_UNITS, RIGHT, Daemon, as_markdown, daemons, write
from tests.survey.units import alone, units

JOBS = 6
WITH_OTHERS = ("runit", "upstart")  # of the survey's own inits, beside the others
UPSTART = "CROSS_INIT_TEST_UPSTART"
COLUMNS = (*INITS, *OTHERS)


def main(words: Sequence[str]) -> int:
    """Do what the command line says; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME")
    parser.add_argument("--init", nargs="+", choices=COLUMNS, default=list(INITS))
    parser.add_argument("--units", action="store_true", help="run them by their own units, with cross-init run")
    parser.add_argument("--ten", action="store_true", help="with --units: ten of them, under each other init")
    parser.add_argument("--jobs", type=int, default=JOBS)
    parser.add_argument("--table", type=Path, help="write the table into this document")
    wish = parser.parse_args(words)
    if os.geteuid() != 0:
        sys.exit("tests.survey: needs root, for trees and namespaces")
    begin()
    open_path()
    try:
        need("debootstrap")
        return run(wish)
    finally:
        close_path()


def run(wish: argparse.Namespace) -> int:
    """Judge them; returns the exit code."""
    known = daemons()
    of_batch = known + alone()
    packages = {
        batch: tuple(sorted({name for each in of_batch if each.batch == batch for name in each.packages}))
        for batch in {each.batch for each in of_batch}
    }
    if wish.ten:
        wish.only, wish.init = wish.only or TEN, [*WITH_OTHERS, *OTHERS]
    of_ten = tuple(sorted({name for each in units() if each.name in TEN for name in each.packages}))
    chosen = [each for each in (units() if wish.units else known) if not wish.only or each.name in wish.only]

    def cell(task: tuple[Daemon, str]) -> str:
        daemon, init = task
        variable = UPSTART if init == "upstart" else OTHERS[init].variable if init in OTHERS else ""
        if (variable and not os.environ.get(variable)) or (init in OTHERS and daemon.name not in TEN):
            return NOT_ASKED
        try:
            is_newer = init in OTHERS and OTHERS[init].suite
            found, said = judge(daemon, init, of_ten if is_newer else packages[daemon.batch])
        except (Exception, pytest.skip.Exception) as error:  # of the survey itself: it is no cell that is right
            found, said = (
                f"not judged: {str(error).splitlines()[0] if str(error) else error!r}"[:100],
                traceback.format_exc(),
            )
        print(
            f"{daemon.name} | {init} | {found}", *(["    " + line for line in said.splitlines()]), sep="\n", flush=True
        )
        return found

    tasks = [(daemon, init) for daemon in chosen for init in wish.init]
    with ThreadPoolExecutor(wish.jobs) as pool:
        cells = {(daemon.name, init): found for (daemon, init), found in zip(tasks, pool.map(cell, tasks), strict=True)}
    text = as_markdown(wish.init, cells, chosen)
    print(text)
    if wish.table:
        write(wish.table, text, OF_TEN if wish.ten else OF_UNITS if wish.units else OF_DAEMONS)
    return int(any(found not in (RIGHT, NOT_ASKED) for found in cells.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
