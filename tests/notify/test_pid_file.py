"""PID files: what a killed one has left beside ours goes with the next; what is believed of those that others write."""

import os
import socket
from pathlib import Path

import pytest

from cross_init.errors import Failure
from cross_init.notify.pid_file import Foreign, place, read, remove, write

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


# Who may write it chooses what it says, and where its folder leads.


def foreign(path: Path) -> tuple[Foreign, list[str]]:
    """One that follows this file, and what it has said."""
    said: list[str] = []
    return Foreign(str(path), said.append), said


@as_root
def test_no_link_of_anothers_leads_to_it(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "web.pid").write_text("not for everybody's log\n")
    (tmp_path / "run").symlink_to("secrets")
    os.chown(tmp_path / "run", NOBODY, NOBODY, follow_symlinks=False)
    follower, said = foreign(tmp_path / "run" / "web.pid")
    assert [follower.read(), follower.read()] == [None, None]
    assert said == [f"reading the PID file {tmp_path}/run/web.pid: run on the way there is another user's link"]
    os.chown(tmp_path / "run", 0, 0, follow_symlinks=False)
    (tmp_path / "secrets" / "web.pid").write_text("4711\n")
    assert follower.read() == 4711


@pytest.mark.parametrize("kind", ["link", "FIFO", "folder", "socket"])
def test_what_is_no_file_is_not_opened(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "web.pid"
    (tmp_path / "other").write_text("4711\n")
    with socket.socket(socket.AF_UNIX) as bound:
        if kind == "link":
            path.symlink_to("other")
        elif kind == "FIFO":
            os.mkfifo(path)
        elif kind == "folder":
            path.mkdir()
        else:
            bound.bind(str(path))
        follower, said = foreign(path)
        assert follower.read() is None
        assert read(str(path)) is None
    assert said == [f"reading the PID file {path}: it is a link, or no file at all"]


@as_root
def test_opening_a_device_may_do_something(tmp_path: Path) -> None:
    path = tmp_path / "web.pid"
    os.mknod(path, 0o020666, os.makedev(1, 3))  # /dev/null stands for what does something when it is opened
    follower, said = foreign(path)
    assert follower.read() is None
    assert said


@as_root
@pytest.mark.parametrize("owner", [0, NOBODY])
def test_a_file_of_anothers_refuses_no_start(tmp_path: Path, owner: int) -> None:
    """It could name any process that runs the same interpreter, in a folder where everybody may write."""
    path = tmp_path / "web.pid"
    path.write_text(f"{os.getppid()}\n")
    os.chown(path, owner, owner)
    program = [os.fsencode(os.readlink(f"/proc/{os.getppid()}/exe"))]
    if owner:
        assert place(str(path), program) == str(path)
    else:
        with pytest.raises(Failure, match=f"the service runs already, as PID {os.getppid()}: stop it first"):
            place(str(path), program)
