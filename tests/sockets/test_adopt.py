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
from tests.support.own import OWN
from tests.support.sandbox import refuse_sockets

NOBODY = 65534
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to take a socket out of another process")
NETLINK = 16
# argv: family, address, and what its process is called. Says where it listens, and ends with its standard input.
HOLDER = """
import ast, socket, sys
kind, where, name = sys.argv[1:]
with open("/proc/self/comm", "w") as comm:
    comm.write(name)
sock = socket.socket(getattr(socket, kind))
sock.bind(ast.literal_eval(where))
sock.listen()
print(repr(sock.getsockname()), flush=True)
sys.stdin.read()
"""
SAYS_WHERE = "import socket; print(socket.socket(fileno=3).getsockname())"
SERVES = """
import os, socket
assert os.environ["LISTEN_FDS"] == "1" and os.environ["LISTEN_PID"] == str(os.getpid())
connection, _ = socket.socket(fileno=3).accept()
connection.sendall(b"served")
"""


@contextmanager
def holder(
    kind: str, where: object, user: int = 0, name: str = "holder", wrapper: tuple[str, ...] = ()
) -> Iterator[tuple[Any, int]]:
    """A process that listens there: the address, and its PID."""
    words = [*wrapper, "/usr/bin/python3", "-ISc", HOLDER, kind, repr(where), name]
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
    [("AF_INET", ("127.0.0.1", 0)), ("AF_INET6", ("::1", 0)), ("AF_UNIX", b"\0"), ("AF_UNIX", "")],
)
def test_a_client_of_the_adopted_socket_is_served(kind: str, where: object, tmp_path: Path) -> None:
    name = where + OWN.encode() if isinstance(where, bytes) else where or str(tmp_path / "socket")
    with holder(kind, name) as (bound, _):
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


def test_nobody_makes_himself_root_by_a_process_name() -> None:
    """Python takes more for a line's end than the kernel, which escapes only that in the names of processes."""
    with holder("AF_INET", ("127.0.0.1", 0), NOBODY, "\x85Uid:\t0\t0") as (bound, pid):
        assert "\x85Uid:\t0\t0" in Path(f"/proc/{pid}/comm").read_text()
        result = run("-t", "systemd", "--adopt-socket", address_of("AF_INET", bound), "--", "/bin/true")
    assert result.status == 125
    assert f"process {pid} holds it, which is user {NOBODY}'s and not root's" in result.line


def adopted(path: object) -> str:
    """What the daemon gets for this path, as it says it."""
    result = run("-t", "systemd", "--adopt-socket", f"unix:{path}", "--", "/usr/bin/python3", "-ISc", SAYS_WHERE)
    assert (result.status, result.err) == (0, b""), result
    return result.out.decode().strip()


@pytest.fixture
def path() -> Iterator[str]:
    """For a socket: short, and in a folder that everybody may pass."""
    yield (path := f"/run/cross-init-test-adopt-{os.getpid()}")
    Path(path).unlink(missing_ok=True)


@pytest.mark.parametrize("flags", ["10000", "zz", "-1"])
def test_nobody_forges_a_line_by_the_name_of_a_socket(flags: str, path: str) -> None:
    with holder("AF_INET", ("127.0.0.1", 0)) as (_, pid), holder("AF_UNIX", path):
        inode = os.stat(f"/proc/{pid}/fd/3").st_ino
        assert adopted(path) == path
        for forged in (f"\0\n0: 2 0 {flags} 1 1 {inode} {path}\n", f"\0\x850: 2 0 {flags} 1 1 {inode} {path}"):
            with holder("AF_UNIX", forged.encode(), NOBODY):
                assert adopted(path) == path


def test_a_strangers_socket_of_the_same_path_elsewhere_prevents_nothing(path: str) -> None:
    """In a mount namespace of his own, which a user may have, anybody can make a socket under any path."""
    hides = f'mount -t tmpfs -o mode=777 tmpfs /run && exec setpriv --reuid={NOBODY} --clear-groups "$@"'
    elsewhere = ("unshare", "--mount", "/bin/sh", "-c", hides, "sh")
    if subprocess.run([*elsewhere, "true"], capture_output=True).returncode:
        pytest.skip("needs a mount namespace of its own")
    with holder("AF_UNIX", path, wrapper=elsewhere) as (_, pid):
        result = run("-t", "systemd", "--adopt-socket", f"unix:{path}", "--", "/bin/true")
        assert f"process {pid} holds it, which is user {NOBODY}'s and not root's" in result.line
        with holder("AF_UNIX", path):
            assert adopted(path) == path


def test_of_two_sockets_of_one_path_the_one_that_stands_there_is_taken(path: str) -> None:
    with holder("AF_UNIX", path) as (_, first):
        Path(path).unlink()
        with holder("AF_UNIX", path) as (_, second):
            result = run(
                *("-t", "systemd", "--adopt-socket", f"unix:{path}", "--", "/usr/bin/python3", "-ISc"),
                "import os; print(os.readlink('/proc/self/fd/3'))",
            )
            sockets = {pid: os.readlink(f"/proc/{pid}/fd/3") for pid in (first, second)}
    assert result.out.decode().strip() == sockets[second] != sockets[first]


@pytest.mark.parametrize(("bound", "asked"), [("::ffff:127.0.0.1", "127.0.0.1"), ("127.0.0.1", "[::ffff:127.0.0.1]")])
def test_an_ipv4_address_on_an_ipv6_socket_is_another_place(bound: str, asked: str) -> None:
    with holder("AF_INET6" if ":" in bound else "AF_INET", (bound, 0)) as (where, _):
        result = run("-t", "systemd", "--adopt-socket", f"tcp:{asked}:{where[1]}", "--", "/bin/true")
        assert "nobody listens there" in result.line
        there = f"[{bound}]" if ":" in bound else bound
        words = ("-t", "systemd", "--adopt-socket", f"tcp:{there}:{where[1]}", "--", "/bin/true")
        assert run(*words).status == 0


@pytest.mark.parametrize("address", ["unix:/run/nothing", "tcp:127.0.0.1:1"])
def test_where_the_kernel_may_not_be_asked_it_is_one_line(address: str) -> None:
    result = run(
        *("-t", "systemd", "--adopt-socket", address, "--", "/bin/true"), before=lambda: refuse_sockets(NETLINK)
    )
    assert result.status == 125
    assert "the kernel does not say which sockets listen (sock_diag)" in result.line
    assert "allow netlink sockets" in result.line


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
