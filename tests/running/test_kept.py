"""A unit that an earlier start has read is not read again while nothing has changed, and nobody else's word counts."""

import marshal
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cross_init.definitions.load import load
from cross_init.errors import Failure
from cross_init.running.keeping import YOUNG_S, kept_of
from cross_init.running.kept import restored
from tests.support.command import CHECKOUT, IS_BY_SHELL, IS_STATIC
from tests.support.own import STRANGER
from tests.support.private_run import PrivateRun, private_run
from tests.support.waiting import until
from tests.test_hot_path import SAY_AT_EXEC

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, whose start alone keeps anything")
PACKAGED = Path("/usr/lib/systemd/system")
READER = "cross_init.definitions.units"
LINES = "[Service]\nEnvironment=SAID=here\nLimitNOFILE=100\nExecStart=/bin/echo before\n"


class Place:
    """A machine's /run of one's own, a folder of units, and what is kept there."""

    def __init__(self, machine: PrivateRun) -> None:
        self.machine = machine
        self.folder = machine.root / "run/units"
        self.folder.mkdir()
        self.unit = self.folder / "a.service"
        self.unit.write_text(LINES)
        self.units = machine.root / "run/cross-init/units"

    def start(self, *words: str, user: int = 0, environ: dict[str, str] | None = None) -> str:
        """What it said, which is right."""
        ended = self.machine.ask("run", "--init", "none", *(words or self.words), user=user, environ=environ)
        assert ended.code == 0, ended.err
        return ended.out.strip()

    @property
    def words(self) -> tuple[str, ...]:
        """What is behind "run"."""
        return "--unit-path", "/run/units", "a.service"

    def files(self) -> list[Path]:
        """What is kept."""
        return list(self.units.iterdir()) if self.units.exists() else []

    def is_read(self) -> bool:
        """Whether the next start reads it."""
        words = ("/usr/bin/python3", "-ISXutf8", "-c", SAY_AT_EXEC, str(CHECKOUT.with_name("cross-init")))
        return READER in self.machine.run(*words, "run", "--init", "none", *self.words).out.split()

    def keep(self) -> Path:
        """Start it until it is kept, which it is not as long as anything has just been changed."""

        since = time.time()
        until(lambda: time.time() > since + YOUNG_S, "nothing of it is young")

        def is_kept() -> bool:
            self.start()
            return bool(self.files())

        until(is_kept, "it is kept")
        (file,) = self.files()
        return file


@pytest.fixture
def place() -> Iterator[Place]:
    """One for each test."""
    with private_run() as machine:
        yield Place(machine)


@pytest.mark.skipif(IS_BY_SHELL or IS_STATIC, reason="what it imports is seen of the checkout")
def test_the_next_start_does_not_read_it(place: Place) -> None:
    assert place.is_read()
    file = place.keep()
    assert not place.is_read()
    assert place.start() == "before"
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def _edit(place: Place) -> None:
    before = place.unit.stat()
    place.unit.write_text(LINES.replace("before", "AFTER!"))  # as long as it was, and with its time
    os.utime(place.unit, ns=(before.st_atime_ns, before.st_mtime_ns))


def _replace(place: Place) -> None:
    (place.folder / "new").write_text(LINES.replace("before", "AFTER!"))
    (place.folder / "new").rename(place.unit)


def _drop_in(place: Place) -> None:
    (place.folder / "a.service.d").mkdir()
    _override(place.folder / "a.service.d/b.conf")


def _drop_in_of_all(place: Place) -> None:
    (place.machine.root / "run/systemd/system/service.d").mkdir(parents=True)
    _override(place.machine.root / "run/systemd/system/service.d/b.conf")


def _override(path: Path) -> None:
    path.write_text("[Service]\nExecStart=\nExecStart=/bin/echo AFTER!\n")


CHANGES = (_edit, _replace, _drop_in, _drop_in_of_all)


@pytest.mark.parametrize("change", CHANGES, ids=lambda each: each.__name__)
def test_a_change_counts_at_the_next_start(place: Place, change: Callable[[Place], None]) -> None:
    place.keep()
    assert place.start() == "before"
    change(place)
    assert place.start() == "AFTER!"


def test_a_change_in_a_folder_of_drop_ins_counts(place: Place) -> None:
    (place.folder / "a.service.d").mkdir()
    place.keep()
    _override(place.folder / "a.service.d/b.conf")
    assert place.start() == "AFTER!"


def _forge(file: Path) -> None:
    """What would be believed if it were root's word."""
    file.write_bytes(file.read_bytes().replace(b"before", b"forged"))


def test_what_is_kept_is_believed_so_that_the_others_could_fail(place: Place) -> None:
    _forge(place.keep())
    assert place.start() == "forged"


