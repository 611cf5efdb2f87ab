"""What comes out of what really reads a format is what was quoted for it."""

import importlib
import plistlib
import shlex
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cross_init.errors import Failure
from cross_init.writers import quoting

SUPERVISORD = importlib.import_module("supervisor.options")
letters = st.sampled_from([*"aZ09 .,:;-_=+/\\\"'%$&|<>(){}[]#!?*~@^`\t\n\ré"])
texts = st.text(letters, max_size=12)
words = st.lists(texts, min_size=1, max_size=20)


@settings(max_examples=100, deadline=None)
@given(words)
def test_a_shell_reads_each_word_as_it_was(said: list[str]) -> None:
    script = "printf '%s\\0' " + " ".join(map(quoting.shell, said))
    read = subprocess.run(["/bin/sh"], input=script.encode(), capture_output=True, check=True, timeout=60)
    assert read.stdout.decode().split("\0")[:-1] == said
    assert not read.stderr


@given(texts)
def test_a_property_list_is_read_as_it_was(said: str) -> None:
    text = f"<plist version='1.0'><string>{quoting.xml(said)}</string></plist>"
    assert plistlib.loads(text.encode()) == said


@given(words)
def test_supervisord_reads_each_word_as_it_was(said: list[str]) -> None:
    if any(end in word for word in said for end in "\n\r"):
        with pytest.raises(Failure):
            [quoting.supervisord(word) for word in said]
        said = [word.replace("\n", " ").replace("\r", " ") for word in said]
    parser = SUPERVISORD.UnhosedConfigParser()
    parser.read_string("[program:x]\ncommand = /bin/x " + " ".join(map(quoting.supervisord, said)) + "\n")
    command = SUPERVISORD.expand(parser.get("program:x", "command"), {}, "command")
    assert shlex.split(command) == ["/bin/x", *said]


@pytest.mark.parametrize("quote", [quoting.shell, quoting.supervisord, quoting.xml])
def test_a_nul_is_refused(quote: object) -> None:
    assert callable(quote)
    with pytest.raises(Failure):
        quote("a\0b")
