"""--explain: on one screen and as JSON, what a start would do; it refuses what that refuses, and does nothing."""

import json
import os
import socket
from pathlib import Path

import pytest

from tests.support.command import PATH, Result, run, script


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
    addresses = ("--listen", "tcp:127.0.0.1:0", "--listen", f"unix:{tmp_path}/socket", "--listen", "udp:127.0.0.1:0")
    asked = (*addresses, "--ready-when", "log:x", "--ready-when", f"exec:touch {tmp_path}/x")
    result = run("-t", "systemd", "-N", *asked, "--explain", "--", "/usr/bin/touch", f"{tmp_path}/started")
    assert result.status == 0, result
    assert not os.listdir(tmp_path)


# What is bound to fail, with {port} in use, {live} a socket that is listened to, {left} one that was left, and {folder}
# for the rest of it; and what is said of it.
BOUND_TO_FAIL = {
    "--listen tcp:127.0.0.1:{port}": "Address already in use",
    "--listen tcp:192.0.2.1:80": "Cannot assign requested address",
    "--listen udp:127.0.0.1:{port}": "Address already in use",
    "--listen unix:{live}": "Address already in use",
    "--listen unix:{folder}/file": "Address already in use",
    "--listen unix:/{long}": "AF_UNIX path too long",
    "--listen unix:{folder}/file/x": "Not a directory",
    "--listen unix:@{abstract}": "Address already in use",
    "--listen unix:{folder}/new --listen unix:{folder}/new": "Address already in use",
    "-N --health-listen tcp:127.0.0.1:{port}": "Address already in use",
    "-N --health-listen unix:{live}": "Address already in use",
    "--adopt-socket tcp:127.0.0.1:1": "nobody listens there",
    "--wait-for-client": "passed no socket to wait on",
    "--daemonize --pid-file {folder}/none/x": "make that folder",
    "--daemonize --pid-file {folder}/": "this is a folder",
    "-N --state-file {folder}/none/x": "is not there",
    "--ready-when dbus:a.b --bus nonsense": "is no address of a bus",
    "--ready-when tcp:no-such-host.invalid:1": "looking up no-such-host.invalid",
    "--all-sockets": "leave it out",
}


@pytest.mark.parametrize("options", BOUND_TO_FAIL)
def test_what_is_bound_to_fail_is_refused_as_the_start_refuses_it(tmp_path: Path, options: str) -> None:
    abstract = f"cross-init-test-explain-{os.getpid()}"
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_UNIX) as live,
        socket.socket(socket.AF_UNIX) as named,
    ):
        port = tcp.getsockname()[1]
        udp.bind(("127.0.0.1", port))
        live.bind(f"{tmp_path}/live")
        live.listen()
        named.bind(f"\0{abstract}")
        (tmp_path / "file").touch()
        facts = {"port": port, "live": f"{tmp_path}/live", "folder": tmp_path, "abstract": abstract, "long": "x" * 107}
        words = ("-t", "systemd", "--init", "none", *options.format(**facts).split())
        explained = run(*words, "--explain=json", "--", "/bin/true")
        there = sorted(os.listdir(tmp_path))
        started = run(*words, "--", "/bin/true")
    assert started.status == explained.status == 125
    refusals = json.loads(explained.out)["refusals"]
    assert started.line in refusals
    assert BOUND_TO_FAIL[options] in started.line
    assert there == ["file", "live"]


def test_a_socket_that_was_left_is_in_nobodys_way(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(f"{tmp_path}/left")
    words = ("-t", "systemd", "--init", "none", "--listen", f"unix:{tmp_path}/left")
    assert run(*words, "--explain", "--", "/bin/true").status == 0
    assert os.listdir(tmp_path) == ["left"], "it is not removed either"
    assert run(*words, "--", "/bin/true").status == 0


@pytest.mark.parametrize(
    ("text", "status"), [("#!/nonexistent/sh\n", 127), ("echo no first line\n", 126), ("#!/bin/sh\n", 0)]
)
def test_a_program_that_the_kernel_will_not_run_is_refused(tmp_path: Path, text: str, status: int) -> None:
    program = script(tmp_path, "program", text)
    explained = run("-t", "systemd", "--explain=json", "--", str(program))
    started = run("-t", "systemd", "--", str(program))
    assert started.status == status
    assert json.loads(explained.out)["refusals"] == ([started.line] if status else [])


def test_a_folder_that_the_daemon_may_still_make_is_a_caution(tmp_path: Path) -> None:
    words = ("-t", "sysv", "-N", "--pid-file", f"{tmp_path}/none/pid", "--explain=json", "--", "/bin/true")
    explained = run(*words)
    assert explained.status == 0
    assert f"{tmp_path}/none is not there" in "".join(json.loads(explained.out)["warnings"])


@pytest.mark.parametrize(
    ("environ", "init"),
    [({}, "none"), ({"UPSTART_JOB": "web"}, "upstart"), ({"SUPERVISOR_ENABLED": "1"}, "supervisord")],
)
def test_without_a_target_it_says_which_init_it_is(environ: dict[str, str], init: str) -> None:
    text, data = explain(environ=environ)
    facts = json.loads(data.out)
    assert (text.status, data.status) == (125, 125)
    assert facts["init"] == init
    assert facts["evidence"]
    assert "-t TARGET is missing" in facts["refusals"][0]
    assert f"init        {init}, because " in text.out.decode()
    assert facts.keys() == json.loads(explain("-t", "systemd", environ=environ)[1].out).keys()


@pytest.mark.parametrize(
    ("words", "sees"),
    [
        ("--supervise", "the bridge's"),
        ("--stop-signal INT", "the bridge's"),
        ("--reload-signal USR1", "the bridge's"),
        ("", "the daemon's"),
    ],
)
def test_whose_pid_the_init_sees_is_said(words: str, sees: str) -> None:
    explained = run("-t", "systemd", "-N", "--init", "upstart", *words.split(), "--explain=json", "--", "/bin/true")
    line = "PID: upstart sees, shows and signals the bridge's, not the daemon's"
    assert (line in json.loads(explained.out)["translations"]) == (sees == "the bridge's")
