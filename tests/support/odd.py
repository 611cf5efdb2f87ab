"""Texts that are numbers, nearly numbers, or anything else: what the properties of parsers are tried with."""

from hypothesis import strategies as st

# At the bounds of C types, PIDs, ports and so on; and what int(), float() or isdigit() take and we do not.
EDGES = (
    *("", "0", "1", "-1", "+1", " 1", "1 ", "1\n", "1_0", "0x1", "1e3", "1.5", ".", "1.", "inf", "nan", "-0", "²", "٣"),
    *("00000000000000000001", "9" * 32, "0" * 33, "9" * 4301, "65535", "65536", "99999", "999999", "1000000"),
    *("4194304", "4194305", "2147483647", "2147483648", "4294967295", "4294967296", "2147490", "99999999"),
    *("9223372036854775807", "9223372036854775808", "18446744073709551615", "18446744073709551616", "999999999"),
    *("99999999999", "999999999999999999", "-2147483649", "1000000000"),
)
# All that a command line or a variable can hold: bytes that are no UTF-8 come as surrogates, and NUL does not come.
WORDS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30) | st.binary(
    max_size=30
).map(lambda data: data.replace(b"\0", b"").decode("utf-8", "surrogateescape"))
NUMBERS = st.sampled_from(EDGES) | st.integers(-10, 1 << 70).map(str)
TEXTS = NUMBERS | WORDS
BYTES = TEXTS.map(lambda text: text.encode("utf-8", "surrogateescape")) | st.binary(max_size=300)
VALUES = BYTES.map(lambda data: data.replace(b"\0", b""))  # of a variable in the environment
