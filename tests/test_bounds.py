"""Numbers from outside: what is one, within which bounds; and that no time is too long for the loop."""

import os
import re
import select
import signal
import time
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cross_init import bounds
from cross_init.commands.options import Options
from cross_init.commands.values import count, seconds, signal_number
from cross_init.errors import Failure
from cross_init.watch.event_loop import LONGEST_MS, EventLoop
from tests.support.command import run
from tests.support.odd import EDGES, TEXTS

NUMBER = re.compile("[0-9]{1,32}")
KINDS: dict[str, tuple[Callable[[str], int | None], int, int]] = {
    "pid": (bounds.as_pid, 1, 4194304),
    "descriptor": (bounds.as_descriptor, 0, 2**31 - 1),
    "port": (bounds.as_port, 0, 65535),
    "count": (bounds.as_count, 0, 999999),
    "usec": (bounds.as_usec, 0, 2**64 - 1),
    "identity": (bounds.as_identity, 1, 2**64 - 1),
}


@pytest.mark.parametrize("kind", KINDS)
@given(text=TEXTS)
def test_a_number_is_ascii_digits_within_its_bounds_and_nothing_else(kind: str, text: str) -> None:
    made, least, most = KINDS[kind]
    for each in (text, *EDGES):
        is_one = NUMBER.fullmatch(each) is not None and least <= int(each) <= most
        assert made(each) == (int(each) if is_one else None), each


@pytest.mark.parametrize("kind", KINDS)
def test_each_bound_is_within_and_the_next_number_is_not(kind: str) -> None:
    made, least, most = KINDS[kind]
    assert [made(str(number)) for number in (least, most)] == [least, most]
    assert [made(str(number)) for number in (least - 1, most + 1)] == [None, None]


@given(st.binary(max_size=40))
def test_bytes_are_taken_as_their_text_is(data: bytes) -> None:
    assert bounds.number(data, 0, 1 << 64) == bounds.number(data.decode("latin-1"), 0, 1 << 64)


@given(TEXTS)
@example("0.0000000001")
@example("." + "0" * 40 + "1")
@example("999999999")
@example("999999999.5")
def test_a_time_is_above_0_and_not_longer_than_31_years(text: str) -> None:
    found = bounds.as_seconds(text)
    if re.fullmatch(r"[0-9]{1,20}|[0-9]{0,10}\.[0-9]{1,10}", text) and 0 < float(text) <= 999_999_999:
        assert found is not None
    if found is not None:
        assert re.fullmatch(r"[0-9]*\.?[0-9]*", text)
        assert 1e-6 <= found <= 999_999_999


@given(st.integers(0, 2**64 - 1))
def test_microseconds_are_seconds_and_at_most_31_years(usec: int) -> None:
    found = bounds.in_seconds(bounds.Usec(usec))
    assert found == min(usec / 1e6, 999_999_999)


def answer(parse: Callable[[str, str], float], value: str) -> float | str:
    """The number, or why it is none."""
    try:
        return parse("--option", value)
    except Failure as failure:
        return str(failure)


@pytest.mark.parametrize("value", EDGES)
def test_a_number_on_the_command_line_is_taken_or_its_range_is_named(value: str) -> None:
    for parse, says in ((count, "0 to 999999"), (seconds, "above 0 and up to 999999999"), (signal_number, "1 to 64")):
        found = answer(parse, value)
        assert says in found if isinstance(found, str) else 0 <= found <= 999_999_999


@given(TEXTS | st.sampled_from([name for name in dir(signal) if name.startswith("SIG")]))
@example("SIG_IGN")
@example("_BLOCK")
@example("ſIGTERM")
def test_a_signal_is_one_that_can_be_caught(value: str) -> None:
    try:
        number = signal_number("--stop-signal", value)
    except Failure:
        return
    assert number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
    assert value.isascii()
    assert number == (int(value) if value.isdigit() else getattr(signal, "SIG" + value.upper().removeprefix("SIG")))


OPTIONS = {
    "--ready-timeout": ("1000000000", "0", "1e3", "²", "-1", "9" * 5000),
    "--watchdog": ("1000000000", "1:1000000000", "0", "1:0", "1:", ":1", "٣", "nan", "inf"),
    "--fd-store": ("1000000", "-1", "+1", "1_0", "²"),
    "--stop-signal": ("65", "0", "9", "19", "32", "SIG_IGN", "SIG_BLOCK", "²", "9" * 5000),
    "--ready-fd": ("2147483648", "99999999999", "²", "-1", "9" * 5000),
    "--listen": ("tcp:127.0.0.1:65536", "tcp:127.0.0.1:²", "udp::-1", "tcp::" + "0" * 40 + "1"),
    "--ready-when": (
        *("tcp:127.0.0.1:0", "tcp:127.0.0.1:65536", "tcp:127.0.0.1:00000" + "9" * 5000, "http://127.0.0.1:0/"),
        *("http://127.0.0.1:65536/", "http://a..b/", "log:a{4294967296}", "log:" + "(" * 5000),
    ),
    "--init": ("circus:web=2147483648", "circus:web=²", "dinit:fd=1024", "dinit:fd=²"),
    "-t": ("s6:1024", "s6:2", "s6:²", "inetd:nowait:0", "inetd:nowait:10000", "inetd:nowait:²", "dinit:fd=2"),
}


@pytest.mark.parametrize(("option", "value"), [(option, value) for option in OPTIONS for value in OPTIONS[option]])
def test_a_number_beyond_its_bounds_is_one_line_before_anything_runs(option: str, value: str) -> None:
    result = run("-t", "systemd", "-N", "--init", "none", option, value, "--", "/bin/false")
    assert result.status == 125
    assert option.removeprefix("-t") in result.line
    assert "mistake" not in result.line


@pytest.mark.parametrize("seconds", [2147490.0, 1e9, 1e300, float("inf")])
def test_a_time_that_poll_cannot_take_is_waited_for_all_the_same(seconds: float) -> None:
    loop = EventLoop()
    read, write = os.pipe()
    called: list[str] = []

    def hear() -> None:
        called.append("news")
        loop.stop()

    loop.after(seconds, lambda: called.append("too early"))
    loop.watch(read, hear)
    os.write(write, b"x")
    loop.run()
    assert called == ["news"]
    for fd in (read, write):
        os.close(fd)


def test_a_turn_waits_as_long_as_poll_can_and_not_longer() -> None:
    assert select.poll().poll(0) == []
    with pytest.raises(OverflowError):
        select.poll().poll(LONGEST_MS + 1)
    loop = EventLoop()
    loop.after(-1e300, loop.stop)
    loop.turn()
    assert loop.stopped


def test_an_option_has_nothing_that_the_engine_cannot_take() -> None:
    options = Options()
    options.set("--watchdog", "999999999:999999999")
    loop = EventLoop()
    for limit in options.watchdog:
        loop.after(limit, loop.stop)
    loop.after(0, lambda: None)
    began = time.monotonic()
    loop.turn()
    assert time.monotonic() - began < 5
    assert not loop.stopped
