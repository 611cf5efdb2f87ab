"""LSB scripts, as they are written, under a real sysvinit; and what shellcheck says of them."""

from pathlib import Path

import pytest

from cross_init.writers.sysv import WRITES, write
from tests.matrix.scripts import Sysvinit
from tests.matrix.table import Machines
from tests.writers.corpus import SCRIPTS_LEAST, shellchecked
from tests.writers.lives import KINDS, live, words_arrive
from tests.writers.written import InRoot, in_root


class Lsb(InRoot, Sysvinit):
    """One of a script in /etc/init.d, which nobody starts anew."""

    to, into, restarts = "sysv", "/etc/init.d", False

    def begin(self) -> None:
        self.launch("service", self.name, "start")

    def is_ready(self) -> bool:
        return self.commands[0].poll() == 0

    def main_pid(self) -> int:
        return self.numbered((self.runtime / f"{self.name}.init.pid").read_text())

    def reload(self) -> None:
        self.root.run("service", self.name, "reload")


@pytest.mark.parametrize("expand", [False, True], ids=["unit", "expanded"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_service_lives(kind: str, expand: bool, tmp_path: Path, machines: Machines) -> None:
    with in_root(Lsb, "bookworm-sysvinit")(tmp_path, machines) as driver:
        live(driver, kind, expand)


@pytest.mark.parametrize("expand", [False, True], ids=["unit", "expanded"])
def test_the_scripts_of_debians_units_are_clean(expand: bool, tmp_path: Path) -> None:
    not_faults = ("SC2174",)  # a unit's own
    assert shellchecked(write, WRITES, "sysv", expand, tmp_path, not_faults) > SCRIPTS_LEAST


def test_words_arrive_as_they_were(tmp_path: Path, machines: Machines) -> None:
    with in_root(Lsb, "bookworm-sysvinit")(tmp_path, machines) as driver:
        words_arrive(driver)
