"""What the survey knows of each daemon: data alone, one file of TOML for each batch; and the document's table."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
OF_UNIT = "units"  # the batch of those of which only a unit is run (units.py)
BATCHES = tuple(sorted(path.stem for path in HERE.glob("*.toml") if path.stem != OF_UNIT))
OF_DAEMONS = ("<!-- daemons: written by make daemons -->", "<!-- daemons: end -->")
OF_UNITS = ("<!-- units: written by make units -->", "<!-- units: end -->")
OF_TEN = ("<!-- other inits: written by make units -->", "<!-- other inits: end -->")
RIGHT = "right"
UNIT = "unit"  # the kind of what is run by its own unit (units.py)
EACH_CLIENTS = "-"  # for a main process
NOT_ASKED = "not asked"  # Upstart, without CROSS_INIT_TEST_UPSTART


class Daemon(NamedTuple):
    """One daemon. kind: how it says that it is ready, or gets its sockets. packages: of Debian. bridge: our options.

    to, send, expect: where a client connects, what it says, and a regular expression for the answer (client.py).
    main: a regular expression for its main process's command line, "-" if each client has one of its own. prepare: a
    shell's lines before the init starts. files: beside those of the packages. note: what a reader has to know.
    """

    name: str
    batch: str
    kind: str
    packages: tuple[str, ...]
    bridge: str
    command: str
    to: str
    expect: str
    send: str = ""
    main: str = ""
    prepare: str = ""
    files: Mapping[str, str] = {}
    note: str = ""

    @property
    def main_pattern(self) -> str:
        """What the main process's command line matches."""
        return self.main or rf"(^|/){Path(self.command.split()[0]).name}\b"

    @property
    def is_followed(self) -> bool:
        """Whether the init is to show the bridge, which follows the daemon, and not the daemon itself."""
        return any(each in self.bridge for each in ("--supervise", "--stop-command", "-t sysv", "-t upstart"))


def daemons() -> list[Daemon]:
    """All of them, by batch and in the order of its file."""
    found = []
    for batch in BATCHES:
        for name, values in tomllib.loads((HERE / f"{batch}.toml").read_text()).items():
            packages = tuple(values.pop("packages", (name,)))
            found.append(Daemon(name=name, batch=batch, packages=packages, **values))
    return found


def as_markdown(inits: Sequence[str], cells: Mapping[tuple[str, str], str], all_of: Sequence[Daemon]) -> str:
    """The table, and how many are right under each init."""
    lines = [
        f"| daemon | kind | options of the bridge | {' | '.join(inits)} |",
        "|---|---|---|" + "---|" * len(inits),
    ]
    for daemon in all_of:
        row = [cells[daemon.name, init] for init in inits]
        options = daemon.bridge.replace("|", "\\|")
        lines.append(f"| {daemon.name} | {daemon.kind} | `{options}` | {' | '.join(row)} |")
    sums = []
    for init in inits:
        of_init = [cells[daemon.name, init] for daemon in all_of if cells[daemon.name, init] != NOT_ASKED]
        sums.append(f"{sum(cell == RIGHT for cell in of_init)} of {len(of_init)}")
    lines.append(f"| **right** | {len(all_of)} daemons | | {' | '.join(sums)} |")
    notes = [f"- {daemon.name}: {daemon.note}" for daemon in all_of if daemon.note]
    return "\n".join([*lines, "", "Notes on how they are asked:", "", *notes] if notes else lines)


def write(path: Path, text: str, markers: tuple[str, str]) -> None:
    """Put the text between these markers of this file."""
    whole = path.read_text()
    begin, end = markers
    before, _, rest = whole.partition(begin)
    _, found, after = rest.partition(end)
    assert found, f"{path} has no place for the table: {begin} ... {end}"
    path.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}")
