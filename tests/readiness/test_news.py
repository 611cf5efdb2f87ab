"""sd_notify's wire format: what is composed is parsed, input is bounded, nothing but Malformed comes out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cross_init.readiness.sd_notify import MESSAGE_MAX, Malformed, first, has, parse

KEYS = st.text(st.characters(exclude_characters="=\n\r\0", exclude_categories=["Cs"]), min_size=1, max_size=20)
VALUES = st.text(st.characters(exclude_characters="\n\r\0", exclude_categories=["Cs"]), max_size=50)
ASSIGNMENTS = st.lists(st.tuples(KEYS, VALUES), max_size=10)


def compose(*assignments: tuple[str, str]) -> bytes:
    return "\n".join(f"{key}={value}" for key, value in assignments).encode()


@given(ASSIGNMENTS)
def test_what_is_composed_is_parsed_in_its_order(assignments: list[tuple[str, str]]) -> None:
    assert parse(compose(*assignments)) == tuple(assignments)


@given(st.binary(max_size=2000))
def test_any_bytes_are_parsed_or_malformed(message: bytes) -> None:
    try:
        assignments = parse(message)
    except Malformed:
        assert b"\0" in message
        return
    for key, value in assignments:
        assert key
        assert "=" not in key
        assert not set("\n\r\0") & set(key + value)


@given(
    st.lists(st.sampled_from([b"READY=1", b"STATUS=a=b", b"", b"=", b"=x", b"noise", b"\xff=\xfe", b"K="]), max_size=9)
)
def test_a_line_without_key_or_equals_sign_is_left_out_and_hides_nothing(lines: list[bytes]) -> None:
    assignments = parse(b"\n".join(lines))
    assert has(assignments, "READY", "1") == (b"READY=1" in lines)
    assert len(assignments) == sum(line not in (b"", b"=", b"=x", b"noise") for line in lines)


@given(ASSIGNMENTS, ASSIGNMENTS)
def test_ready_is_heard_wherever_it_stands(before: list[tuple[str, str]], behind: list[tuple[str, str]]) -> None:
    message = compose(*before, ("READY", "1"), *behind)
    assert has(parse(message), "READY", "1")


@pytest.mark.parametrize(
    "line", [b"READY=0", b"READY=10", b"READY= 1", b" READY=1", b"ready=1", b"XREADY=1", b"READY="]
)
def test_nothing_else_is_ready(line: bytes) -> None:
    assert not has(parse(b"STATUS=READY=1\n" + line), "READY", "1")


def test_the_first_of_several_values_counts() -> None:
    assert first(parse(b"STATUS=one\nSTATUS=two"), "STATUS") == "one"
    assert first(parse(b"STATUS=one"), "ERRNO") is None


def test_one_nul_at_the_end_is_taken_as_the_end() -> None:
    assert parse(b"READY=1\0") == (("READY", "1"),)


@pytest.mark.parametrize("message", [b"\0READY=1", b"READY=1\0\0", b"READY=1\0\nSTATUS=x"])
def test_a_nul_elsewhere_makes_the_whole_message_malformed(message: bytes) -> None:
    with pytest.raises(Malformed, match="NUL"):
        parse(message)


def test_a_message_may_be_as_long_as_the_limit_and_no_longer() -> None:
    longest = b"STATUS=".ljust(MESSAGE_MAX, b"x")
    assert len(parse(longest)[0][1]) == MESSAGE_MAX - len("STATUS=")
    with pytest.raises(Malformed, match=str(MESSAGE_MAX)):
        parse(longest + b"x")


def test_a_carriage_return_ends_a_line_as_a_newline_does() -> None:
    assert parse(b"STATUS=fine\r\nREADY=1\r") == (("STATUS", "fine"), ("READY", "1"))
