"""The loop goes on whatever a callback does; what fails is called again, in steps that grow."""

import errno
import os
import time
from collections.abc import Callable, Iterator

import pytest

from cross_init.errors import Failure
from cross_init.watch.event_loop import MISTAKES, EventLoop


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    try:
        yield ends
    finally:
        for end in ends:
            os.close(end)


class Fails:
    """Fails so often with this error, and then stops the loop."""

    def __init__(self, loop: EventLoop, times: int, error: Exception) -> None:
        self.loop = loop
        self.times = times
        self.error = error
        self.at: list[float] = []

    def __call__(self) -> None:
        self.at.append(time.monotonic())
        if len(self.at) <= self.times:
            raise self.error
        self.loop.stop()


def by_descriptor(loop: EventLoop, fd: int, callback: Callable[[], None]) -> None:
    loop.watch(fd, callback)


def by_time(loop: EventLoop, fd: int, callback: Callable[[], None]) -> None:
    loop.watch(fd, lambda: time.sleep(0.001))
    loop.after(0, callback)


WAYS = (by_descriptor, by_time)
PASSING = [OSError(number, os.strerror(number)) for number in (errno.ENOMEM, errno.EMFILE, errno.EINTR, errno.ENOBUFS)]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("error", [*PASSING, MemoryError()], ids=repr)
def test_what_passes_is_tried_again_and_said_once(
    pipe: tuple[int, int], capfd: pytest.CaptureFixture[str], way: Callable[..., None], error: Exception
) -> None:
    os.write(pipe[1], b"x")
    loop = EventLoop()
    fails = Fails(loop, 7, error)
    way(loop, pipe[0], fails)
    loop.run()
    assert len(fails.at) == 8
    assert fails.at[-1] - fails.at[-2] > 10 * (fails.at[1] - fails.at[0]) > 0.05  # it does not spin
    said = capfd.readouterr().err
    assert said.count("\n") == said.count("trying again") == 1
    assert "mistake" not in said


@pytest.mark.parametrize("way", WAYS)
def test_a_mistake_is_reported_and_others_are_called_meanwhile(
    pipe: tuple[int, int], capfd: pytest.CaptureFixture[str], way: Callable[..., None]
) -> None:
    os.write(pipe[1], b"x")
    loop = EventLoop()
    fails = Fails(loop, MISTAKES - 1, ValueError("of ours"))
    way(loop, pipe[0], fails)
    called: list[int] = []
    loop.after(0.005, lambda: called.append(len(fails.at)))
    loop.run()
    assert called
    assert called[0] <= MISTAKES
    said = capfd.readouterr().err
    assert said.count("a mistake in cross-init-bridge itself") == said.count("\n") == 1


@pytest.mark.parametrize("way", WAYS)
def test_a_mistake_again_and_again_ends_it(pipe: tuple[int, int], way: Callable[..., None]) -> None:
    os.write(pipe[1], b"x")
    loop = EventLoop()
    fails = Fails(loop, 1000, ValueError("of ours"))
    way(loop, pipe[0], fails)
    with pytest.raises(ValueError, match="of ours"):
        loop.run()
    assert len(fails.at) == MISTAKES


def test_a_failure_that_is_meant_ends_it_at_once(pipe: tuple[int, int]) -> None:
    loop = EventLoop()
    fails = Fails(loop, 1, Failure("the process that watched it was killed"))
    by_time(loop, pipe[0], fails)
    with pytest.raises(Failure):
        loop.run()
    assert len(fails.at) == 1


def test_what_was_forgotten_while_it_rests_stays_forgotten(pipe: tuple[int, int]) -> None:
    os.write(pipe[1], b"x")
    loop = EventLoop()
    fails = Fails(loop, 1, PASSING[0])
    loop.watch(pipe[0], fails)
    loop.turn()
    loop.forget(pipe[0])
    loop.run()  # nothing is watched any more
    assert len(fails.at) == 1
    assert loop.timers == []


def test_what_is_watched_anew_while_it_rests_is_watched_once(pipe: tuple[int, int]) -> None:
    os.write(pipe[1], b"x")
    loop = EventLoop()
    loop.watch(pipe[0], Fails(loop, 1, PASSING[0]))
    loop.turn()
    called: list[bool] = []

    def end() -> None:
        called.append(True)
        loop.stop()

    loop.watch(pipe[0], end)
    loop.run()
    assert called == [True]
    assert loop.timers == []
