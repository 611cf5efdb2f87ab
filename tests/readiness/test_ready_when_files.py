"""--ready-when file:, pid-file: and unix: what was there before, what is another's, and what is left on the way."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.observed import Place

FORKS = """
read, write = os.pipe()
child = os.fork()
if not child:
    os.close(write)
    os.read(read, 1)
    os._exit(0)
os.close(read)
"""


@pytest.fixture
def stranger() -> Iterator[int]:
    """The PID of a process that is not of the service."""
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE) as process:
        yield process.pid


def test_a_file_that_was_there_does_not_count_but_that_it_is_written_anew_does(
    place: Place, tmp_path: Path, shape: tuple[str, ...]
) -> None:
    (tmp_path / "x").write_text("old")
    run = place.begin(*shape, "--ready-when", f"file:{tmp_path}/x")
    run.is_not_ready_yet(lambda: (tmp_path / "other").touch())
    run.puppet.do(f"open('{tmp_path}/x', 'w').write('old')")
    run.becomes_ready()


def test_a_file_that_was_there_and_is_made_again_counts(place: Place, tmp_path: Path, shape: tuple[str, ...]) -> None:
    (tmp_path / "x").touch()
    run = place.begin(*shape, "--ready-when", f"file:{tmp_path}/x")
    (tmp_path / "x").unlink()
    run.is_not_ready_yet(lambda: (tmp_path / "other").touch())
    (tmp_path / "x").touch()
    run.becomes_ready()


def test_folders_on_the_way_may_come_go_and_come_again(place: Place, tmp_path: Path, shape: tuple[str, ...]) -> None:
    folder = tmp_path / "one" / "two"
    run = place.begin(*shape, "--ready-when", f"file:{folder}/x")
    for _ in range(3):
        folder.mkdir(parents=True)
        run.is_not_ready_yet(lambda: (folder / "other").touch())
        (folder / "other").unlink()
        folder.rmdir()
        folder.parent.rmdir()
    elsewhere = tmp_path / "elsewhere" / "two"
    elsewhere.mkdir(parents=True)
    (elsewhere / "x").touch()
    elsewhere.parent.rename(folder.parent)
    run.becomes_ready()


def test_a_pid_file_with_the_pid_of_another_process_does_not_count(
    stranger: int, place: Place, tmp_path: Path, shape: tuple[str, ...]
) -> None:
    (tmp_path / "pid").write_text(f"{stranger}\n")
    run = place.begin(*shape, "--ready-when", f"pid-file:{tmp_path}/pid")
    run.is_not_ready_yet(lambda: (tmp_path / "pid").write_text(f"{stranger}\n"))
    for nothing in ("", "\n", "x\n", "0\n", "-1\n", "1\n", f"{os.getpid()}\n", f"{run.observer}\n", "9" * 40):
        (tmp_path / "pid").write_text(nothing)
    run.is_not_ready_yet(lambda: (tmp_path / "other").touch())
    (tmp_path / "pid").write_text(f"{run.puppet.pid}\n")
    run.becomes_ready()


def test_a_stale_pid_file_does_not_count_even_if_the_daemon_has_the_same_pid_again(
    place: Place, tmp_path: Path
) -> None:
    path = tmp_path / "pid"
    # The daemon's PID is known before the bridge is there: it becomes the daemon.
    says = f'echo $$ > {path}; exec "$@"'
    run = place.begin("--ready-when", f"pid-file:{path}", wrapper=("/bin/sh", "-c", says, "sh"))
    assert path.read_text() == f"{run.puppet.pid}\n"
    run.is_not_ready_yet(lambda: (tmp_path / "other").touch())
    path.write_text(f"{run.puppet.pid}\n")
    run.becomes_ready()


def test_a_childs_pid_counts(place: Place, tmp_path: Path, shape: tuple[str, ...]) -> None:
    run = place.begin(*shape, "--ready-when", f"pid-file:{tmp_path}/pid")
    run.puppet.do(FORKS)
    run.puppet.do(f"open('{tmp_path}/pid', 'w').write(str(child))")
    run.becomes_ready()


def test_so_does_that_of_a_child_whose_parent_has_gone(place: Place, tmp_path: Path) -> None:
    run = place.begin("--supervise", "--ready-when", f"pid-file:{tmp_path}/pid")
    run.puppet.do(
        "if not os.fork():\n " + FORKS.strip().replace("\n", "\n ") + "\n print(child)\n if child:\n  "
        f"open('{tmp_path}/pid', 'w').write(str(child))\n  os._exit(0)"
    )
    run.becomes_ready()


def test_a_socket_that_nobody_listens_on_any_more_does_not_count(
    place: Place, tmp_path: Path, shape: tuple[str, ...]
) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(path))
        old.listen()
    run = place.begin(*shape, "--ready-when", f"unix:{path}")
    run.is_not_ready_yet()
    run.puppet.do(f"os.unlink('{path}'); made = socket.socket(socket.AF_UNIX); made.bind('{path}')")
    run.is_not_ready_yet()
    run.puppet.do("made.listen()")
    run.becomes_ready()


def test_a_socket_whose_queue_is_full_has_somebody_who_listens(
    place: Place, tmp_path: Path, shape: tuple[str, ...]
) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(str(path))
        server.listen(0)
        client.connect(str(path))
        run = place.begin(*shape, "--ready-when", f"unix:{path}")
        run.becomes_ready()


def test_what_is_looked_for_may_be_behind_a_path_that_is_too_long(place: Place, tmp_path: Path) -> None:
    run = place.begin("--ready-when", f"unix:{tmp_path}/{'x' * 200}")
    run.is_not_ready_yet()
    run.process.send_signal(signal.SIGKILL)
    assert run.ends() == -signal.SIGKILL
    place.nothing_remains()
    (line,) = run.err.rest().splitlines()
    assert f"ended (SIGKILL) while it still waited for unix:{tmp_path}/xxx" in line
