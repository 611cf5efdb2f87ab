"""Upstart's jobs, as they are written, under a real Upstart."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cross_init.definitions.upstart_jobs import read_job
from cross_init.writers.upstart import WRITES, write
from tests.matrix.jobs import RealJob
from tests.support.puppet import stage
from tests.support.real_upstart import Upstart, upstart_booted
from tests.support.roots import PUPPET
from tests.support.waiting import until
from tests.writers.corpus import SCRIPTS_LEAST, written
from tests.writers.lives import KINDS, live, words_arrive
from tests.writers.written import Inside


class Job(Inside, RealJob):
    """One of a job in /etc/init. What waits for readiness is not started anew."""

    to, restarts_when_awaited = "upstart", False

    def __init__(self, upstart: Upstart) -> None:
        super().__init__(upstart)
        self.at, self.puppet = upstart.root, f"{PUPPET}-{self.name}"
        self.prepare()

    def command(self, *words: str) -> str:
        ran = self.upstart.run(*words)
        assert ran.returncode == 0, ran.stderr
        self.said = ran.stderr
        return ran.stdout

    def take(self, folder: str) -> None:
        (file,) = self.files
        assert file == f"{self.name}.conf"
        self.upstart.job(self.name, self.files[file])

    def reload(self) -> None:
        self.upstart.initctl("reload", self.name)


# What an Upstart job says that no unit does: it was no word of the unit's.
OTHERWISE = ("post-stop has as long as it wants", "the unit is started with each of")


@pytest.fixture(scope="module")
def upstart() -> Iterator[Upstart]:
    with upstart_booted() as booted:
        (booted.root / "run/puppets").mkdir()
        yield booted


@contextmanager
def job(upstart: Upstart) -> Iterator[Job]:
    driver = Job(upstart)
    try:
        with stage(upstart.root / f"run/puppets/stage-{driver.name}") as driver.stage:
            yield driver
    finally:
        driver.stop()
        until(driver.is_down, "it has ended", 20)


@pytest.mark.parametrize("expand", [False, True], ids=["unit", "expanded"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_service_lives(kind: str, expand: bool, upstart: Upstart) -> None:
    with job(upstart) as driver:
        live(driver, kind, expand)


@pytest.mark.parametrize("expand", [False, True], ids=["unit", "expanded"])
def test_debians_units_are_jobs_that_are_read(expand: bool, tmp_path: Path) -> None:
    found = written(write, WRITES, "upstart", expand)
    for texts in found.values():
        for name, text in texts.items():
            (tmp_path / name).write_text(text, errors="surrogateescape")
            _, remarks = read_job(str(tmp_path / name))
            assert [each for each in remarks if not any(text in each for text in OTHERWISE)] == [], text
    assert len(found) > SCRIPTS_LEAST


def test_words_arrive_as_they_were(upstart: Upstart) -> None:
    with job(upstart) as driver:
        words_arrive(driver)
