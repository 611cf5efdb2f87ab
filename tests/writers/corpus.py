"""The units of Debian's packages, as a writer writes them, and what shellcheck says of the scripts among that."""

import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from cross_init.definitions.definition import Definition
from cross_init.definitions.load import load
from cross_init.errors import Failure
from cross_init.writers.lost import lost
from tests.support.corpus import units
from tests.support.packages import need

Write = Callable[[Definition, list[str], bool], dict[str, str]]
SCRIPTS_LEAST = 200
CHECK_S = 100
AT_ONCE = 100


def written(write: Write, keys: tuple[str, ...], init: str, expand: bool) -> dict[str, dict[str, str]]:
    """What becomes of each unit, by its name; without those that are refused in one line."""
    found = {}
    for name, path in units().items():
        if path.suffix == ".service":
            said = load(str(path.with_name(name.replace("@.", "@a."))))
            remarks = [*said.remarks, *lost(said, init, keys, expand)]
            with suppress(Failure):
                found[name] = write(said.definition, remarks, expand)
    return found


def shellchecked(
    write: Write, keys: tuple[str, ...], init: str, expand: bool, folder: Path, not_faults: tuple[str, ...]
) -> int:
    """How many scripts there are in which shellcheck finds no fault. not_faults: what does not count as one."""
    need("shellcheck")
    paths = []
    for texts in written(write, keys, init, expand).values():
        for name, text in texts.items():
            if text.startswith("#!"):
                paths.append(folder / name.replace("/", "-"))
                paths[-1].write_text(text, errors="surrogateescape")
    words = ["shellcheck", "-s", "sh", "-f", "gcc", "-e", ",".join(not_faults)]
    for at in range(0, len(paths), AT_ONCE):
        some = paths[at : at + AT_ONCE]
        checked = subprocess.run([*words, *some], capture_output=True, text=True, timeout=CHECK_S)
        assert (checked.returncode, checked.stdout) == (0, "")
    return len(paths)
