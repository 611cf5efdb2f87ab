"""Standard error that nobody reads: what has to be done is done at once; what was dropped is counted and said later."""

import os
import pty
import re
import signal
import socket
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cross_init.kernel.process_stat import process_state
from tests.support.command import BRIDGE, PATH
from tests.support.observed import LONGEST_S, PYTHON, SHAPES, Place, Reader
from tests.support.processes import watcher_among
from tests.support.waiting import until

REFUSE = str(Path(__file__).parents[1] / "support" / "refuse.py")
# How the kernel lets us write without waiting: as it is, and as one before 6.4 does.
KERNELS = {"new": (), "old": (*PYTHON, REFUSE, "pwritev2", "ENOSYS")}
DAEMON = """
import os, signal, socket, sys
sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
where = os.environ["NOTIFY_SOCKET"]
sender.connect("\\0" + where[1:] if where[0] == "@" else where)
"""
READY = 'sender.send(b"READY=1"); os.write(1, b"said"); signal.pause()'
SULKS = "signal.signal(signal.SIGABRT, lambda *_: os.write(1, b'hit'));" + READY + "; signal.pause()"


def fill(fd: int) -> None:
    """Write until nothing more is taken."""
    os.set_blocking(fd, False)
    for size in (4096, 1):
        try:
            while True:
                os.write(fd, b"x" * size)
        except BlockingIOError:
            pass
    os.set_blocking(fd, True)


def full_pipe(folder: Path) -> tuple[int, int]:
    return os.pipe()


def fifo_without_reader(folder: Path) -> tuple[int, int]:
    os.mkfifo(folder / "fifo")
    near = os.open(folder / "fifo", os.O_RDWR)
    return os.dup(near), near


def socket_unread(folder: Path) -> tuple[int, int]:
    far, near = socket.socketpair()
    return far.detach(), near.detach()


def stopped_terminal(folder: Path) -> tuple[int, int]:
    far, near = pty.openpty()
    termios.tcflow(near, termios.TCOOFF)  # Ctrl-S
    return far, near


def unread_terminal(folder: Path) -> tuple[int, int]:
    return pty.openpty()


KINDS = (full_pipe, fifo_without_reader, socket_unread, stopped_terminal, unread_terminal)
Kind = Callable[[Path], tuple[int, int]]


