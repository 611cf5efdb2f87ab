"""cross-init status --watch on a real terminal, of any size, also while the resident is away for a moment."""

import shutil
import signal
import subprocess
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import FRONT_DOOR, PATH
from tests.support.packages import need
from tests.support.resident import Machine, machine
from tests.support.terminal import Terminal, terminal

WATCH = (str(FRONT_DOOR), "status", "--watch")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Machine]:
    need("s6")
    with machine(tmp_path) as made:
        made.serve()
        yield made


def on_terminal(here: Machine) -> list[str]:
    """The command line that watches in there; the terminal's window is the command's own."""
    nsenter, *rest = here.private.enter
    return [shutil.which(nsenter, path=PATH) or nsenter, *rest, *WATCH]


def is_whole(lines: list[str], screen: Terminal) -> bool:
    """Whether one table stands there, and no rest of another."""
    return sum("SERVICE" in line for line in lines) == 1 and all(len(line) <= screen.size[1] for line in lines)


def test_it_is_refreshed_in_its_place_until_interrupted(here: Machine) -> None:
    _, puppet = here.puppet()
    puppet.send(repr(b"STATUS=one"))
    with terminal(on_terminal(here)) as screen:
        screen.shows(lambda lines: any("waits for READY=1; one" in line for line in lines), "the first answer")
        puppet.tell("notify READY=1")
        screen.shows(lambda lines: any(" ready " in line for line in lines), "the next one")
        assert is_whole(screen.lines, screen), screen.lines
        screen.press(b"\x03")
        assert screen.ended() == -signal.SIGINT
        assert is_whole(screen.lines, screen), screen.lines
        assert screen.wraps
        assert termios.tcgetattr(screen.fd) == screen.mode


def test_a_window_may_be_narrow_and_low_and_become_another(here: Machine) -> None:
    for number in range(4):
        _, puppet = here.puppet(f"web{number}")
        puppet.send(repr(b"STATUS=" + b"long " * 30))
    with terminal(on_terminal(here), rows=5, columns=30) as screen:
        screen.shows(lambda lines: "... and 1 more" not in lines and "... and 2 more" in lines, "as many as fit")
        assert is_whole(screen.lines, screen), screen.lines
        screen.resize(24, 200)
        screen.shows(lambda lines: sum("long long" in line for line in lines) == 4, "all, when there is room")
        assert is_whole(screen.lines, screen), screen.lines
        screen.resize(4, 20)
        screen.shows(lambda lines: "... and 3 more" in lines, "less")


def test_nothing_to_show_is_said_once(here: Machine) -> None:
    with terminal(on_terminal(here), rows=40) as screen:
        screen.shows(lambda lines: any("no service is looked after" in line for line in lines), "that there is none")
        draws = screen.draws
        _, puppet = here.puppet()  # it takes its time, and the next answer is another one
        puppet.send(repr(b"STATUS=here"))
        screen.shows(lambda lines: any("; here" in line for line in lines), "it is seen")
        assert not any("no service" in line for line in screen.lines)
        assert screen.draws - draws <= 4


def test_a_resident_that_is_away_is_seen_again(here: Machine) -> None:
    _, puppet = here.puppet()
    with terminal(on_terminal(here)) as screen:
        screen.shows(lambda lines: any(line.startswith("web ") for line in lines), "it is seen")
        here.kill_resident()
        screen.shows(lambda lines: any("cross-init serve is away" in line for line in lines), "that it is away")
        here.serve()
        puppet.send(repr(b"STATUS=again"))
        screen.shows(lambda lines: any("; again" in line for line in lines), "it is seen again")
        assert is_whole(screen.lines, screen), screen.lines


def test_it_ends_when_nobody_reads(here: Machine) -> None:
    watching = subprocess.Popen(
        on_terminal(here), env={"PATH": PATH}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert watching.stdout is not None
    assert watching.stdout.readline() == "no service is looked after\n"
    watching.stdout.close()
    _, puppet = here.puppet()
    puppet.send(repr(b"STATUS=something new"))
    assert watching.wait(20) == -signal.SIGPIPE
