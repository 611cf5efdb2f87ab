"""Finit's stanzas, as they are written, under a real Finit."""

from pathlib import Path

import pytest

from cross_init.errors import Failure
from cross_init.writers.finit import WRITES, write
from tests.matrix.controlled import Finit
from tests.matrix.table import Machines
from tests.support.waiting import until
from tests.writers.corpus import SCRIPTS_LEAST, shellchecked, written
from tests.writers.lives import KINDS, live, words_arrive
from tests.writers.written import InRoot, in_root


class Stanza(InRoot, Finit):
    """One of a file in /etc/finit.d."""

    to, into = "finit", "/etc/finit.d"

    def take(self, folder: str) -> None:
        name = f"{self.name}.conf"
        text = self.files[name].replace(" name:", " manual:yes name:").replace("manual:yes notify", "notify")
        self.root.write(f"{folder}/{name}", text)  # a test says when
        super().take(folder)
        until(lambda: self.ask("initctl", "reload")[0] == 0, "Finit has booted and reads it")
        until(self.is_down, "Finit knows the service")

    def reload(self) -> None:
        self.root.run("initctl", "reload", self.name)


@pytest.mark.parametrize("expand", [False, True], ids=["unit", "expanded"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_service_lives(kind: str, expand: bool, tmp_path: Path, machines: Machines) -> None:
    with in_root(Stanza, "sid-inits")(tmp_path, machines) as driver:
        live(driver, kind, expand)


def test_words_arrive_as_they_were(tmp_path: Path, machines: Machines) -> None:
    with in_root(Stanza, "sid-inits")(tmp_path, machines) as driver:
        words_arrive(driver)


@pytest.mark.parametrize("expand", [False, True], ids=["unit", "expanded"])
def test_the_stanzas_of_debians_units_are_one_line(expand: bool, tmp_path: Path) -> None:
    found = written(write, WRITES, "finit", expand)
    for texts in found.values():
        lines = [each for each in next(iter(texts.values())).splitlines() if not each.startswith("#")]
        assert len(lines) == 1
    assert len(found) > SCRIPTS_LEAST
    if expand:
        assert shellchecked(write, WRITES, "finit", expand, tmp_path, ("SC2174",)) > SCRIPTS_LEAST


def test_a_path_that_no_stanza_can_have_is_refused(tmp_path: Path) -> None:
    from cross_init.definitions.load import load

    (tmp_path / "a b").mkdir()
    (tmp_path / "a b/web.service").write_text("[Service]\nExecStart=/bin/true\n")
    with pytest.raises(Failure, match="no way to say such a word"):
        write(load(str(tmp_path / "a b/web.service")).definition, [], False)
