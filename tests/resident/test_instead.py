"""A start that the resident does for its bridge is the one that the bridge would have made by itself."""

import posix
from collections.abc import Iterator
from pathlib import Path

import pytest

from cross_init.errors import Failure
from cross_init.resident.asking import BEGINNING, LONGEST
from cross_init.resident.instead import begin, read
from cross_init.watch.wire import Malformed
from tests.support.command import BRIDGE, script
from tests.support.packages import need
from tests.support.resident import Machine, machine
from tests.support.waiting import until

ITSELF = ("--notify-access", "main")  # an option that is the bridge's own to heed, and changes nothing
# A parent in the same namespaces, which is no shell.
PARENT_THERE = ("/usr/bin/python3", "-ISc", "import os, sys; sys.exit(os.spawnv(os.P_WAIT, sys.argv[1], sys.argv[1:]))")
SAME = ("SigIgn", "SigBlk", "SigCgt", "SigPnd", "Umask", "Seccomp", "NoNewPrivs")
ENVIRON = {"NOTIFY_SOCKET": "/nonexistent", "WATCHDOG_USEC": "5", "LISTEN_FDNAMES": "x", "LC_CTYPE": "C.UTF-8"}
ENVIRON |= {"A": "x=y=z", "B": "", "C": "é\n"}


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Machine]:
    with machine(tmp_path) as made:
        made.serve()
        yield made


@pytest.mark.parametrize("program", ["s6-supervise", "runsv"])
def test_a_daemon_finds_all_as_it_does_without(here: Machine, program: str) -> None:
    need("s6" if program == "s6-supervise" else "runit")
    found = []
    for name, more in (("one", ()), ("two", ITSELF)):
        _, puppet = here.puppet(name, *("-t", "systemd", "-N", *more, "4<run", "7<run"), program=program)
        seen = puppet.hello
        leads = seen["status"]["NSsid"] == seen["status"]["NSpid"]
        environ = {key: value.replace(name, "NAME") for key, value in seen["environ"].items() if key != "NOTIFY_SOCKET"}
        first = next(iter(seen["environ"]))
        found.append((environ, first, sorted(seen["fds"]), {key: seen["status"][key] for key in SAME}, leads))
        puppet.tell("notify READY=1")
    until(lambda: here.status().count(" ready ") == 2, "both are ready")
    assert found[0] == found[1]
    assert found[0][1] == "NOTIFY_SOCKET"
    assert found[0][4], "it leads a session"


def test_it_gets_the_variables_that_it_would_get(here: Machine) -> None:
    said = [
        here.private.run(
            *(*PARENT_THERE, str(BRIDGE), "-t", "systemd", "-N", "--need-resident", "--init", "none", *more),
            *("--", "/usr/bin/env", "-0"),
            environ=ENVIRON,
        ).out.split("\0")
        for more in ((), ITSELF)
    ]
    assert [each.partition("=")[0] for each in said[0]] == [each.partition("=")[0] for each in said[1]]
    assert said[0][0].startswith("NOTIFY_SOCKET=/run/cross-init/")
    assert said[0][1:] == said[1][1:]
    assert "A=x=y=z" in said[0]
    assert not [each for each in said[0] if each.startswith("WATCHDOG_")]


@pytest.mark.parametrize(
    ("text", "code"), [("#!/nonexistent/interpreter\n", 127), ("no program", 126)], ids=["interpreter", "kind"]
)
def test_what_cannot_be_run_is_said_by_the_bridge_alone(here: Machine, text: str, code: int) -> None:
    program = script(here.folder, "program", text)
    ended = [
        here.private.run(
            *(*PARENT_THERE, str(BRIDGE), "-t", "systemd", "-N", "--need-resident", "--init", "none", *more),
            *("--", str(program)),
        )
        for more in ((), ITSELF)
    ]
    assert ended[0].err == ended[1].err
    assert ended[0].err.startswith(f"cross-init-bridge: running {program}: ")
    assert ended[0].err.count("\n") == 1
    assert (ended[0].code, ended[1].code) == (code, code)
    until(lambda: here.status() == "no service is looked after\n", "none of it is left")
    folder = here.private.root / "run/cross-init"
    until(lambda: not [*folder.glob("cross-init-*"), *folder.glob("watched-*")], "no socket is left")


def request(*words: str, parent: int = 1, environ: tuple[str, ...] = ("PATH=/bin",)) -> bytes:
    return b"\0".join((BEGINNING, b"%d" % parent, b"%d" % len(words), *(each.encode() for each in (*words, *environ))))


def test_what_a_bridge_asks_is_read_as_it_was() -> None:
    words, environ, parent = read(request("-t", "systemd", "-N", "", parent=7, environ=("A=b=c", "D=")))
    assert (words, environ, parent) == (["-t", "systemd", "-N", ""], {b"A": b"b=c", b"D": b""}, 7)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        BEGINNING,
        BEGINNING + b"\0",
        BEGINNING + b"2\x001\x000",
        BEGINNING + b"\0one\x000",
        BEGINNING + b"\x001\x00-1",
        BEGINNING + b"\x001\x005\0-t",
        BEGINNING + b"\x001\x000\0NOEQUALS",
        request("-t", "systemd", parent=0),
        request("-t", "systemd", parent=-1),
    ],
)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        begin(data, [], posix.getpid())


@pytest.mark.parametrize(
    "words",
    [
        ("-t", "systemd", "-N", "--", "relative/path"),
        ("-t", "systemd", "-N", "--state-file", "x", "--", "/bin/true"),
        ("-t", "upstart", "-N", "--", "/bin/true"),
        ("-t", "systemd", "--", "/bin/true"),
        ("-t", "systemd", "-N", "--init", "systemd", "--", "/bin/true"),
        ("-t", "systemd", "-N", "--init", "none", "--", "/nonexistent"),
        ("-t", "systemd", "-N", "--init", "none"),
        ("-t", "systemd", "-N", "--init", "none", "--help"),
        ("--nonsense",),
        *(
            ("-t", "systemd", "-N", "--init", "none", *option, "--", "/bin/true")
            for option in (
                ("--listen", "tcp:127.0.0.1:4001"),
                ("--ready-when", "started"),
                ("--rewrite-signal", "TERM:INT"),
                ("--success-exit-status", "3"),
                ("--watchdog", "3"),
                ("--fd-store", "3"),
                ("--end-after-ready",),
                ("--supervise",),
                ("--own-watcher",),
                ("--explain",),
            )
        ),
    ],
)
def test_the_rest_is_the_bridges(words: tuple[str, ...]) -> None:
    with pytest.raises((Malformed, Failure)) as raised:
        begin(request(*words), [], posix.getpid())
    assert "file for the verdict" not in str(raised.value)  # so far comes what the resident would do


def test_a_long_environment_is_the_bridges(here: Machine) -> None:
    words = (*PARENT_THERE, str(BRIDGE), "-t", "systemd", "-N", "--need-resident", "--init", "none")
    ended = here.private.run(*words, "--", "/usr/bin/env", environ={"LONG": "x" * LONGEST})
    assert "LONG=xxx" in ended.out
