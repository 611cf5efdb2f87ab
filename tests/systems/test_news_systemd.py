"""Our reading of sd_notify's wire format against real managers: what they take of a message, we take, and no less."""

import pytest

from cross_init.readiness.sd_notify import MESSAGE_MAX, Malformed, first, parse
from tests.support.systemd import Manager

TAKEN_BY_SYSTEMD = 4096  # bytes in one message, seen with 252 and 262
LONGEST = b"STATUS=".ljust(TAKEN_BY_SYSTEMD, b"x")
# Read by us as they are by the manager.
MESSAGES = [
    LONGEST[:-1],
    LONGEST,
    b"STATUS=a\0",
    b"STATUS=a\0\0",
    b"STATUS=a\0b",
    b"\0STATUS=a",
    b"STATUS=a\r\nX_Y=1\r\n",
    b"X_Y=1\r\nSTATUS=a\r\n",
    b"X_Y=1\rSTATUS=a\r",
    b"\n\n\r\nSTATUS=a\n\n",
    b"STATUS=one\nSTATUS=two",
    b"STATUS=\nSTATUS=two",
    b"STATUS=",
    b"STATUS",
    b"noise\nSTATUS=a",
    b"=\nSTATUS=a",
    b" STATUS=a",
    b"STATUS= a ",
    b"STATUS=a=b",
    b"status=a",
    b"STATUS=a\x0bSTATUS=b",
    b"STATUS=a\x1bb",
    "STATUS=gr\u00fc\u00df\u0085 \u2028".encode(),
    b"",
]
# Longer than the manager takes, and not than we do; written short.
LONGER = [
    f"b'STATUS='.ljust({TAKEN_BY_SYSTEMD + 1}, b'x')",
    f"b'STATUS='.ljust({TAKEN_BY_SYSTEMD}, b'x') + b'\\0'",
    f"b'STATUS='.ljust({MESSAGE_MAX}, b'x')",
    f"b'STATUS=a'.ljust({TAKEN_BY_SYSTEMD + 1}, b'\\n')",
]


def ours(message: bytes, before: str) -> str:
    """The status that we have after this message."""
    try:
        status = first(parse(message), "STATUS")
    except Malformed:
        return before
    return before if status is None else status


def test_a_status_is_read_as_the_manager_reads_it(system: Manager) -> None:
    with system.unit("Type=notify\nExecStart=PUPPET") as unit:
        start = unit.begin("start")
        puppet = unit.stage.puppet()
        puppet.send(repr(b"READY=1"))
        assert start.ends() == 0

        def theirs(message: bytes) -> str:
            puppet.send(repr(b"STATUS=before"))
            puppet.send(repr(message))
            return unit.show("StatusText")

        for message in MESSAGES:
            assert theirs(message) == ours(message, "before"), message


@pytest.mark.parametrize("message", LONGER)
def test_a_message_that_is_too_long_for_the_manager_is_still_one_for_us(system: Manager, message: str) -> None:
    with system.unit("Type=notify\nExecStart=PUPPET") as unit:
        start = unit.begin("start")
        puppet = unit.stage.puppet()
        puppet.send(repr(b"READY=1\nSTATUS=before"))
        assert start.ends() == 0
        puppet.send(message)
        assert unit.show("StatusText") == "before"
    assert ours(eval(message), "before") != "before"