@pytest.mark.parametrize("mode", [0o770, 0o707])
@pytest.mark.parametrize("above", [0, 1, 2])
def test_a_folder_in_which_others_can_write_is_not_looked_into(place: Place, mode: int, above: int) -> None:
    file = place.keep()
    _forge(file)
    file.parents[above].chmod(mode)
    assert place.start() == "before"


@pytest.mark.parametrize("above", [0, 1, 2, 3])
def test_a_file_or_folder_of_another_user_counts_for_nothing(place: Place, above: int) -> None:
    file = place.keep()
    _forge(file)
    os.chown((file, *file.parents)[above], STRANGER, STRANGER)
    assert place.start() == "before"


def test_one_of_another_unit_counts_for_nothing(place: Place) -> None:
    file = place.keep()
    file.rename(file.with_name(file.name.replace("a.service", "b.service")))
    place.unit.with_name("b.service").write_text(LINES.replace("before", "b"))
    assert place.start("--unit-path", "/run/units", "b.service") == "b"


def test_a_link_counts_for_nothing(place: Place) -> None:
    file = place.keep()
    _forge(file)
    file.rename(place.folder / "elsewhere")
    file.symlink_to("/run/units/elsewhere")
    assert place.start() == "before"


BROKEN = {
    "empty": b"",
    "cut off": None,
    "no marshal": b"\xff" * 100,
    "another form": marshal.dumps((1, 2)),
    "another form of the same length": marshal.dumps(("", "", (), ())),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_file_is_as_good_as_none(place: Place, how: str) -> None:
    file = place.keep()
    data = BROKEN[how]
    file.write_bytes(file.read_bytes()[:-9] if data is None else data)
    assert place.start() == "before"


def test_what_has_no_place_is_read_each_time(place: Place) -> None:
    (place.machine.root / "run/cross-init").write_text("")
    assert place.start() == "before"
    assert place.start() == "before"


def test_another_user_keeps_nothing_and_gets_none(place: Place) -> None:
    assert place.start(user=STRANGER) == "before"
    assert not place.files()
    _forge(place.keep())
    assert place.start(user=STRANGER) == "before"


def test_variables_that_say_where_units_are_count(place: Place, tmp_path: Path) -> None:
    place.keep()
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.service").write_text(LINES.replace("before", "AFTER!"))
    assert place.start("a.service", environ={"SYSTEMD_UNIT_PATH": str(other)}) == "AFTER!"
    shutil.rmtree(other)
    assert len(place.files()) == 1


def test_what_depends_on_more_than_files_is_not_kept(tmp_path: Path) -> None:
    for lines in ("Environment=A=%H\n", "WorkingDirectory=-%h\n"):
        (tmp_path / "a.service").write_text(f"[Service]\n{lines}ExecStart=/bin/true\n")
        assert kept_of(load(str(tmp_path / "a.service"))) is None
    (tmp_path / "a.service").write_text(LINES)
    assert kept_of(load(str(tmp_path / "a.service"))) is not None
    (tmp_path / "a.socket").write_text("[Socket]\nListenStream=/run/a\n")
    assert kept_of(load(str(tmp_path / "a.service"))) is None


def _as_values(thing: object) -> object:
    """All that an object of ours has."""
    if isinstance(thing, list | tuple):
        return [_as_values(each) for each in thing]
    if isinstance(thing, dict):
        return {key: _as_values(value) for key, value in thing.items()}
    if type(thing).__module__.startswith("cross_init."):
        names = getattr(type(thing), "__slots__", None) or vars(thing)
        return type(thing).__name__, {name: _as_values(getattr(thing, name)) for name in names}
    return thing


def test_it_comes_back_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "full.service").write_text(
        "[Unit]\nAfter=b.service\nConditionPathExists=|!/etc\nUnknown=1\n[Service]\nExecStartPre=-/bin/true a 'b c'\n"
        "ExecStart=!/bin/true\nRuntimeDirectory=a b:c\nBindReadOnlyPaths=/etc:/run/etc\nNice=ill\nIOSchedulingClass=2\n"
        "LimitNOFILE=1:2\nCapabilityBoundingSet=~CAP_KILL\nStandardInputText=\\xff\nSystemCallFilter=~@mount\n"
    )
    kept = 0
    for path in (tmp_path / "full.service", *sorted(PACKAGED.glob("*.service"))):
        try:
            unit = load(str(path))
        except Failure:
            continue
        state = kept_of(unit)
        if state is not None:
            again = restored(*marshal.loads(marshal.dumps(state)))
            unit.looked_at = []
            assert _as_values(again) == _as_values(unit)
            kept += 1
    assert kept
