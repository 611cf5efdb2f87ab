"""The command line: what its words mean, and that every mistake is one line and an exit code, never a traceback."""

import os
import re
import signal
import socket
import subprocess
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cross_init.commands.options import ACCESS, OPTIONS, ORIGINAL, PLACES, Options, parse
from cross_init.detect import INITS, TARGETS
from cross_init.errors import Failure
from cross_init.readiness.conditions import KINDS as CONDITIONS
from cross_init.sockets.address import KINDS as SOCKETS
from cross_init.sockets.options import OPTIONS as SOCKET_OPTIONS
from tests.support.command import PATH, close_descriptors, closed_pipe, command, run

WORD = st.text(st.characters(exclude_characters="\0"), max_size=8)
LIKELY = st.sampled_from(
    [*OPTIONS, "-t", "-N", "-Nt", "--", "-", "", "systemd", "upstart", "--t", "--n", "--explain=x", "="]
)


def wish(*words: str) -> Options:
    return parse(list(words))


@pytest.mark.parametrize(
    "words",
    [
        ["-t", "systemd", "-N", "--", "d", "-x"],
        ["-Nt", "systemd", "--", "d", "-x"],
        ["-Ntsystemd", "--", "d", "-x"],
        ["-tsystemd", "-N", "d", "-x"],
        ["--target", "systemd", "--notify", "d", "-x"],
        ["--target=systemd", "--notify", "--", "d", "-x"],
        ["--ta=systemd", "--notify", "d", "-x"],
        ["-t", "systemd", "-t", "systemd", "-N", "-N", "d", "-x"],
    ],
)
def test_options_are_written_as_getopt_long_has_them(words: list[str]) -> None:
    got = parse(words)
    assert (got.target, got.notify, got.command) == ("systemd", True, ["d", "-x"])


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (["d", "-N"], ["d", "-N"]),
        (["--", "d", "--", "-N"], ["d", "--", "-N"]),
        (["d", "--", "-N"], ["d", "--", "-N"]),
        (["-", "-N"], ["-", "-N"]),
        (["", "-N"], ["", "-N"]),
        (["--", "-N"], ["-N"]),
        (["--", "--"], ["--"]),
    ],
)
def test_the_first_word_that_is_no_option_begins_the_command(words: list[str], left: list[str]) -> None:
    got = wish("-t", "systemd", *words)
    assert got.command == left
    assert not got.notify


VALUES = {
    "--target": "systemd",
    "--init": "none",
    "--notify-access": "all",
    "--notify-socket": "path",
    "--ready-timeout": "9",
    "--watchdog": "9",
    "--fd-store": "9",
    "--stop-signal": "QUIT",
    "--kill-mode": "mixed",
    "--rewrite-signal": "USR1:USR2",
    "--success-exit-status": "143",
    "--stop-timeout": "5",
    "--reload-signal": "USR1",
    "--pid-file": "/run/x.pid",
}


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_is_known_by_each_beginning_that_is_its_own(option: str) -> None:
    for length in range(3, len(option) + 1):
        beginning = option[:length]
        fits = [each for each in OPTIONS if each.startswith(beginning)]
        known = [each for each in fits if each in ORIGINAL] or fits
        if beginning in OPTIONS or known != [option]:
            continue
        takes_value = OPTIONS[option][1]
        words = [f"{beginning}={VALUES.get(option, 'x')}" if takes_value else beginning]
        got = wish("-N", "-t", "systemd", "--ready-when=dbus:a.b", *words, "d")
        assert getattr(got, OPTIONS[option][0]) not in ("", False, [])


def test_a_value_is_taken_whatever_it_looks_like() -> None:
    assert wish("-t", "systemd", "--socket", "--", "d").socket == "--"
    assert wish("-t", "systemd", "--socket=a=b", "d").socket == "a=b"
    assert wish("-t", "systemd", "--listen", "-N", "--listen=--", "d").listen == ["-N", "--"]


TARGETS_LISTED, INITS_LISTED = ", ".join(TARGETS), ", ".join(INITS)
MISTAKES = [
    ([], f"-t TARGET is missing.*{TARGETS_LISTED}"),
    (["-t"], "--target needs a value"),
    (["-t", ""], "--target needs a value"),
    (["--target="], "--target needs a value"),
    (["-t", "sysvinit", "d"], f"--target sysvinit: not known; choose one of {TARGETS_LISTED}"),
    (["-t", "--", "d"], "--target --: not known"),
    (["-t", "systemd"], "COMMAND to run is missing"),
    (["-t", "systemd", "--"], "COMMAND to run is missing"),
    (["-t", "systemd:x", "/bin/true"], "--target systemd:x: there it takes forking "),
    (["-t", "s6:x", "/bin/true"], "--target s6:x: write the number of a descriptor"),
    (["-t", "s6:000004" + "9" * 5000, "/bin/true"], "write the number of a descriptor"),
    (["-t", "systemd", "-x", "d"], "-x: no such option; there are -t, -N, -h, -V, --target"),
    (["-t", "systemd", "-Nx", "d"], "-x: no such option"),
    (["-t", "systemd", "--frobnicate", "d"], "--frobnicate: no such option; there are --target"),
    (["-t", "systemd", "--ready", "d"], "--ready: could be --ready-"),
    (["-t", "systemd", "--=", "d"], "--: could be --target"),
    (["-t", "systemd", "--notify=yes", "d"], "--notify takes no value"),
    (["--help=some"], "--help some: not known; choose one of most, all"),
    (["-t", "systemd", "--init", "smf", "d"], f"--init smf: not known; choose one of {INITS_LISTED}"),
    (["-t", "systemd", "--notify-access=any", "d"], "choose one of main, exec, all"),
    (["-t", "systemd", "--explain=xml", "d"], "choose one of text, json"),
    (["-t", "systemd", "--end-after-ready", "d"], "has to be asked for with -N"),
    (["-t", "systemd", "--socket", "a", "--all-sockets", "d"], "use one of them"),
    (["-t", "systemd", "--socket", "web", "/bin/true"], "a shell passed no socket of this name; it passed: nothing"),
]


