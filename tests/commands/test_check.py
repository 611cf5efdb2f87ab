"""cross-init check and the state file: what counts as ready, and what no longer does."""

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cross_init.bounds import PID_MAX
from cross_init.commands.front_door import COMMANDS
from cross_init.kernel.procfs import start_time
from cross_init.model import READY, STARTING
from cross_init.watch.state_file import FILE, write
from tests.support.command import FRONT_DOOR, PATH, ask, close_descriptors, run

NOBODY = 65534


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
    code, said, complaint = ask(state)
    assert (code, complaint) == (1, "")
    assert re.fullmatch(rf"starting since \d+ s \(PID {daemon.pid}\)\n", said)
    write(state, READY, daemon.pid)
    assert ask(state) == (0, f"ready (PID {daemon.pid})\n", "")
    assert os.listdir(tmp_path) == ["state"]


def test_programs_are_answered_in_json(tmp_path: Path, daemon: subprocess.Popen[bytes]) -> None:
    state = str(tmp_path / "state")
    for word, code in ((STARTING, 1), (READY, 0)):
        write(state, word, daemon.pid)
        said = ask(state)[1].rstrip("\n")
        ended, answer, _ = ask("--json", state)
        facts = json.loads(answer)
        assert (ended, facts["ready"], sorted(facts)) == (code, not code, ["ready", "reason"])
        assert without_seconds(facts["reason"]) == without_seconds(said)


def without_seconds(said: str) -> str:
    """The same however long ago the start was."""
    return re.sub(r"since \d+ s", "since ... s", said)


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


def test_what_a_killed_writer_left_is_removed_and_another_ones_is_not(
    tmp_path: Path, daemon: subprocess.Popen[bytes]
) -> None:
    pid, started = daemon.pid, start_time(daemon.pid)
    marks = (f"{PID_MAX}-1", f"{pid}-1", f"{pid}-{started}", f"{PID_MAX}-2")  # no process, an earlier one, and living
    left, earlier, living, new = (tmp_path / f".{mark}-0123456789abcdef.cross-init" for mark in marks)
    left.symlink_to(tmp_path / "elsewhere")
    for each in (earlier, living, new):
        each.touch()
    for each in (left, earlier, living):
        os.utime(each, (0, 0), follow_symlinks=False)  # what is newer may be another container's, just now
    write(str(tmp_path / "state"), READY, daemon.pid)
    assert ask(str(tmp_path / "state"))[0] == 0
    assert sorted(os.listdir(tmp_path)) == sorted([living.name, new.name, "state"])
    tmp_path.chmod(0o777)  # where others may have put it there, it stays
    left.touch()
    os.utime(left, (0, 0))
    write(str(tmp_path / "state"), READY, daemon.pid)
    assert left.exists()


def test_a_link_gives_way_and_what_it_points_to_is_as_it_was(tmp_path: Path, daemon: subprocess.Popen[bytes]) -> None:
    (tmp_path / "passwd").write_text("root\n")
    (tmp_path / "state").symlink_to("passwd")
    write(str(tmp_path / "state"), READY, daemon.pid)
    assert (tmp_path / "passwd").read_text() == "root\n"
    assert ask(str(tmp_path / "state"))[0] == 0


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, daemon: subprocess.Popen[bytes]) -> None:
    (tmp_path / "state").mkdir()
    with pytest.raises(IsADirectoryError):
        write(str(tmp_path / "state"), READY, daemon.pid)
    assert os.listdir(tmp_path) == ["state"]


def test_another_users_link_on_the_way_is_not_followed(tmp_path: Path, daemon: subprocess.Popen[bytes]) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "way").symlink_to("there")
    state = str(tmp_path / "way" / "state")
    write(state, READY, daemon.pid)  # root's own is
    os.chown(tmp_path / "way", NOBODY, NOBODY, follow_symlinks=False)
    with pytest.raises(PermissionError):
        write(state, STARTING, daemon.pid)
    assert ask(state)[0] == 125
    assert ask(str(tmp_path / "there" / "state"))[0] == 0


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
    "text",
    [
        "",
        "ready\n",
        "ready x 1 boot\n",
        "ready 99999999999 1 boot\n",
        "ready 1 ٣ boot\n",
        "happy 1 1 boot\n",
        "\x00" * 5000,
    ],
)
def test_what_is_no_state_file_is_a_mistake_and_not_an_answer(tmp_path: Path, text: str) -> None:
    (tmp_path / "state").write_text(text)
    code, said, complaint = ask(str(tmp_path / "state"))
    assert (code, said) == (125, "")
    assert complaint == (
        f"cross-init: reading the state file {tmp_path}/state: it is none that cross-init-bridge has written; "
        "name another one\n"
    )


def test_who_may_not_be_believed_is_not(tmp_path: Path, daemon: subprocess.Popen[bytes]) -> None:
    """Whoever may write to the file can say anything of any process."""
    state = tmp_path / "state"
    tmp_path.chmod(0o755)
    changes: list[tuple[Callable[[], None], str]] = [
        (lambda: os.chown(state, NOBODY, NOBODY), f"it is user {NOBODY}'s, and only root's and this user's own"),
        (lambda: state.chmod(0o664), "others may write to it"),
        (lambda: os.link(state, tmp_path / "second"), "others may write to it, or it has a second name"),
    ]
    for change, complaint in changes:
        write(str(state), READY, daemon.pid)
        assert ask(str(state))[0] == 0
        change()
        code, said, error = ask(str(state))
        assert (code, said) == (125, "")
        assert error.startswith(f"cross-init: reading the state file {state}: {complaint}")
        assert error.count("\n") == 1
        state.unlink()


