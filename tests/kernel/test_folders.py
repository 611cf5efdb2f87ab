"""Folders by descriptors: what was looked at is what is used, whatever the path means by then."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cross_init.kernel.folders import (
    folder_of,
    is_served_by_a_process,
    mount_of,
    names,
    open_folder,
    private_folder,
    remove_socket,
)
from cross_init.sockets.placing import remove_abandoned

NOBODY = 65534


@contextmanager
def opened(path: Path | str) -> Iterator[int]:
    folder = open_folder(str(path))
    try:
        yield folder
    finally:
        os.close(folder)


def is_the_same(folder: int, path: Path) -> bool:
    return os.path.samestat(os.fstat(folder), path.stat())


def test_what_a_path_means(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "absolute").symlink_to(tmp_path / "a")
    (tmp_path / "relative").symlink_to("absolute/b/..//./b")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").touch()
    for path in ("a/b", "absolute/b", "relative", "relative/", "relative/.", "a/../relative"):
        with opened(f"{tmp_path}/{path}") as folder:
            assert is_the_same(folder, tmp_path / "a" / "b")
    with opened("/") as folder:
        assert is_the_same(folder, Path("/"))
    before = len(os.listdir("/proc/self/fd"))
    for path, error in (("none", FileNotFoundError), ("file", NotADirectoryError), ("loop", OSError)):
        with pytest.raises(error):
            open_folder(f"{tmp_path}/{path}")
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_link_is_followed_if_it_is_roots_or_this_users(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to("a")
    os.chown(tmp_path / "link", NOBODY, NOBODY, follow_symlinks=False)
    with pytest.raises(PermissionError):
        open_folder(f"{tmp_path}/link")


def test_only_a_folder_of_ones_own_is_private(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(mode=0o755)
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "file").touch()
    with opened(tmp_path) as parent:
        os.close(private_folder("a", os.geteuid(), parent))
        for name, user, error in (
            ("link", os.geteuid(), NotADirectoryError),
            ("file", os.geteuid(), NotADirectoryError),
            ("a", NOBODY, PermissionError),
        ):
            with pytest.raises(error):
                private_folder(name, user, parent)
        for mode in (0o775, 0o757):
            (tmp_path / "a").chmod(mode)
            with pytest.raises(PermissionError):
                private_folder("a", os.geteuid(), parent)


def test_what_is_listed_is_bounded_and_is_the_folder_that_was_opened(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for number in range(10):
        (tmp_path / "a" / str(number)).touch()
    with opened(tmp_path / "a") as folder:
        (tmp_path / "a").rename(tmp_path / "b")
        (tmp_path / "a").symlink_to("/etc")
        assert sorted(names(folder, 100)) == sorted(map(str, range(10)))
        assert len(names(folder, 3)) == 3


def test_only_a_socket_is_removed_and_nothing_behind_another_users_link(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    path = tmp_path / "there" / "socket"
    (tmp_path / "way").symlink_to("there")
    os.chown(tmp_path / "way", NOBODY, NOBODY, follow_symlinks=False)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
    for remove in (lambda way: remove_socket(*folder_of(way)), lambda way: remove_abandoned(way, socket.SOCK_STREAM)):
        try:
            remove(f"{tmp_path}/way/socket")
        except PermissionError:
            pass
        assert path.exists()
    with opened(tmp_path / "there") as folder:
        remove_socket(folder, "socket")
        assert not path.exists()
        path.write_text("no socket")
        remove_socket(folder, "socket")
        assert path.exists()


def test_mounts_that_a_process_serves_are_told_from_others() -> None:
    lines = Path("/proc/self/mountinfo").read_text().split("\n")
    for line in filter(None, lines):
        kind = line.partition(" - ")[2].split(" ")[0]
        assert is_served_by_a_process(line.split(" ")[0]) == kind.startswith("fuse")
    with opened("/proc") as folder:
        assert not is_served_by_a_process(mount_of(folder))
    assert is_served_by_a_process("999999999"), "one that is gone may be anything"
    assert is_served_by_a_process("")
