"""--stop-command and --reload-command: run where the init stops or reloads, as ExecStop= and ExecReload= are."""

import signal
import subprocess

import pytest

from cross_init.commands.exec_line import split
from cross_init.kernel.process_stat import process_state
from cross_init.shapes.control import expand
from tests.support.command import BRIDGE, PATH
from tests.support.observed import Place, Run
from tests.support.processes import children, named
from tests.support.waiting import until

LONGEST_S = 15
WORDS = {
    "kill -INT $MAINPID": ["kill", "-INT", "$MAINPID"],
    'sh -c "a  b" \'c "d"\'  e': ["sh", "-c", "a  b", 'c "d"', "e"],
    r"a\sb \x41\101\u00e9 \\ \;": ["a b", "AAé", "\\", ";"],
    "a\"b\"c ''": ["abc", ""],
    r'";" \" "a\"b"': [";", '"', 'a"b'],
    " \t a\n": ["a"],
    "": [],
}
WRONG = {"a ; b": "it is one command", "'a": "has no end", r"a \q": r"\q means nothing", "a\\": "\\ means nothing"}
EXPANDED = {
    "$MAINPID": ["4711"],
    "${MAINPID}": ["4711"],
    "x${MAINPID}y${MAINPID}": ["x4711y4711"],
    "x$MAINPID": ["x$MAINPID"],
    "$LIST": ["a", "b"],
    "${LIST}": ["a  b"],
    "$NOTHING": [],
    "${NOTHING}": [""],
    "$$MAINPID": ["$MAINPID"],
    "$${LIST}": ["${LIST}"],
    "$1": ["$1"],
    "$": ["$"],
    "${": ["${"],
}
# Says what it is told, on lines of a file, and ends on SIGINT.
DAEMON = """
trap 'echo TERM >>said; exit 3' TERM; trap 'echo HUP >>said' HUP; trap 'echo INT >>said; exit 0' INT
echo up >>said; while :; do sleep 0.05; done
"""


@pytest.mark.parametrize("text", WORDS)
def test_words_are_split_as_in_a_unit(text: str) -> None:
    assert split(text) == WORDS[text]


@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_command_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=" ") as raised:
        split(text)
    assert WRONG[text] in str(raised.value)


@pytest.mark.parametrize("word", EXPANDED)
def test_variables_are_put_in_as_in_a_unit(word: str) -> None:
    assert expand([word], {b"MAINPID": b"4711", b"LIST": b"a  b"}) == EXPANDED[word]


def service(place: Place, *options: str, command: str = DAEMON) -> Run:
    run = place.spawn("-t", "plain", *options, command=("/bin/sh", "-c", command))
    until((place.folder / "said").exists, "it is up")
    return run


def said(place: Place) -> list[str]:
    return (place.folder / "said").read_text().splitlines()


def daemon_of(run: Run) -> int:
    found = [pid for pid in children(run.process.pid) if named(pid) == "sh"]
    assert len(found) == 1
    return found[0]


def test_a_stop_runs_the_command_and_sends_nothing_if_that_was_enough(place: Place) -> None:
    command = "sh -c 'echo stop $1 $MAINPID >>said; kill -INT $MAINPID; sleep 0.5' x ${MAINPID}"
    run = service(place, "--stop-command", command)
    daemon = daemon_of(run)
    run.process.terminate()
    assert run.ends() == 0
    assert said(place) == ["up", f"stop {daemon} {daemon}", "INT"]
    place.nothing_remains()


def test_what_is_still_there_then_is_sent_sigterm(place: Place) -> None:
    run = service(place, "--stop-command", "true")
    run.process.terminate()
    assert run.ends() == 3
    assert said(place) == ["up", "TERM"]
    place.nothing_remains()


def test_a_command_that_fails_is_said_and_the_daemon_stopped_all_the_same(place: Place) -> None:
    run = service(place, "--stop-command", "sh -c 'exit 5'")
    run.process.terminate()
    assert run.ends() == 3
    run.err.hears("--stop-command failed (exit code 5)")
    place.nothing_remains()


def test_a_dash_before_it_means_that_it_may_fail(place: Place) -> None:
    run = service(place, "--stop-command", "-false")
    run.process.terminate()
    assert run.ends() == 3
    assert "failed" not in run.err.rest()


def test_one_that_is_not_there_is_said(place: Place) -> None:
    run = service(place, "--stop-command", "/nonexistent/stop")
    run.process.terminate()
    assert run.ends() == 3
    run.err.hears("--stop-command: running /nonexistent/stop: not found")


def test_one_that_does_not_end_is_killed_in_time(place: Place) -> None:
    run = service(place, "--stop-command", "sleep 1000", "--stop-timeout", "0.5")
    run.process.terminate()
    assert run.ends() == 3
    run.err.hears("--stop-command has not ended in time: sending it SIGKILL")
    place.nothing_remains()


def test_a_reload_runs_the_command_and_sends_nothing(place: Place) -> None:
    run = service(place, "--reload-command", "sh -c 'echo reload $MAINPID >>said'")
    daemon = daemon_of(run)
    for times in (1, 2):
        run.process.send_signal(signal.SIGHUP)
        until(lambda: len(said(place)) > times, "it runs")  # noqa: B023 (called here)
    assert said(place)[1:] == [f"reload {daemon}"] * 2
    run.process.terminate()
    assert run.ends() == 3
    assert "HUP" not in said(place)
    place.nothing_remains()


def test_a_bridge_that_is_killed_takes_its_command_along(place: Place) -> None:
    run = service(place, "--stop-command", "sh -c 'echo $$$$ >stopping; exec sleep 1000'")
    run.process.terminate()
    file = place.folder / "stopping"
    until(lambda: file.exists() and file.read_text().endswith("\n"), "the command runs")
    pid = int(file.read_text())
    run.process.kill()
    until(lambda: process_state(pid) in ("Z", ""), "it has ended")
    place.nothing_remains()


REFUSED = {
    ("--init", "systemd", "--stop-command", "true"): "let the unit have ExecStop=",
    ("--init", "systemd", "--reload-command", "true"): "let the unit have ExecReload=",
    ("--stop-command", "a 'b"): "the quotation mark ' has no end",
    ("--stop-command", "+a"): "only the dash is known",
    ("--stop-command", " "): "it names no command",
    ("--reload-command", "true", "--reload-signal", "USR1"): "--reload-signal is another",
}


@pytest.mark.parametrize("options", REFUSED, ids=" ".join)
def test_it_is_refused_where_it_cannot_be(options: tuple[str, ...]) -> None:
    words = [str(BRIDGE), "-t", "plain", *(() if "--init" in options else ("--init", "none")), *options, "--", "true"]
    ran = subprocess.run(words, env={"PATH": PATH}, capture_output=True, text=True, timeout=LONGEST_S)
    assert ran.returncode == 125
    assert REFUSED[options] in ran.stderr