def test_a_user_believes_its_own_file_and_roots(daemon: subprocess.Popen[bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        state = f"{folder}/state"
        write(state, READY, daemon.pid)
        for owner, asker, code in ((0, NOBODY, 0), (NOBODY, NOBODY, 0), (NOBODY, NOBODY - 1, 125), (NOBODY, 0, 125)):
            os.chown(state, owner, owner)
            ran = subprocess.run([FRONT_DOOR, "check", state], env={"PATH": PATH}, user=asker, timeout=60)
            assert ran.returncode == code


def test_what_is_no_file_is_not_opened_and_no_state_file_either(tmp_path: Path) -> None:
    """Opening a device may do something, as with a watchdog, and a pipe may wait."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/etc/passwd")
    pipe = os.open(tmp_path / "pipe", os.O_RDWR | os.O_NONBLOCK)
    os.write(pipe, b"ready")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "link", Path("/dev/zero")):
        code, said, complaint = ask(str(path))
        assert (code, said) == (125, "")
        assert complaint.startswith(f"cross-init: reading the state file {path}: it is ")
        assert complaint.count("\n") == 1
    assert os.read(pipe, 10) == b"ready"
    os.close(pipe)


def test_process_1_is_no_daemon(tmp_path: Path) -> None:
    started = Path("/proc/1/stat").read_text().rpartition(")")[2].split()[19]
    boot = Path("/proc/sys/kernel/random/boot_id").read_text()
    (tmp_path / "state").write_text(f"ready 1 {started} {boot}")
    assert ask(str(tmp_path / "state"))[0] == 125


NO_PROC = ("unshare", "--mount", "--propagation", "private", "sh", "-c", 'umount -l /proc && exec "$@"', "sh")


@pytest.mark.parametrize(
    ("path", "wrapper", "complaint"),
    [
        ("folder", (), "this is a folder: write the path of a file in it"),
        ("folder/", (), "this is a folder: write the path of a file in it"),
        ("pipe", (), "what stands there is no file, and would be replaced by one: choose another path"),
        ("state", NO_PROC, "/proc, which says when a process was started, is not mounted: mount it, or leave it out"),
    ],
)
def test_what_no_state_file_can_be_is_said_before_the_start(
    tmp_path: Path, path: str, wrapper: tuple[str, ...], complaint: str
) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    health = ("--health-listen", f"unix:{tmp_path}/health")
    words = ("--init", "none", "-t", "systemd", "-N", *health, "--state-file", f"{tmp_path}/{path}")
    ran = run(*words, "--", "/bin/touch", f"{tmp_path}/started", wrapper=wrapper)
    assert (ran.status, ran.line) == (125, f"--state-file {tmp_path}/{path}: {complaint}")
    assert sorted(os.listdir(tmp_path)) == ["folder", "pipe"]
    assert not os.listdir(tmp_path / "folder")


@pytest.mark.parametrize("words", [["-x"], ["one", "two"]])
def test_a_wrong_command_line(words: list[str]) -> None:
    code, said, complaint = ask(*words)
    assert (code, said) == (125, "")
    assert complaint.startswith("cross-init: check takes ")


def test_the_front_door_says_what_there_is() -> None:
    for words, code, expected in (
        ([], 0, "cross-init check [--json] [SERVICE | DIR | FILE]"),
        (["--help"], 0, "Usage:"),
        (["chek"], 125, ""),
    ):
        ran = subprocess.run([FRONT_DOOR, *words], env={}, capture_output=True, text=True, timeout=60)
        assert ran.returncode == code
        assert expected in ran.stdout
    there = f"there are {', '.join(COMMANDS)}; did you mean check? (see cross-init --help)"
    assert ran.stderr == f"cross-init: chek: no such command; {there}\n"


def test_the_front_door_lists_every_command_and_each_has_its_help() -> None:
    def asked(*words: str) -> str:
        ran = subprocess.run([FRONT_DOOR, *words], env={}, capture_output=True, text=True, timeout=60, check=True)
        return ran.stdout

    listed = asked()
    assert listed == asked("--help") == asked("-h")
    assert re.findall(r"^  (cross-init[a-z -]*?)(?: [-[]|  )", listed, re.MULTILINE) == [
        *(f"cross-init {command}" for command in COMMANDS),
        "cross-init-bridge",
    ]
    for command in COMMANDS:
        for word in ("-h", "--help"):
            assert asked(command, word).startswith(f"Usage: cross-init {command} ")
        listed += asked(command, "--help")
    assert max(map(len, listed.splitlines())) <= 80
    bridge = subprocess.run([FRONT_DOOR, "bridge"], env={}, capture_output=True, text=True, timeout=60)
    assert "did you mean cross-init-bridge?" in bridge.stderr
