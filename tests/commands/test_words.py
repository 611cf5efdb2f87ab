"""What people type wrong: each mistake is one line that says what to do, and nothing that was asked for is ignored."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cross_init.as_json import as_json
from cross_init.commands.mistakes import RULES
from cross_init.commands.options import OPTIONS, PLAIN, REPEATED
from cross_init.detect import INITS, TARGETS
from cross_init.spelling import edits, nearest
from tests.support.command import FRONT_DOOR, PATH, run

# What is typed, and what the line has to say.
MISTAKES = {
    "--pidfile /x d": "--pidfile: no such option; did you mean --pid-file?",
    "-notify d": "-notify: no such option; did you mean --notify?",
    "-target systemd d": "-target: no such option; did you mean --target?",
    "-n d": "-n: no such option; did you mean -N?",
    "--exlpain d": "did you mean --explain?",
    "--redy-when x d": "did you mean --ready-when?",
    "--Supervise d": "did you mean --supervise?",
    "-t sysemd d": "did you mean systemd?",
    "-t Systemd d": "did you mean systemd?",
    "-t =systemd d": "did you mean systemd?",
    "-t up-start d": "did you mean upstart?",
    "-t sysvinit d": "did you mean sysv?",
    "-t sd_notify d": "did you mean systemd?",
    "-t runit d": "a daemon that needs nothing of its init is one for plain",
    "-N systemd -- d": "did you mean -t systemd?",
    "help": "did you mean --help?",
    "status": "did you mean cross-init status?",
    "-t systemd --init sytemd d": "did you mean systemd?",
    "-t systemd --init docker d": "did you mean container?",
    "-t systemd --init bash d": "did you mean none?",
    "-t systemd --notify-access=ALL -N d": "did you mean all?",
    "-t systemd --stop-signal sigquti d": "did you mean QUIT?",
    "-t systemd --listen 8080 d": "did you mean tcp::8080?",
    "-t systemd --listen localhost:80 d": "did you mean tcp:localhost:80?",
    "-t systemd --listen /run/x d": "did you mean unix:/run/x?",
    "-t systemd --listen tpc::80 d": "did you mean tcp::80?",
    "-t systemd --adopt-socket 80 d": "no kind of socket; write tcp:HOST:PORT or unix:PATH; did you mean tcp::80?",
    "-t systemd --adopt-socket udp::80 d": "only sockets that listen can be found: write tcp:HOST:PORT or unix:PATH",
    "-t systemd -N --health-listen 8080 d": "--health-listen 8080: 8080 is no kind of socket; write tcp:HOST:PORT or",
    "-t systemd -N --health-listen tcp:80 d": "write tcp:HOST:PORT or unix:PATH",
    "-t systemd --ready-when tpc:x:80 d": "did you mean tcp:x:80?",
    "-t systemd FOO=1 d": "write env FOO=1 before the command",
    # What would have no effect.
    "-t systemd -t upstart d": "--target is there twice, as systemd and as upstart: leave one of them out",
    "-t systemd --init none --init s6 d": "--init is there twice, as none and as s6",
    "-t systemd --notify-access all d": "it needs -N or --ready-when",
    "-t systemd --notify-access main d": "it needs -N or --ready-when",
    "-t upstart -N --notify-access all d": "a daemon for upstart sends none: leave it out",
    "-t systemd --all-sockets d": "one for systemd does not: leave it out",
    "-t s6 --all-sockets d": "one for s6 does not: leave it out",
    "-t systemd --init s6:fdholder=/x -N d": "that is for --fd-store, which is not there",
    "-t systemd --init supervisord:event d": "that is for --notify or --ready-when",
    "-t systemd --watchdog 3 d": "it needs -N or --ready-when",
    "-t systemd --fd-store 3 d": "it needs -N or --ready-when",
    "-t systemd --bus session d": "--ready-when dbus:NAME, which is not there",
    "-t systemd --ready-timeout 3 d": "has to be asked for with -N or --ready-when",
    "-t inetd:wait -N --listen tcp:127.0.0.1:0 /bin/true": (
        "a daemon for inetd:wait does not say when it is ready (-N): it accepts its clients itself (with inetd:nowait"
    ),
}


@pytest.mark.parametrize("words", MISTAKES)
def test_a_usual_mistake_is_one_line_that_says_what_to_do(words: str) -> None:
    ended = run(*("/bin/true" if word == "d" else word for word in words.split()), environ={"PATH": PATH})
    assert ended.status in (125, 127)
    assert MISTAKES[words] in ended.line
    assert not ended.out


def test_a_command_in_quotation_marks_is_named_as_that() -> None:
    ended = run("-t", "systemd", "-N", "--", "sleep 1")
    assert ended.status == 127
    assert "no quotation marks around them all" in ended.line


def test_an_option_behind_the_command_is_pointed_at() -> None:
    ended = run("-t", "systemd", "/bin/sh", "-c", "exit 9", "--supervise")
    assert ended.status == 9
    assert ended.line.startswith("--supervise stands behind the command")
    assert run("-t", "systemd", "--", "/bin/sh", "-c", "exit 9", "--supervise").err == b""


def test_what_a_daemon_on_its_own_init_does_without_is_said() -> None:
    words = ("--init", "systemd", "-t", "systemd", "-N", "--notify-access", "all", "--", "/bin/true")
    ended = run(*words)
    assert ended.status == 0
    assert ended.line.startswith("--notify-access has no effect")
    explained = run("--explain", *words)
    assert not explained.err
    assert ended.line in explained.out.decode()


VALUES = {
    "--target": ("systemd", "upstart"),
    "--init": ("none", "s6"),
    "--explain": ("text", "json"),
    "--notify-access": ("main", "all"),
    "--notify-socket": ("path", "abstract"),
    "--stop-signal": ("QUIT", "INT"),
    "--kill-mode": ("mixed", "none"),
    "--stop-command": ("a", "b"),
    "--reload-command": ("a", "b"),
    "--stop-timeout": ("5", "6"),
    "--reload-signal": ("QUIT", "INT"),
    "--ready-timeout": ("1", "2"),
    "--watchdog": ("1", "2"),
    "--fd-store": ("1", "2"),
}


@pytest.mark.parametrize("option", [option for option in OPTIONS if OPTIONS[option][1] and option not in REPEATED])
def test_an_option_is_not_taken_twice_unless_it_says_the_same(option: str) -> None:
    one, other = VALUES.get(option, ("/x", "/y"))
    twice = run(f"{option}={one}", f"{option}={other}", "/bin/true")
    assert twice.line.startswith(f"{option} is there twice, as {one} and as {other}: leave one of them out")
    assert "is there twice" not in run(f"{option}={one}", f"{option}={one}", "/bin/true").err.decode()


def test_a_command_of_the_front_door_is_named() -> None:
    import subprocess

    ended = subprocess.run([FRONT_DOOR, "stauts"], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 125
    assert "did you mean status?" in ended.stderr
    nobody = subprocess.run([FRONT_DOOR, "status", "no-such-service"], capture_output=True, text=True, timeout=60)
    assert "has handed its daemon over" in nobody.stderr


@pytest.mark.parametrize(
    ("one", "other", "distance"), [("", "", 0), ("a", "", 1), ("ab", "ba", 1), ("kitten", "sitting", 3)]
)
def test_edits_are_counted(one: str, other: str, distance: int) -> None:
    assert edits(one, other) == edits(other, one) == distance


@pytest.mark.parametrize("word", ["", "-", "x", "frobnicate", "s" * 1000, "redis-server", "\x1b", "٣"])
def test_what_is_like_nothing_is_like_nothing(word: str) -> None:
    assert nearest(word, (*OPTIONS, *TARGETS, *INITS)) == ""


@given(st.text(max_size=12))
def test_what_is_meant_is_always_one_of_the_choices(word: str) -> None:
    assert nearest(word, TARGETS) in ("", *TARGETS)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_json_is_what_the_module_that_python_may_lack_reads(value: object) -> None:
    written = as_json(value)
    assert json.loads(written) == value
    assert written.isascii()
    assert all(line.isprintable() for line in written.splitlines())


@pytest.mark.parametrize("text", ["\udcff\ud800", "\U0010ffff", '\x00\x1f\x7f"\\\n'])
def test_json_holds_any_text(text: str) -> None:
    assert json.loads(as_json([text])) == [text]


def test_what_needs_no_look_at_the_rules_is_in_none() -> None:
    assert not PLAIN & {option for option, _, _ in RULES}
    assert OPTIONS.keys() >= PLAIN