@pytest.fixture(params=KINDS, ids=lambda kind: str(kind.__name__))
def stuck(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[int]:
    """A descriptor to write to that takes nothing any more."""
    kind: Kind = request.param
    far, near = kind(tmp_path)
    try:
        fill(near)
        yield near
        assert os.get_blocking(near), "it was changed for all who have it"
    finally:
        os.close(far)
        os.close(near)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe that is full: where it is read, and where it is written."""
    read, write = os.pipe()
    try:
        fill(write)
        yield read, write
    finally:
        os.close(read)
        os.close(write)


# What is asked for, what the daemon does, what is sent to the main process then, and how that ends.
DEEDS = {
    "watchdog": ("--watchdog 0.3", READY, 0, -signal.SIGABRT),
    "watchdog, SIGKILL": ("--watchdog 0.3:0.3", SULKS, 0, -signal.SIGKILL),
    "ready-timeout": ("--ready-timeout 0.3", "signal.pause()", 0, 125),
    "a signal": ("", READY, signal.SIGTERM, -signal.SIGTERM),
}


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("deed", DEEDS)
def test_the_deed_is_done(place: Place, stuck: int, deed: str, shape: str, kernel: str) -> None:
    options, daemon, number, ends = DEEDS[deed]
    out, told = os.pipe()
    with ExitStack() as closed:
        closed.callback(os.close, out)
        words = ("-t", "systemd", "-N", *SHAPES[shape], *options.split())
        run = place.spawn(
            *words, command=(*PYTHON, "-c", DAEMON + daemon), stderr=stuck, stdout=told, wrapper=KERNELS[kernel]
        )
        os.close(told)
        if number:
            Reader(out).hears("said")
            run.process.send_signal(number)
        assert run.ends() == ends
        place.nothing_remains()


@pytest.mark.parametrize("shape", SHAPES)
def test_what_was_dropped_is_counted(place: Place, pipe: tuple[int, int], shape: str) -> None:
    read, write = pipe
    out, told = os.pipe()
    with ExitStack() as closed:
        closed.callback(os.close, out)
        options = ("-t", "systemd", "-N", *SHAPES[shape], "--watchdog", "0.3:1")
        run = place.spawn(*options, command=(*PYTHON, "-c", DAEMON + SULKS), stderr=write, stdout=told)
        os.close(told)
        observer = watcher_among(place.orphans) if shape == "watch" else run.process.pid
        Reader(out).hears("hit")  # "is ready", and "sending SIGABRT": nobody has taken either
        # It does not wait between that signal and its line: when it does, the line was dropped.
        until(lambda: process_state(observer) == "S", "it has tried to say so")
        said = Reader(read)
        while said.read(0):
            pass
        assert b"cross-init" not in said.text
        said.hears("sending SIGKILL")
        assert run.ends() == -signal.SIGKILL
        first, *lines = said.text.lstrip(b"x").decode().splitlines()
        count = re.fullmatch(
            r"cross-init-bridge: \((\d) lines left out: nobody took what is .* standard error\)", first
        )
        assert count, first
        # The second is said when it is done, so it may have been taken by then.
        assert len(lines) + int(count[1]) == 3
        assert "sending SIGKILL" in lines[-1]


def test_who_fails_before_there_is_a_daemon_gives_it_a_moment(place: Place, pipe: tuple[int, int]) -> None:
    read, write = pipe
    run = place.spawn("-t", "nosuch", command=("true",), stderr=write)
    said = Reader(read)
    threading.Timer(0.2, lambda: said.read(0)).start()  # a log's reader that was busy
    assert run.ends() == 125
    said.hears("nosuch")


def test_but_not_longer(place: Place, stuck: int) -> None:
    began = time.monotonic()
    run = place.spawn("-t", "nosuch", command=("true",), stderr=stuck)
    assert run.ends() == 125
    assert time.monotonic() - began < LONGEST_S / 2


def test_a_terminal_does_not_stop_us_in_the_background(tmp_path: Path) -> None:
    """With "stty tostop" whoever writes from the background is stopped (SIGTTOU)."""
    far, near = pty.openpty()
    leader = os.fork()
    if leader == 0:  # a shell, in the foreground of its terminal
        code = 99
        try:
            os.setsid()
            os.dup2(near, 2)
            os.close(os.open(os.ttyname(2), os.O_RDWR))  # now it controls us
            modes = termios.tcgetattr(2)
            modes[3] |= termios.TOSTOP
            termios.tcsetattr(2, termios.TCSANOW, modes)
            job = os.fork()
            if job == 0:
                os.setpgid(0, 0)
                os.execve(BRIDGE, [str(BRIDGE), "-t", "nosuch", "true"], {"PATH": PATH})
            status = os.waitpid(job, os.WUNTRACED)[1]
            code = 98 if os.WIFSTOPPED(status) else os.waitstatus_to_exitcode(status)
        finally:
            os._exit(code)
    try:
        os.close(near)
        Reader(far).hears("nosuch")
        assert os.waitstatus_to_exitcode(os.waitpid(leader, 0)[1]) == 125
    finally:
        os.close(far)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_descriptor_to_tell_on_that_is_full(place: Place, pipe: tuple[int, int], shape: str) -> None:
    """--ready-fd leads to somebody who reads later: he is told then, and nothing is held up meanwhile."""
    read, write = pipe
    run = place.begin("-t", "systemd", "-N", *SHAPES[shape], "--ready-fd", str(write), pass_fds=(write,))
    run.puppet.send(repr(b"READY=1"))
    run.err.hears("that the daemon is ready failed: ")
    run.process.send_signal(signal.SIGHUP)
    run.puppet.hear_signal(signal.SIGHUP)
    said = Reader(read)
    said.hears("\n")
    run.puppet.tell("exit 0")
    assert run.ends() == 0
    assert run.err.rest().count("failed") == 1  # said once, however often it was tried
