"""The PID file that we write: what a killed one has left beside it goes with the next, and nothing of others."""

import os
from pathlib import Path

import pytest

from cross_init.notify.pid_file import read, remove, write

LEFT = ".web.pid.0123456789abcdef"
OTHERS = (
    ".web.pid.0123456789abcde",  # too short, so none of ours
    ".web.pid.0123456789ABCDEF",
    ".other.pid.0123456789abcdef",
    "web.pid.0123456789abcdef",
    ".web.pid.",
)
NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to change owners")


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_what_a_killed_one_left_goes_with_the_next(tmp_path: Path) -> None:
    for name in (LEFT, *OTHERS):
        (tmp_path / name).write_text("4711\n")
    write(f"{tmp_path}/web.pid", 4712)
    assert names(tmp_path) == {"web.pid", *OTHERS}
    assert read(f"{tmp_path}/web.pid") == 4712


def test_only_a_file_is_removed_and_no_link_is_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    (tmp_path / LEFT).symlink_to(precious)
    folder = tmp_path / LEFT.replace("0", "1")
    folder.mkdir()
    write(f"{tmp_path}/web.pid", 4712)
    assert precious.read_text() == "precious"
    assert names(tmp_path) == {"web.pid", "precious", LEFT, folder.name}


@as_root
def test_what_is_anothers_stays(tmp_path: Path) -> None:
    (tmp_path / LEFT).write_text("4711\n")
    os.chown(tmp_path / LEFT, NOBODY, NOBODY)
    write(f"{tmp_path}/web.pid", 4712)
    assert names(tmp_path) == {"web.pid", LEFT}


@as_root
def test_nothing_is_swept_in_a_folder_of_anothers(tmp_path: Path) -> None:
    (tmp_path / LEFT).write_text("4711\n")
    os.chown(tmp_path, NOBODY, NOBODY)
    write(f"{tmp_path}/web.pid", 4712)
    assert names(tmp_path) == {"web.pid", LEFT}


@as_root
def test_a_file_of_anothers_is_not_removed_although_it_names_the_same_process(tmp_path: Path) -> None:
    path = tmp_path / "web.pid"
    write(str(path), 4712)
    os.chown(path, NOBODY, NOBODY)
    remove(str(path), 4712)
    assert path.exists()
    os.chown(path, 0, 0)
    remove(str(path), 4713)
    assert path.exists()
    remove(str(path), 4712)
    assert not path.exists()


def test_two_that_write_it_at_once_do_not_hinder_each_other(tmp_path: Path) -> None:
    """Each sweeps what the other one has just made."""
    path, times = f"{tmp_path}/web.pid", 300
    pids = []
    for _ in range(2):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                for number in range(1, times):
                    write(path, number)
                code = 0
            finally:
                os._exit(code)
        pids.append(pid)
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids] == [0, 0]
    assert names(tmp_path) == {"web.pid"}
    assert read(path) == times - 1
