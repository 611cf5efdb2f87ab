"""Services of the GNU Shepherd's, as they are written, under a real one."""

from pathlib import Path

import pytest

from tests.matrix.controlled import Shepherd
from tests.matrix.table import Machines
from tests.writers.lives import KINDS, live, words_arrive
from tests.writers.written import InRoot, in_root


class Herded(InRoot, Shepherd):
    """One of a file that the Shepherd loads."""

    to = "shepherd"

    def take(self, folder: str) -> None:
        self.root.run(*self.herd("load", "root", f"{folder}/{self.name}.scm"))

    def reload(self) -> None:
        self.root.run(*self.herd("reload", self.name))


@pytest.mark.parametrize("expand", [False, True], ids=["unit", "expanded"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_service_lives(kind: str, expand: bool, tmp_path: Path, machines: Machines) -> None:
    with in_root(Herded, "sid-inits")(tmp_path, machines) as driver:
        live(driver, kind, expand)


def test_words_arrive_as_they_were(tmp_path: Path, machines: Machines) -> None:
    with in_root(Herded, "sid-inits")(tmp_path, machines) as driver:
        words_arrive(driver)
