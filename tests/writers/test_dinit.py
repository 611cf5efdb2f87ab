"""dinit's services, as they are written, under a real dinit."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cross_init.errors import Failure
from cross_init.writers.dinit import WRITES, line, write
from tests.matrix.controlled import OfDinit
from tests.matrix.daemons import processes
from tests.support.dinit import Dinit, dinit, prefix
from tests.writers.corpus import SCRIPTS_LEAST, written
from tests.writers.lives import KINDS, live, words_arrive
from tests.writers.written import Written, translated


class InDinit(Written, OfDinit):
    """One of a dinit that is a process of the test's."""

    to, name = "dinit", "web"

    def __init__(self, folder: Path, init: Dinit) -> None:
        super().__init__(folder, init)
        self.stage = init.stage
        self.puppet = " ".join(init.puppet)

    def translate(self, units: dict[str, str], expand: bool) -> None:
        for name, text in units.items():
            (self.folder / name).write_text(text)
        self.files, self.said = translated(self.folder / "web.service", self.to, expand)
        put(self.init, self.files)
        if expand:
            for name in units:
                (self.folder / name).unlink()

    def left(self) -> set[int]:
        return set(processes(self.here)) - {self.init.process.pid}

    def reload(self) -> None:
        assert self.init.tell("signal", "HUP", "web")[0] == 0


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[InDinit]:
    with dinit(tmp_path) as init:
        yield InDinit(tmp_path, init)


@pytest.mark.parametrize("expand", [False, True], ids=["unit", "expanded"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_service_lives(kind: str, expand: bool, driver: InDinit) -> None:
    live(driver, kind, expand)


def put(init: Dinit, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = init.services / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


WORDS = (
    "",
    " a  b ",
    'a"b',
    "a'b",
    "a\\b",
    "a\\",
    "$HOME",
    "${HOME:-x}",
    "$$",
    "# a",
    "a#b",
    "%n",
    "=",
    "é",
    "$/A",
    "*",
)


def test_each_word_is_read_as_it_was(tmp_path: Path) -> None:
    with dinit(tmp_path) as init:
        command = line(["/bin/sh", "-c", 'printf "%s\\n" "$@" > ' + f"{tmp_path}/said", "sh", *WORDS])
        (init.services / "words").write_text(f"type = scripted\ncommand = {command}\n")
        assert init.tell("start", "words")[0] == 0
        assert (tmp_path / "said").read_text().splitlines() == list(WORDS)


def test_a_control_character_is_refused() -> None:
    with pytest.raises(Failure, match="control character"):
        line(["a\nb"])


def test_what_is_wanted_need_not_be_there_and_what_is_needed_must(tmp_path: Path) -> None:
    unit = "[Unit]\nWants=b.service\nAfter=a.service b.service network.target\n{}[Service]\nExecStart=/bin/cat\n"
    for more, code in (("", 0), ("Requires=a.service\n", 1)):
        folder = tmp_path / f"{code}"
        folder.mkdir()
        (folder / "web.service").write_text(unit.format(more))
        with dinit(folder) as init:
            files, said = translated(folder / "web.service", "dinit", True)
            assert said.endswith("After=network.target: dinit itself has no name for it\n")
            put(init, files)
            assert init.tell("start", "web")[0] == code, files


@pytest.mark.parametrize("expand", [False, True], ids=["unit", "expanded"])
def test_debians_units_are_no_error_to_dinit(expand: bool, tmp_path: Path) -> None:
    sbin = prefix() / "sbin"
    names = []
    for texts in written(write, WRITES, "dinit", expand).values():
        names.append(next(iter(texts)))
        for name, text in texts.items():
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
    needed = {
        each.split()[1] for name in names for each in (tmp_path / name).read_text().splitlines() if "-on: " in each
    }
    for name in needed - {*names}:
        (tmp_path / name).write_text("type = internal\n")
    checked = subprocess.run([sbin / "dinit-check", "-d", tmp_path, *names], capture_output=True, text=True, timeout=60)
    other = ("description not found.", ": No such file or directory")  # services and programs that are not here
    said = [each for each in (checked.stdout + checked.stderr).splitlines() if "ervice '" in each]
    assert [each for each in said if not each.endswith(other)] == []
    assert len(names) > SCRIPTS_LEAST


def test_words_arrive_as_they_were(driver: InDinit) -> None:
    words_arrive(driver)
