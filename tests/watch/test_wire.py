"""The form in which our processes speak to each other: whatever a text holds, it stays where it was put."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cross_init.watch.wire import BEGINNING, INTEGER_MAX, Malformed, Value, decode, encode

texts = st.text(st.characters(exclude_categories=())) | st.text("\0\n\r\v\f\x1c\x85\u2028\u2029:,=it0123456789")
values = texts | st.integers(-INTEGER_MAX, INTEGER_MAX) | st.floats(allow_nan=False, allow_infinity=False)
messages = st.dictionaries(texts, values)


@given(messages)
@example({"status": "x\u2028state=ready\u2028service=sshd\npid=1\0\x0c\x85", "state": "starting"})
@example({"service": "\udcff\ud800", "": "", "pid": -0, "since": -0.0})
def test_what_is_written_is_read_with_its_types(fields: dict[str, Value]) -> None:
    read = decode(encode(fields))
    assert list(map(repr, read.items())) == list(map(repr, fields.items()))


@given(messages, st.data())
def test_no_text_changes_another_field(fields: dict[str, Value], data: st.DataObject) -> None:
    """Not even one that holds a message, or a part of one."""
    message = encode(fields).decode("utf-8", "surrogateescape")
    cut = data.draw(st.integers(0, len(message)))
    for text in (message, message[cut:], message[:cut]):
        assert decode(encode({"status": text, "state": "starting"})) == {"status": text, "state": "starting"}


@given(st.binary() | st.binary().map(lambda data: BEGINNING + data))
def test_anything_else_is_malformed_and_no_other_error(data: bytes) -> None:
    try:
        assert encode(decode(data)) == data
    except Malformed:
        pass


@given(messages, st.data())
def test_a_part_of_a_message_is_malformed(fields: dict[str, Value], data: st.DataObject) -> None:
    message = encode(fields)
    with pytest.raises(Malformed):
        decode(message[: data.draw(st.integers(0, len(message) - 1))])


@given(messages, st.data())
def test_a_message_that_was_changed_says_what_it_says_or_is_malformed(
    fields: dict[str, Value], data: st.DataObject
) -> None:
    message = encode(fields)
    at = data.draw(st.integers(0, len(message)))
    changed = message[:at] + data.draw(st.binary(max_size=3)) + message[at + data.draw(st.integers(0, 3)) :]
    try:
        assert encode(decode(changed)) == changed
    except Malformed:
        pass


FIELD = b"5:state,t5:ready,"


def framed(body: bytes) -> bytes:
    return BEGINNING + b"%d:%b," % (len(body), body)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"service=nginx\nstate=ready\n",  # the form of version 1.0
        BEGINNING,
        framed(FIELD).replace(b"2", b"3", 1),
        framed(FIELD) + b"x",
        framed(FIELD).replace(b"17:", b"017:"),
        framed(FIELD).replace(b"17:", b"+17:"),
        framed(FIELD).replace(b"17:", b"18:"),
        framed(FIELD + FIELD),
        framed(b"3:pid,i3:007,"),
        framed(b"3:pid,i3:1_0,"),
        framed(b"3:pid,i2: 1,"),
        framed(b"3:pid,i2:-0,"),
        framed(b"3:pid,i19:9223372036854775808,"),
        framed(b"3:pid,x1:1,"),
        framed(b"3:pid,t1:\xff,"),
        framed(b"3:pid,"),
        framed(b"5:since,r3:nan,"),
        framed(b"5:since,r3:1e3,"),
        framed(b"5:since,i3:1.0,"),
        BEGINNING + b"99999999999999999999:",
    ],
)
def test_what_is_malformed(message: bytes) -> None:
    with pytest.raises(Malformed):
        decode(message)


@pytest.mark.parametrize("value", [True, None, b"x", float("nan"), float("inf"), 1 << 63, "x" * 10_000_000])
def test_what_there_is_no_form_for(value: object) -> None:
    with pytest.raises(Malformed):
        encode({"value": value})  # type: ignore[dict-item]


def test_one_message_as_it_is() -> None:
    assert encode({"state": "ready"}) == b"cross-init 2 17:5:state,t5:ready,,"
    assert framed(b"3:pid,i1:1,5:since,r3:1.5,") == encode({"pid": 1, "since": 1.5})
