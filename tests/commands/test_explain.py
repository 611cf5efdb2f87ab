"""--explain: on one screen and as JSON, what a start would do; it refuses what that refuses, and does nothing."""

import json
import os
import socket
from pathlib import Path

import pytest

from tests.support.command import PATH, Result, run


def explain(*words: str, environ: dict[str, str] | None = None) -> tuple[Result, Result]:
    given = {"PATH": PATH, **(environ or {})}
    return run("--explain", *words, environ=given), run("--explain=json", *words, environ=given)


EXPLAINED: list[tuple[list[str], dict[str, str]]] = [
    (["-t", "systemd", "-N", "--", "/bin/true"], {}),
    (["-t", "upstart", "-N", "--", "/bin/true"], {}),
    (["-t", "systemd"], {}),
    (["-t", "upstart", "-N", "--init", "systemd", "--", "/bin/true"], {"WATCHDOG_USEC": "1"}),
    (["-t", "systemd", "-N", "--end-after-ready", "--", "no-such"], {"UPSTART_JOB": "web", "UPSTART_INSTANCE": "x"}),
    (["-t", "systemd", "--listen", "bad", "--listen", "tcp::80", "--", "/bin/true"], {}),
]


@pytest.mark.parametrize(("words", "environ"), EXPLAINED)
def test_explain_fits_one_screen_and_says_the_same_as_json(words: list[str], environ: dict[str, str]) -> None:
    text, data = explain(*words, environ=environ)
    assert not text.err + data.err
    facts = json.loads(data.out)
    assert len(text.out.splitlines()) <= 24
    said = text.out.decode()
    for key, value in facts.items():
        if key != "command":
            for each in value if isinstance(value, list) else [value]:
                assert each in said
    assert text.status == data.status == (125 if facts["refusals"] else 0)


REFUSED = [
    *("-t upstart --listen udp::0", "-t upstart --socket web", "-t upstart --listen bad"),
    *("-t plain -N", "-t systemd --ready-when nonsense:x", "-t upstart -N --watchdog 3", "-t systemd -N --ready-fd 99"),
    *("-t upstart -N --init systemd", "-t upstart -N --end-after-ready --init none"),
    "-t systemd -N --supervise --end-after-ready",
]


@pytest.mark.parametrize("words", REFUSED)
def test_explain_refuses_what_the_start_refuses(words: str) -> None:
    started = run(*words.split(), "--", "/bin/true")
    explained = run(*words.split(), "--explain=json", "--", "/bin/true")
    assert started.status == explained.status == 125
    assert json.loads(explained.out)["refusals"] == [started.line]


def test_explain_refuses_nothing_that_the_start_does_not_refuse() -> None:
    words = ("-t", "systemd", "--init", "systemd", "--supervise", "--explain", "--", "/bin/true")
    assert run(*words).status == 0, "without -N nobody has to be told"


def test_explain_with_words_that_are_no_utf_8_is_json_still() -> None:
    data = run("-t", "systemd", "--explain=json", "--", b"/\xff\n\x1b")
    assert json.loads(data.out)["command"] == ["/\udcff\n\x1b"]


def test_explain_runs_nothing_and_opens_nothing(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        addresses = ("--listen", f"tcp:127.0.0.1:{taken.getsockname()[1]}", "--listen", f"unix:{tmp_path}/socket")
        result = run("-t", "systemd", "-N", *addresses, "--explain", "--", "/usr/bin/touch", f"{tmp_path}/started")
    assert result.status == 0, "not even that the port is in use can be noticed"
    assert not os.listdir(tmp_path)
