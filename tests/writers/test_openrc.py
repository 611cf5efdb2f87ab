"""OpenRC's scripts, as they are written, under a real OpenRC; and what shellcheck says of them."""

from pathlib import Path

import pytest

from cross_init.writers.openrc import WRITES, write
from tests.matrix.scripts import OpenRC
from tests.matrix.table import Machines
from tests.support.roots import Root
from tests.writers.corpus import SCRIPTS_LEAST, shellchecked
from tests.writers.lives import KINDS, live, words_arrive
from tests.writers.written import InRoot, in_root


class Openrc(InRoot, OpenRC):
    """One of a script in /etc/init.d."""

    to, into = "openrc", "/etc/init.d"

    def __init__(self, root: Root) -> None:
        super().__init__(root)
        self.pid_file = ""

    def reload(self) -> None:
        self.root.run("rc-service", self.name, "reload")

    def main_pid(self) -> int:
        return 1  # whom it watches is said in no one way

    def close(self) -> None:
        self.root.run("rc-service", self.name, "zap", check=False)
        super().close()


@pytest.mark.parametrize("expand", [False, True], ids=["unit", "expanded"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_service_lives(kind: str, expand: bool, tmp_path: Path, machines: Machines) -> None:
    with in_root(Openrc, "sid-inits")(tmp_path, machines) as driver:
        live(driver, kind, expand)


@pytest.mark.parametrize("expand", [False, True], ids=["unit", "expanded"])
def test_the_scripts_of_debians_units_are_clean(expand: bool, tmp_path: Path) -> None:
    not_faults = ("SC2174",)  # a unit's own
    assert shellchecked(write, WRITES, "openrc", expand, tmp_path, not_faults) > SCRIPTS_LEAST


def test_words_arrive_as_they_were(tmp_path: Path, machines: Machines) -> None:
    with in_root(Openrc, "sid-inits")(tmp_path, machines) as driver:
        words_arrive(driver)
