"""The table of a campaign: kinds of faults × shapes, how many were made, what was wrong; and its place in a file."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tests.injection.calls import KINDS
from tests.injection.campaign import Result
from tests.injection.judge import COLUMNS
from tests.injection.shapes import SHAPES

BEGIN, END = "<!-- faults: written by make faults -->", "<!-- faults: end -->"
HEADS = ("landed", *COLUMNS)


def rows(results: Iterable[Result]) -> list[tuple[str, str, Counter[str]]]:
    """Shape, kind and counts: a row for each that was made, and the sums."""
    counts: dict[tuple[str, str], Counter[str]] = {}
    for result in results:
        if result.fault is None or not result.outcome.seen.hit:
            continue
        of = counts.setdefault((result.shape, result.fault.kind), Counter())
        of["landed"] += 1
        for kind in result.found:
            of[kind] += 1
    found = [(shape, kind, counts[shape, kind]) for shape in SHAPES for kind in KINDS if (shape, kind) in counts]
    for kind in KINDS:
        of_kind = [count for _, each, count in found if each == kind]
        if of_kind:
            found.append(("all", kind, sum(of_kind, Counter())))
    return found


def as_text(found: list[tuple[str, str, Counter[str]]]) -> str:
    """For a terminal."""
    width = max((len(shape) for shape, _, _ in found), default=0)
    lines = [f"{'':{width}}  {'':5}  " + "  ".join(HEADS)]
    for shape, kind, count in found:
        cells = "  ".join(f"{count[head]:>{len(head)}}" for head in HEADS)
        lines.append(f"{shape:{width}}  {kind:5}  {cells}")
    return "\n".join(lines)


def as_markdown(found: list[tuple[str, str, Counter[str]]]) -> str:
    """For a document."""
    lines = [f"| shape | fault | {' | '.join(HEADS)} |", "|---|---|" + "---:|" * len(HEADS)]
    for shape, kind, count in found:
        lines.append(f"| {shape} | {kind} | {' | '.join(str(count[head]) for head in HEADS)} |")
    return "\n".join(lines)


def write(path: Path, text: str) -> None:
    """Put the text between the markers of this file."""
    before, found, rest = path.read_text().partition(BEGIN)
    _, found_end, after = rest.partition(END)
    assert found + found_end == BEGIN + END, f"{path} has no place for the table: {BEGIN} ... {END}"
    path.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")
