"""--adopt-socket: a listening socket is taken over from the process of root's that holds it, and from nobody else's."""

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import PATH, command, run

NOBODY = 65534
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to take a socket out of another process")
# argv: family, address. Says where it listens, and ends with its standard input.
HOLDER = """
import ast, socket, sys
kind, where = sys.argv[1:]
sock = socket.socket(getattr(socket, kind))
sock.bind(ast.literal_eval(where))
sock.listen()
print(repr(sock.getsockname()), flush=True)
sys.stdin.read()
"""
SERVES = """
import os, socket
assert os.environ["LISTEN_FDS"] == "1" and os.environ["LISTEN_PID"] == str(os.getpid())
connection, _ = socket.socket(fileno=3).accept()
connection.sendall(b"served")
"""


@contextmanager
def holder(kind: str, where: object, user: int = 0) -> Iterator[tuple[Any, int]]:
    """A process that listens there: the address, and its PID."""
    words = ["/usr/bin/python3", "-ISc", HOLDER, kind, repr(where)]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True, user=user) as process:
        assert process.stdin
        assert process.stdout
        try:
            yield eval(process.stdout.readline()), process.pid
        finally:
            process.stdin.close()


def address_of(kind: str, where: object) -> str:
    if isinstance(where, tuple):
        return f"tcp:{f'[{where[0]}]' if kind == 'AF_INET6' else where[0]}:{where[1]}"
    return f"unix:@{where[1:].decode()}" if isinstance(where, bytes) else f"unix:{where}"


@pytest.mark.parametrize(
    ("kind", "where"),
    [("AF_INET", ("127.0.0.1", 0)), ("AF_INET6", ("::1", 0)), ("AF_UNIX", b"\0cross-init-test-adopt"), ("AF_UNIX", "")],
)
def test_a_client_of_the_adopted_socket_is_served(kind: str, where: object, tmp_path: Path) -> None:
    with holder(kind, where or str(tmp_path / "socket")) as (bound, _):
        words = command(
            "-t", "systemd", "--adopt-socket", address_of(kind, bound), "--", "/usr/bin/python3", "-c", SERVES
        )
        with (
            socket.socket(getattr(socket, kind)) as client,
            subprocess.Popen(words, env={"PATH": PATH}, stdin=subprocess.DEVNULL) as daemon,
        ):
            client.settimeout(10)
            client.connect(bound)
            assert client.recv(100) == b"served"
            assert daemon.wait(10) == 0


def test_the_socket_of_another_user_is_refused() -> None:
    with holder("AF_INET", ("127.0.0.1", 0), NOBODY) as (bound, pid):
        result = run("-t", "systemd", "--adopt-socket", address_of("AF_INET", bound), "--", "/bin/true")
    assert result.status == 125
    assert f"process {pid} holds it, which is user {NOBODY}'s and not root's" in result.line


def test_who_is_not_root_is_refused() -> None:
    with holder("AF_INET", ("127.0.0.1", 0)) as (bound, _):
        result = run(
            *("-t", "systemd", "--adopt-socket", address_of("AF_INET", bound), "--", "/bin/true"),
            before=lambda: os.setuid(NOBODY),
        )
    assert result.status == 125
    assert result.line.endswith("needs root")


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("tcp:127.0.0.1:1", "nobody listens there"),
        ("unix:/nonexistent", "nobody listens there"),
        ("udp:127.0.0.1:1", "only sockets that listen"),
        ("tcp:nowhere.invalid:1", "looking up nowhere.invalid"),
    ],
)
def test_what_cannot_be_adopted_is_one_line(address: str, why: str) -> None:
    result = run("-t", "systemd", "--adopt-socket", address, "--", "/bin/true")
    assert result.status == 125
    assert why in result.line


def test_what_the_init_passed_goes_before() -> None:
    with socket.socket() as passed:
        passed.bind(("127.0.0.1", 0))
        passed.listen()
        environ = {"PATH": PATH, "UPSTART_JOB": "web", "UPSTART_FDS": str(passed.fileno()), "UPSTART_EVENTS": "socket"}
        words = ("-t", "systemd", "--adopt-socket", "tcp:127.0.0.1:1", "--", "/bin/sh", "-c", "echo $LISTEN_FDS")
        assert run(*words, environ=environ, pass_fds=[passed.fileno()]).out == b"1\n"
