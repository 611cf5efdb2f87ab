"""A service's terminal, from a shell: one that somebody else has, and what cannot have one."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cross_init.kernel.process_stat import open_descriptors
from tests.support.command import FRONT_DOOR
from tests.support.waiting import until

Terminal = tuple[int, str]


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    above, fd = os.openpty()
    try:
        yield fd, os.ttyname(fd)
    finally:
        os.close(fd)
        os.close(above)


@pytest.fixture
def holder(terminal: Terminal) -> Iterator[subprocess.Popen[str]]:
    """Somebody whose controlling terminal it is."""
    words = f"exec setsid --ctty sh -c 'echo; exec sleep 600' <{terminal[1]}"
    with subprocess.Popen(["sh", "-c", words], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def begin(folder: Path, lines: str, **more: Any) -> subprocess.Popen[str]:
    """A service that says whether it has a controlling terminal."""
    unit = folder / "terminal.service"
    unit.write_text(
        f"[Service]\n{lines}\nStandardOutput=journal\nExecStart=/bin/sh -c 'echo </dev/tty && echo has it'\n"
    )
    return subprocess.Popen(
        [FRONT_DOOR, "run", "--init", "none", unit],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **more,
    )


def waits(pid: int) -> bool:
    """Whether it has a look at a file."""
    return any("inotify" in link for link in (open_descriptors(pid) or {}).values())


def test_it_waits_until_nobody_else_has_it(tmp_path: Path, terminal: Terminal, holder: subprocess.Popen[str]) -> None:
    with begin(tmp_path, f"StandardInput=tty\nTTYPath={terminal[1]}", start_new_session=True) as process:
        try:
            until(lambda: waits(process.pid), "it waits for the terminal")
            assert process.poll() is None
            holder.kill()
            holder.wait()
            assert process.communicate(timeout=20)[0] == "\nhas it\n"
        finally:
            process.kill()


def test_it_fails_if_it_is_not_to_wait(tmp_path: Path, terminal: Terminal, holder: subprocess.Popen[str]) -> None:
    with begin(tmp_path, f"StandardInput=tty-fail\nTTYPath={terminal[1]}", start_new_session=True) as process:
        said = process.communicate(timeout=20)[0]
    assert process.returncode == 125
    assert said.endswith("terminal.service:2: StandardInput=tty-fail: Operation not permitted\n")


def test_who_leads_no_session_has_it_all_the_same(tmp_path: Path, terminal: Terminal) -> None:
    with begin(tmp_path, f"StandardInput=tty\nTTYPath={terminal[1]}", process_group=0) as process:
        said = process.communicate(timeout=20)[0]
    assert "StandardInput=tty: it is not its controlling terminal, as it leads no session\n" in said
    assert "has it" not in said


def test_a_command_of_its_stop_does_not_hang_up_on_it(tmp_path: Path, terminal: Terminal) -> None:
    unit = tmp_path / "terminal.service"
    ended = tmp_path / "ended"
    unit.write_text(
        f"[Service]\nStandardInput=tty\nTTYPath={terminal[1]}\nTTYVHangup=yes\nExecStop=/bin/true\n"
        f"ExecStart=/bin/sh -c 'trap \"echo told >{ended}; exit 0\" TERM; echo begun >{ended}; sleep 600 & wait'\n"
    )
    words = [str(each) for each in (FRONT_DOOR, "run", "--init", "none", unit)]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, start_new_session=True) as process:
        try:
            until(lambda: ended.exists() and ended.read_text() == "begun\n", "it has begun")
            process.terminate()
            assert process.wait(20) == 0
            assert ended.read_text() == "told\n"
        finally:
            process.kill()


def test_what_is_no_terminal_is_said(tmp_path: Path) -> None:
    with begin(tmp_path, "StandardInput=tty\nTTYPath=/dev/null", start_new_session=True) as process:
        said = process.communicate(timeout=20)[0]
    assert process.returncode == 125
    assert said.endswith("terminal.service:2: StandardInput=tty: /dev/null is no terminal\n")
