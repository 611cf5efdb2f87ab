"""Our reader of Upstart's jobs beside a real Upstart: each file is loaded by both or by none, and says the same."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from cross_init.definitions.job import Job
from cross_init.definitions.job_syntax import Malformed, Text
from cross_init.definitions.stanzas import READERS, read
from tests.support.packages import need
from tests.support.real_upstart import Upstart, upstart_booted
from tests.support.upstart_state import as_upstart_says, jobs_of, plain

ROUNDS, JOBS = 12, 60  # so many reloads, each of so many files
PHASES = (Phase.generate,)  # of what differs the message has the one file; a reload is too slow to make it shorter


def chosen(*texts: str) -> st.SearchStrategy[str]:
    return st.sampled_from(texts)


blanks = chosen(" ", " ", " ", "\t", "  ", " \\\n", "\\\n ", "", "\r")
letters = st.text(alphabet="abAB12=-+.,/!*[]$%{}@:;~&|<>?\"'\\ \t#\n()é", max_size=8)
plain_words = chosen(
    "a", "foo", "/bin/true", "A=b", "A=", "=b", "1", "0", "-1", "5", "10", "unlimited", "never", "TERM"
)
known_words = chosen(
    *("SIGHUP", "RTMIN", "022", "0777", "1000", "and", "or", "(", ")", "on", "stop", "fork", "daemon", "none", "log"),
    *("output", "owner", "limit", "signal", "timeout", "exit", "score", "load", "switch", "exec", "script", "nofile"),
    *("nice", "core", "started", "runlevel", "[2345]", "A!=b", '"a b"', "'a\nb'", "a\\ b", '"a\\"b"', "a#b", "# c"),
    *("socket", "PROTO=inet", "$A", "${A}", '"and"', "x(y", "\\$A", "a\\\\b", "99999999999", "-20", "19", "+3", "0x1"),
)
words = st.one_of(plain_words, known_words, letters)
names = st.one_of(chosen(*READERS), chosen(*READERS), chosen("exe", "#", "end", "import", '"exec"', "respawn#"))
blocks = st.builds(
    lambda which, lines, end: f"{which}script\n{''.join(lines)}{end}",
    chosen("", "pre-start ", "post-stop  "),
    st.lists(
        chosen("  a\n", "    b # c\n", "\n", "\tc\n", "exec x\n", " end scripts\n", "end\n", "  end  x\n", "d\\\n")
    ),
    chosen("end script\n", "  end\tscript # c\n", "endscript\n", "end script", "end script x\nend script\n"),
)
TAME = """limit nofile 10 20
kill timeout 3|kill signal INT|respawn|respawn limit 3 4|normal exit 0 1 TERM|nice -5|umask 027
oom score -900|oom never|oom -16|oom 7|chdir /tmp|setuid daemon|setgid daemon|env A="b c"|env PATH|export A B|task
expect fork|console none|start on started a and (stopped b or runlevel [!06])|stop on runlevel RUNLEVEL=S|manual
start on socket PROTO=unix PATH=/run/x|instance $A|emits a b*|usage "x y"|apparmor load /etc/x|apparmor switch x
cgroup cpu x 3|debug|author "a <b>"|version 1|reload signal USR1|exec a b|pre-stop exec a "b c" > d|chroot /srv"""
tame = chosen(*(line for row in TAME.split("\n") for line in row.split("|"))).map(lambda line: f"{line}\n")
wild = st.builds(
    lambda name, parts, end: name + "".join(f"{gap}{word}" for gap, word in parts) + end,
    names,
    st.lists(st.tuples(blanks, words), max_size=5),
    chosen("\n", "\n", "\n", " # c\n", "\n\n", ""),
)
files = st.one_of(
    st.lists(tame, max_size=6).map("".join),
    st.lists(st.one_of(tame, tame, tame, blocks), max_size=5).map("".join),
    st.lists(st.one_of(tame, tame, wild), max_size=4).map("".join),
    wild,
)


@pytest.fixture(scope="module")
def upstart() -> Iterator[Upstart]:
    need("dbus-bin")
    with upstart_booted() as booted:
        yield booted


def ours(name: str, text: str, override: str = "") -> dict[str, Any] | None:
    """What we read of it; None if nothing is to be loaded."""
    job = Job(name)
    try:
        list(read(Text(text), job, "x.conf"))
    except Malformed:
        return None
    with suppress(Malformed):
        list(read(Text(override), job, "x.override"))
    return as_upstart_says(job)


@settings(max_examples=ROUNDS, phases=PHASES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(st.lists(files, min_size=JOBS, max_size=JOBS))
def test_both_read_the_same(upstart: Upstart, texts: list[str]) -> None:
    folder = upstart.root / "etc/init"
    for file in folder.glob("j*"):
        file.unlink()
    for number, text in enumerate(texts):
        (folder / f"j{number}.conf").write_text(text, newline="")
    theirs = jobs_of(upstart)
    for number, text in enumerate(texts):
        name = f"j{number}"
        found = plain(theirs[name]) if name in theirs else None
        assert ours(name, text) == found, text
    assert theirs


overrides = st.lists(st.one_of(tame, tame, tame, chosen("nicer 3\n", "exec\n")), min_size=1, max_size=4).map("".join)


@settings(max_examples=3, phases=PHASES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.lists(tame, max_size=6).map("".join), overrides), min_size=JOBS, max_size=JOBS))
def test_both_read_the_same_of_an_override(upstart: Upstart, texts: list[tuple[str, str]]) -> None:
    folder = upstart.root / "etc/init"
    for file in folder.glob("j*"):
        file.unlink()
    for number, (text, override) in enumerate(texts):
        (folder / f"j{number}.override").write_text(override)
        (folder / f"j{number}.conf").write_text(text)
    theirs = jobs_of(upstart)
    for number, (text, override) in enumerate(texts):
        assert ours(f"j{number}", text, override) == plain(theirs[f"j{number}"]), (text, override)
