"""cross-init check and the state file: what counts as ready, and what no longer does."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cross_init.model import READY, STARTING
from cross_init.state import FILE, write
from tests.support.command import FRONT_DOOR, ask, close_descriptors


@pytest.fixture
def daemon() -> Iterator[subprocess.Popen[bytes]]:
    """A process that lives until its standard input is closed."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def test_starting_then_ready(tmp_path: Path, daemon: subprocess.Popen[bytes]) -> None:
    state = str(tmp_path / "state")
    write(state, STARTING, daemon.pid)
    assert ask(state) == (1, f"starting since 0 s (PID {daemon.pid})\n", "")
    write(state, READY, daemon.pid)
    assert ask(state) == (0, f"ready (PID {daemon.pid})\n", "")
    assert os.listdir(tmp_path) == ["state"]


def test_a_daemon_that_has_ended_is_not_ready_and_a_zombie_neither(
    tmp_path: Path, daemon: subprocess.Popen[bytes]
) -> None:
    state = str(tmp_path / "state")
    write(state, READY, daemon.pid)
    daemon.kill()
    os.waitid(os.P_PID, daemon.pid, os.WEXITED | os.WNOWAIT)
    said = (1, f"not running: process {daemon.pid}, which was ready, has ended\n", "")
    assert ask(state) == said
    with pytest.raises(ProcessLookupError):
        write(state, READY, daemon.pid)
    daemon.wait()
    assert ask(state) == said


@pytest.mark.parametrize("place", [2, 3])
def test_a_process_with_the_same_number_is_another_one(
    tmp_path: Path, daemon: subprocess.Popen[bytes], place: int
) -> None:
    state = tmp_path / "state"
    write(str(state), READY, daemon.pid)
    words = state.read_text().split()
    words[place] = {2: str(int(words[2]) - 1), 3: "00000000-0000-0000-0000-000000000000"}[place]
    state.write_text(" ".join(words) + "\n")
    assert ask(str(state))[0] == 1


def test_what_a_killed_writer_left_is_in_nobodys_way(tmp_path: Path, daemon: subprocess.Popen[bytes]) -> None:
    state = tmp_path / "state"
    left = Path(f"{state}.{daemon.pid}")
    left.symlink_to(tmp_path / "elsewhere")
    write(str(state), READY, daemon.pid)
    assert ask(str(state))[0] == 0
    assert os.listdir(tmp_path) == ["state"]


def test_without_a_file_it_is_the_service_directorys(tmp_path: Path, daemon: subprocess.Popen[bytes]) -> None:
    (tmp_path / FILE).parent.mkdir()
    code, said, _ = ask(cwd=tmp_path)
    assert code == 1
    assert said == f"no such service: no start of cross-init-bridge -N has left {tmp_path}/{FILE}\n"
    write(str(tmp_path / FILE), READY, daemon.pid)
    assert ask(cwd=tmp_path)[0] == 0


def test_the_exit_code_tells_where_standard_output_is_closed(tmp_path: Path, daemon: subprocess.Popen[bytes]) -> None:
    state = tmp_path / "state"
    for word, code in ((STARTING, 1), (READY, 0)):
        write(str(state), word, daemon.pid)
        written = state.read_text()
        assert ask(str(state), before=close_descriptors(0, 1)) == (code, "", "")
        assert state.read_text() == written


@pytest.mark.parametrize(
    "text", ["", "ready\n", "ready x 1 boot\n", "ready 1 ٣ boot\n", "happy 1 1 boot\n", "\x00" * 5000]
)
def test_what_is_no_state_file_is_a_mistake_and_not_an_answer(tmp_path: Path, text: str) -> None:
    (tmp_path / "state").write_text(text)
    code, said, complaint = ask(str(tmp_path / "state"))
    assert (code, said) == (125, "")
    assert complaint == (
        f"cross-init: reading the state file {tmp_path}/state: it is none that cross-init-bridge has written; "
        "name another one\n"
    )


def test_a_folder_and_a_pipe_are_no_state_files_either(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        code, _, complaint = ask(str(path))
        assert code == 125
        assert complaint.startswith(f"cross-init: reading the state file {path}: ")


@pytest.mark.parametrize("words", [["-x"], ["one", "two"]])
def test_a_wrong_command_line(words: list[str]) -> None:
    code, said, complaint = ask(*words)
    assert (code, said) == (125, "")
    assert complaint.startswith("cross-init: check takes ")


def test_the_front_door_says_what_there_is() -> None:
    for words, code, expected in (([], 0, "cross-init check [FILE]"), (["--help"], 0, "Usage:"), (["chek"], 125, "")):
        ran = subprocess.run([FRONT_DOOR, *words], env={}, capture_output=True, text=True, timeout=60)
        assert ran.returncode == code
        assert expected in ran.stdout
    assert ran.stderr == "cross-init: chek: no such command; there are status, check (see cross-init --help)\n"
