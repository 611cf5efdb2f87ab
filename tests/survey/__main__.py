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
from tests.survey.table import NOT_ASKED, RIGHT, Daemon, as_markdown, daemons, write
from tests.survey.units import units

JOBS = 6
COLUMNS = tuple(INITS)


def main(words: Sequence[str]) -> int:
    """Do what the command line says; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME")
    parser.add_argument("--init", nargs="+", choices=COLUMNS, default=list(COLUMNS))
    parser.add_argument("--units", action="store_true", help="run them by their own units, with cross-init run")
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
    packages = {
        batch: tuple(sorted({name for each in known if each.batch == batch for name in each.packages}))
        for batch in {each.batch for each in known}
    }
    chosen = [each for each in (units() if wish.units else known) if not wish.only or each.name in wish.only]

    def cell(task: tuple[Daemon, str]) -> str:
        daemon, init = task
        if init == "upstart" and not os.environ.get("CROSS_INIT_TEST_UPSTART"):
            return NOT_ASKED
        try:
            found, said = judge(daemon, init, packages[daemon.batch])
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
        write(wish.table, text)
    return int(any(found not in (RIGHT, NOT_ASKED) for found in cells.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
