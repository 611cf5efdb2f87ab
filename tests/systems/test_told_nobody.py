"""A NOTIFY_SOCKET that leads to nobody: whoever set it has gone. A daemon never gets less than it would without us."""

import contextlib
import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import PATH, run
from tests.support.observed import Place

# Daemons that say they are ready as their init has it, say what they were given, and end with 7.
SAY = "import os, signal, socket, sys; print('given', sorted(os.environ), flush=True); "
DAEMONS = {
    "upstart": "os.kill(os.getpid(), signal.SIGSTOP); sys.exit(7)",
    "systemd": (
        "where = os.environ.get('NOTIFY_SOCKET'); s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM);"
        "where and (s.connect(where), s.send(b'READY=1'), s.send(b'STATUS=one'), s.send(b'STATUS=two'));"
        "sys.exit(7)"
    ),
}
WAYS = {
    "upstart": ("-t", "upstart", "-N"),
    "upstart, supervised": ("-t", "upstart", "-N", "--supervise"),
    "systemd": ("-t", "systemd", "-N"),
    "systemd, supervised": ("-t", "systemd", "-N", "--supervise"),
    "systemd, not asked for": ("-t", "systemd"),
}
DETECTED = {"detected": (), "named": ("--init", "systemd")}
# As systemd starts a service, whose number it names.
AS_MAIN = ("/bin/sh", "-c", 'SYSTEMD_EXEC_PID=$$ exec "$@"', "sh")


@pytest.fixture(params=["missing", "left", "abstract", "empty", "of a stream", "elsewhere"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """What NOTIFY_SOCKET says, and leads to nobody."""
    kind = socket.SOCK_STREAM if request.param == "of a stream" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_UNIX, kind) as sock:
        if request.param in ("left", "of a stream"):
            sock.bind(f"{tmp_path}/notify")
        if request.param == "left":
            sock.close()
        yield {
            "missing": "/nonexistent/notify",
            "abstract": f"@cross-init-test-nobody-{os.getpid()}",
            "empty": "",
            "elsewhere": "vsock:2:1234",
        }.get(request.param, f"{tmp_path}/notify")


def daemon(way: str) -> tuple[str, ...]:
    return ("/usr/bin/python3", "-ISc", SAY + DAEMONS[way.partition(",")[0]])


@pytest.mark.parametrize("init", DETECTED)
@pytest.mark.parametrize("way", WAYS)
def test_the_daemon_runs_on_and_the_line_names_the_socket(way: str, init: str, address: str) -> None:
    environ = {"PATH": PATH, "NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000"}
    ended = run(*DETECTED[init], *WAYS[way], "--", *daemon(way), environ=environ)
    assert ended.status == 7, ended
    said = ended.err.decode()
    assert f"NOTIFY_SOCKET={address} " in said
    assert said.count("NOTIFY_SOCKET=") == 1
    assert "nobody is told by it: unset it where it comes from" in said
    assert "WATCHDOG_USEC" not in ended.out.decode(), "that belongs to who has gone"


@pytest.mark.parametrize("way", ["upstart", "upstart, supervised", "systemd, supervised"])
def test_nor_does_it_end_where_systemd_itself_has_started_it(way: str, address: str) -> None:
    if not address:
        return  # that is a unit which does not wait for readiness
    environ = {"PATH": PATH, "NOTIFY_SOCKET": address}
    ended = run(*WAYS[way], "--", *daemon(way), environ=environ, wrapper=AS_MAIN)
    assert ended.status == 7, ended
    assert f"NOTIFY_SOCKET={address} " in ended.err.decode()
    assert ended.err.decode().count("what the daemon says") <= 1, "what cannot be told is said once"


def test_who_goes_while_the_daemon_starts_does_not_end_it(place: Place, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"{tmp_path}/manager")
        environ = {"NOTIFY_SOCKET": f"{tmp_path}/manager"}
        started = place.begin("-t", "upstart", "-N", "--init", "systemd", environ=environ)
    started.puppet.tell("stop")
    started.err.hears(f"NOTIFY_SOCKET={tmp_path}/manager leads to nobody: Connection refused; nobody is told")
    started.puppet.hear("continued")
    started.process.send_signal(signal.SIGTERM)
    started.puppet.hear_signal(signal.SIGTERM)  # it is still ours to pass signals on to
    started.puppet.tell("exit 5")
    assert started.ends() == 5
    place.nothing_remains()


@pytest.mark.parametrize("is_full", [False, True])
def test_nor_does_who_never_reads(place: Place, tmp_path: Path, is_full: bool) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"{tmp_path}/manager")
        if is_full:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as flood:
                flood.setblocking(False)
                flood.connect(f"{tmp_path}/manager")
                with contextlib.suppress(BlockingIOError):
                    while True:
                        flood.send(b"X=1")
        started = place.begin(
            "-t", "upstart", "-N", "--init", "systemd", environ={"NOTIFY_SOCKET": f"{tmp_path}/manager"}
        )
        started.puppet.tell("stop")
        started.err.hears("it goes on, and this process ends with it")
        started.puppet.hear("continued")
        started.process.send_signal(signal.SIGTERM)
        started.puppet.hear_signal(signal.SIGTERM)
        started.puppet.tell("exit 0")
        assert started.ends() == 0
    place.nothing_remains()


def test_it_goes_to_who_is_there(place: Place, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"{tmp_path}/manager")
        environ = {"NOTIFY_SOCKET": f"{tmp_path}/manager"}
        place.begin("-t", "systemd", "-N", "--supervise", "--init", "systemd", environ=environ).puppet.tell(
            "notify READY=1"
        )
        manager.settimeout(30)
        assert b"READY=1" in manager.recv(4096)


def test_explain_says_so() -> None:
    environ = {"PATH": PATH, "NOTIFY_SOCKET": "/nonexistent/notify"}
    facts = json.loads(run("-t", "systemd", "-N", "--explain=json", "--", "/bin/true", environ=environ).out)
    assert facts["init"] == "none"
    assert any("NOTIFY_SOCKET=/nonexistent/notify leads to nobody" in line for line in facts["warnings"])