@pytest.mark.parametrize(("words", "says"), MISTAKES)
def test_a_mistake_is_one_line_that_names_the_choices(words: list[str], says: str) -> None:
    result = run(*words, environ={"PATH": PATH})
    assert result.status == 125
    assert re.search(says, result.line)
    assert not result.out


@given(st.lists(WORD | LIKELY, max_size=6))
def test_any_words_are_a_wish_or_a_failure(words: list[str]) -> None:
    try:
        got = parse(words)
    except Failure:
        return
    assert got.help or got.version or got.explain or got.target.partition(":")[0] in TARGETS


ODD = [
    "",
    " ",
    "\n",
    "-\n",
    "--\n",
    "--target=\n",
    "-t\n",
    b"\xff",
    b"-\xff",
    b"--\xff=\xff",
    b"-t\xff",
    "\x1b[31m",
    "٣",
]


@pytest.mark.parametrize("word", ODD)
@pytest.mark.parametrize("before", [[], ["-t"], ["-t", "systemd", "--init"], ["-t", "systemd", "--explain", "--"]])
def test_odd_words_give_one_line_without_control_characters(word: str | bytes, before: list[str]) -> None:
    result = run(*before, word)
    if "--explain" in before:
        assert result.status == 125
        assert not result.err
        assert b"\x1b" not in result.out
        return
    assert result.status == 125
    assert result.line.isprintable()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.binary(max_size=6).map(lambda word: word.replace(b"\0", b"")) | LIKELY, max_size=4))
def test_no_words_give_a_traceback(words: list[str | bytes]) -> None:
    result = run("--init", "none", *words, environ={"PATH": "/nonexistent"})
    assert b"Traceback" not in result.err
    assert b"please report" not in result.err
    assert result.status in (0, 125, 126, 127)


@pytest.mark.parametrize("word", ["-h", "--help", "-Nh", "--he"])
def test_help_is_one_screen(word: str) -> None:
    result = run(word)
    assert (result.status, result.err) == (0, b"")
    lines = result.out.decode().splitlines()
    assert 24 <= len(lines) <= 40
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    for each in ("-t, --target", "-N, --notify", "-h, --help", "-V, --version", "--help=all", *TARGETS):
        assert each in text
    assert not set("{}`*") & set(text)


def test_all_of_the_help_names_every_option_and_choice() -> None:
    result = run("--help=all")
    assert (result.status, result.err) == (0, b"")
    text = result.out.decode()
    for option, (_, takes_value) in OPTIONS.items():
        assert re.search(rf"^  (-.,|   ) {option}{' [^ ]+' if takes_value else '(.=.*)?'}$", text, re.MULTILINE), option
    for each in (*INITS, *CONDITIONS, *SOCKETS, *SOCKET_OPTIONS, *TARGETS, *ACCESS, *PLACES):
        assert each in text
    assert max(map(len, text.splitlines())) <= 80
    assert not set("{}`*") & set(text)


def test_the_version_is_one_line() -> None:
    assert re.fullmatch(rb"cross-init-bridge \d+\.\d+\.\d+\n", run("--version").out)


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["-t", "systemd", "--explain"]])
def test_standard_output_that_takes_nothing_is_one_line(words: list[str]) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    result = run(*words, stdout=full)
    os.close(full)
    assert (result.status, result.line) == (125, "writing to standard output: No space left on device; make room there")
    result = run(*words, before=close_descriptors(1))
    assert (result.status, result.line) == (125, "writing to standard output: Bad file descriptor")
    read, write = os.pipe()
    os.close(read)
    result = run(*words, stdout=write)
    os.close(write)
    assert (result.status, result.line) == (125, "writing to standard output: Broken pipe")


@pytest.mark.parametrize("closed", [(0,), (2,), (0, 1, 2)])
@pytest.mark.parametrize(
    ("words", "status"), [([], 125), (["-t", "systemd", "/"], 126), (["-t", "systemd", "/x"], 127)]
)
def test_the_exit_code_tells_even_where_nothing_can_be_said(
    words: list[str], status: int, closed: tuple[int, ...]
) -> None:
    assert run(*words, before=close_descriptors(*closed)).status == status
    pipe = closed_pipe()
    assert run(*words, stderr=pipe).status == status
    os.close(pipe)


def slow_start(before: Callable[[], None] | None = None) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        command("-t", "systemd", "--wait-for-client", "--listen", "tcp:127.0.0.1:0", "--", "/bin/true"),
        env={"PATH": PATH},
        stderr=subprocess.PIPE,
        preexec_fn=before,
    )


def ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def test_an_interrupt_that_is_ignored_stays_so() -> None:
    process = slow_start(ignore_interrupts)
    assert process.stderr is not None
    port = int(process.stderr.readline().rpartition(b":")[2])
    process.send_signal(signal.SIGINT)
    with socket.create_connection(("127.0.0.1", port)):
        assert process.wait(60) == 0
    process.stderr.close()
