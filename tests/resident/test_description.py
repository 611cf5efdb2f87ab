"""What a bridge says of its daemon: what is written is read again, and nothing else is taken for it."""

import posix

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cross_init.errors import Failure
from cross_init.resident.asking import RESIDENTS, new_file, verdict
from cross_init.resident.description import (
    BEGINNING,
    LONGEST,
    NUMBERS,
    ONE,
    TEXTS,
    as_attribute,
    as_value,
    join,
    listed,
    read,
    write,
)
from cross_init.resident.rebuilt import Handed
from cross_init.watch.wire import Malformed, Value, encode

WORDS = st.lists(st.text(st.characters(exclude_characters="\0"), max_size=20), max_size=5)
FIELDS: dict[str, Value] = {
    **dict.fromkeys(TEXTS, ""),
    **dict.fromkeys(NUMBERS, 1),
    "began": 1.0,
    "roles": join(ONE),
    "options": join(["-t", "systemd", "-N"]),
    "command": join(["/bin/true"]),
    "init": "none",
    "channel": "silent",
    "init.folder": "",
    "init.hears": "text",
    "init.state_file": "",
    "init.pid_file": "",
    "init.may_miss_readiness": 0,
    "init.job_type": "",
}


def of(fields: dict[str, Value]) -> bytes:
    """As it would be said, whatever it is."""
    return BEGINNING + encode(fields)


@given(WORDS)
def test_words_are_read_as_they_were(words: list[str]) -> None:
    assert listed(join(words)) == words


@given(st.one_of(st.text(), st.integers(-(1 << 62), 1 << 62), st.booleans(), st.binary(), WORDS.map(tuple)))
def test_an_attribute_is_read_as_it_was(thing: object) -> None:
    value = as_value(thing)
    assert value is not None
    assert as_attribute(value, thing) == thing


@pytest.mark.parametrize("kind", ["", 0, False, b"", ("",)])
@pytest.mark.parametrize("value", ["\u1234", "no end", 2, 0.5])
def test_an_attribute_of_another_kind_is_none(kind: object, value: Value) -> None:
    if type(kind) is type(value) or (kind == b"" and value == "no end"):
        assert as_attribute(value, kind) in (value, b"no end")
    else:
        with pytest.raises(Malformed):
            as_attribute(value, kind)


def test_a_description_is_read_as_it_was() -> None:
    assert read(write(FIELDS)) == FIELDS


@given(st.binary(max_size=200))
def test_what_is_none_is_refused(data: bytes) -> None:
    for each in (data, BEGINNING + data):
        with pytest.raises(Malformed):
            read(each)


@pytest.mark.parametrize(
    "changed",
    [
        *({name: 0.5} for name in (*TEXTS, *NUMBERS)),
        {"began": 1},
        {"news": 1},
        {"roles": ""},
        {"roles": join([*ONE, "news"])},
        {"roles": join([*ONE, ONE[0]])},
        {"roles": join([*ONE, *["init"] * 100])},
        {"roles": "verdict"},
        {"command": "x" * LONGEST},
    ],
)
def test_a_description_that_lacks_something_or_has_too_much_is_refused(changed: dict[str, Value]) -> None:
    with pytest.raises(Malformed):
        read(of({**FIELDS, **changed}))


@pytest.mark.parametrize(
    "changed",
    [
        {"options": ""},
        {"options": join(["-t", "systemd", "--news"])},
        {"options": join(["-t", "systemd", "-N", "--", "/bin/false"])},
        {"options": join(["-t", "systemd", "-N", "--ready-when", "exec:true"])},
        {"options": join(["-t", "systemd", "-N", "--ready-when", "tcp:127.0.0.1:1"]), "condition.0": join(["2 1 x y"])},
        {"options": join(["-t", "systemd", "-N", "--health-listen", "tcp:127.0.0.1:1"])},
        {"options": "-t"},
        {"command": ""},
        {"init": "systemd"},
        {"init": "news"},
        {"init.hears": 1},
        {"init.news": ""},
        {"told": "news"},
        {"told": "descriptor", "told.name": ""},
        {"channel": "news"},
        {"channel": "notify"},
        {"channel": "silent", "roles": join([*ONE, "channel"])},
        {"removals": join(["1 1 name"])},
    ],
    ids=str,
)
def test_what_cannot_be_watched_is_refused_and_nothing_of_it_is_closed(changed: dict[str, Value]) -> None:
    fields = {**FIELDS, **changed}
    count = len(listed(fields["roles"]))
    fds = [new_file() for _ in range(count)]
    try:
        with pytest.raises((Malformed, Failure)):
            Handed(of(fields), fds)
        for fd in fds:
            posix.fstat(fd)
    finally:
        for fd in fds:
            posix.close(fd)


def test_what_can_be_watched_is_what_it_was() -> None:
    fds = [new_file() for _ in ONE]
    try:
        handed = Handed(of(FIELDS), fds)
        assert handed.start.request.notify
        assert handed.start.init.name == "none"
        assert handed.start.command == ["/bin/true"]
    finally:
        for fd in fds:
            posix.close(fd)


def test_the_first_word_is_the_verdict() -> None:
    fd = new_file()
    try:
        assert verdict(fd, RESIDENTS)
        assert not verdict(fd, b"b")
        assert verdict(fd, RESIDENTS)
    finally:
        posix.close(fd)
