"""--listen, by real clients: every form of address, what is in the way, and what the daemon is told of its sockets."""

import os
import re
import socket
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.command import BRIDGE, PATH, command, run
from tests.support.own import free_port

# A daemon for systemd that answers one client (or datagram) on each of its sockets, in their order.
SERVE = """
import os, socket
assert os.environ["LISTEN_PID"] == str(os.getpid())
for fd in range(3, 3 + int(os.environ["LISTEN_FDS"])):
    sock = socket.socket(fileno=fd)
    if sock.type == socket.SOCK_STREAM:
        connection, _ = sock.accept()
        connection.sendall(b"from " + str(fd).encode())
        connection.close()
    else:
        _, where = sock.recvfrom(100)
        if where:
            sock.sendto(b"from " + str(fd).encode(), where)
"""
PYTHON = ("/usr/bin/python3", "-ISc")
Serve = Callable[..., "Bridge"]


class Bridge:
    """A bridge with a daemon that serves, and the addresses that it said it listens on."""

    def __init__(self, *options: str) -> None:
        self.process = subprocess.Popen(
            command("-t", "systemd", "--init", "none", *options, "--", *PYTHON, SERVE),
            env={"PATH": PATH},
            stderr=subprocess.PIPE,
        )

    def listens_on(self) -> str:
        assert self.process.stderr is not None
        found = re.fullmatch(r"cross-init-bridge: listening on (\S+)\n", self.process.stderr.readline().decode())
        assert found, "the port that it got is said first"
        return found[1]

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


@pytest.fixture
def serve() -> Iterator[Serve]:
    made: list[Bridge] = []

    def start(*options: str) -> Bridge:
        made.append(Bridge(*options))
        return made[-1]

    yield start
    for bridge in made:
        bridge.end()


def ask(where: str) -> bytes:
    """What the daemon answers a client of this address, as it stands behind "listening on"."""
    kind, _, rest = where.partition(":")
    if kind.startswith("unix"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.connect("\0" + rest[1:] if rest.startswith("@") else rest)
            return client.recv(100)
    host, _, port = rest.rpartition(":")
    family = socket.AF_INET6 if "[" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM) as client:
        client.connect((host.strip("[]"), int(port)))
        client.send(b"?")
        return client.recv(100)


def has_ipv6() -> bool:
    with socket.socket(socket.AF_INET6) as sock:
        try:
            sock.bind(("::1", 0))
        except OSError:
            return False
    return True


NEEDS_IPV6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 address ::1")
FORMS = ["tcp:127.0.0.1:0", "tcp:localhost:0", "udp:127.0.0.1:0"]
FORMS_IPV6 = [pytest.param(form, marks=NEEDS_IPV6) for form in ("tcp:[::1]:0", "udp:[::1]:0")]


@pytest.mark.parametrize("form", [*FORMS, *FORMS_IPV6])
def test_port_0_is_any_free_one_which_is_said(serve: Serve, form: str) -> None:
    bridge = serve("--listen", form)
    where = bridge.listens_on()
    assert not where.endswith(":0")
    assert ask(where) == b"from 3"
    assert bridge.process.wait(60) == 0


@pytest.mark.parametrize("host", ["127.0.0.1", pytest.param("[::1]", marks=NEEDS_IPV6)])
def test_no_host_is_every_address(serve: Serve, host: str) -> None:
    bridge = serve("--listen", "tcp::0")
    port = bridge.listens_on().rpartition(":")[2]
    assert ask(f"tcp:{host}:{port}") == b"from 3"


def unix_client(path: str, kind: int) -> socket.socket:
    client = socket.socket(socket.AF_UNIX, kind)
    client.bind("")  # an abstract name of its own, so that it can be answered
    client.connect(path)
    return client


@pytest.mark.parametrize("abstract", [True, False])
@pytest.mark.parametrize("kind", ["unix", "unix-dgram"])
def test_unix_sockets_have_a_path_or_an_abstract_name(serve: Serve, kind: str, abstract: bool, tmp_path: Path) -> None:
    path = f"@cross-init-test-{os.getpid()}" if abstract else str(tmp_path / "socket")
    bridge = serve("--listen", f"{kind}:{path}", "--listen", "tcp:127.0.0.1:0")
    bridge.listens_on()  # so the first one is open, too
    where = "\0" + path[1:] if abstract else path
    with unix_client(where, socket.SOCK_STREAM if kind == "unix" else socket.SOCK_DGRAM) as client:
        client.send(b"?")
        assert client.recv(100) == b"from 3"


def test_several_come_in_their_order_under_their_names() -> None:
    result = run(
        *("-t", "systemd", "--listen", "web=tcp:127.0.0.1:0", "--listen", f"unix:@cross-init-a=b-{os.getpid()}"),
        *("--listen", "log=udp:127.0.0.1:0", "--", "/bin/sh", "-c", "echo $$ $LISTEN_PID $LISTEN_FDS $LISTEN_FDNAMES"),
    )
    own, listen_pid, count, names = result.out.decode().split()
    assert own == listen_pid
    assert (count, names) == ("3", "web:unknown:log")
    assert re.fullmatch(rb"(cross-init-bridge: listening on (tcp|udp):127\.0\.0\.1:\d+\n){2}", result.err)


@pytest.mark.parametrize("shape", [[], ["-N"]])
def test_an_upstart_daemon_is_told_in_upstarts_way(shape: list[str]) -> None:
    port = free_port()
    words = (
        "--",
        "/bin/sh",
        "-c",
        "echo $UPSTART_FDS $UPSTART_EVENTS $PROTO $ADDR $PORT; test -S /proc/self/fd/$UPSTART_FDS",
    )
    result = run("-t", "upstart", *shape, "--init", "none", "--listen", f"tcp:127.0.0.1:{port}", *words)
    assert result.status == 0
    assert result.out.decode().split()[1:] == ["socket", "inet", "127.0.0.1", str(port)]


def test_an_upstart_daemon_is_told_of_several_if_it_asks_for_them() -> None:
    words = ("--", "/bin/sh", "-c", "echo $UPSTART_FDS; echo $UPSTART_EVENTS")
    options = ("--listen", f"tcp:127.0.0.1:{free_port()}", "--listen", f"unix:@cross-init-test-{os.getpid()}")
    fds, events = run("-t", "upstart", *options, "--all-sockets", *words).out.decode().splitlines()
    assert len(fds.split()) == 2
    assert events == "socket socket"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--listen", "udp:127.0.0.1:0"], "datagram socket, and Upstart knows only stream"),
        (["--listen", "tcp:127.0.0.1:0"], "passing 2 sockets.*open one.*--all-sockets"),
        (["--listen", "unix-dgram:@x", "--all-sockets"], "datagram socket"),
    ],
)
def test_what_upstart_could_not_pass_is_refused_before_anything_is_opened(
    options: list[str], words: str, tmp_path: Path
) -> None:
    first = ("--listen", f"unix:{tmp_path}/socket")
    result = run("-t", "upstart", *first, *options, "--", "/usr/bin/touch", str(tmp_path / "started"))
    assert result.status == 125
    assert re.search(words, result.line)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_a_port_in_use_is_not_taken(kind: str, tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", 0))
        if kind == "tcp":
            other.listen()
        form = f"{kind}:127.0.0.1:{other.getsockname()[1]}"
        result = run("-t", "systemd", "--listen", f"unix:{tmp_path}/socket", "--listen", form, "--", "/bin/true")
    assert result.status == 125
    assert f"--listen {form}: cannot listen there: Address already in use; end what listens there" in result.line
    assert not os.listdir(tmp_path), "the other socket is gone again"


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_the_socket_file_of_a_dead_daemon_is_replaced(serve: Serve, kind: int, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX, kind) as dead:
        dead.bind(str(path))
    bridge = serve("--listen", f"unix:{path}", "--listen", "tcp:127.0.0.1:0")
    bridge.listens_on()
    assert ask(f"unix:{path}") == b"from 3"


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET])
@pytest.mark.parametrize("form", ["unix", "unix-dgram"])
def test_the_socket_file_of_a_live_daemon_is_not_replaced(kind: int, form: str, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX, kind) as live:
        live.bind(str(path))
        if kind != socket.SOCK_DGRAM:
            live.listen(0)
        before = path.stat().st_ino
        result = run("-t", "systemd", "--listen", f"{form}:{path}", "--", "/bin/true")
        assert result.status == 125
        assert "Address already in use" in result.line
        assert path.stat().st_ino == before


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir, lambda path: path.symlink_to("elsewhere"), os.mkfifo])
def test_what_is_no_socket_is_not_replaced(make: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "socket"
    make(path)
    before = path.lstat().st_ino
    result = run("-t", "systemd", "--listen", f"unix:{path}", "--", "/bin/true")
    assert result.status == 125
    assert path.lstat().st_ino == before
    assert not stat.S_ISSOCK(path.lstat().st_mode)


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ("", "needs a value"),
        ("80", "80 is no kind of socket; write"),
        ("http:localhost:80", "http is no kind of socket; write"),
        ("tcp:80", "has to end with :PORT"),
        ("tcp:localhost:", "has to end with :PORT"),
        ("tcp:localhost:http", "has to end with :PORT"),
        ("tcp:localhost:65536", "has to end with :PORT"),
        ("tcp:localhost:-1", "has to end with :PORT"),
        ("tcp:localhost:٣", "has to end with :PORT"),
        ("tcp:localhost:" + "1" * 5000, "has to end with :PORT"),
        ("tcp:::1:80", r"stands in brackets: tcp:\[::1\]:80"),
        ("unix:relative", "relative is no absolute path"),
        ("unix:", "nothing is no absolute path"),
        ("unix:@", "@ is no absolute path"),
        ("unix:/" + "x" * 200, "cannot listen there: AF_UNIX path too long"),
        ("unix:/proc/nonexistent/socket", "cannot listen there: No such file or directory"),
        ("tcp:a..b:80", "cannot listen there"),
        ("tcp:" + "x" * 70 + ":80", "cannot listen there"),
        ("tcp:192.0.2.1:80", "choose an address of this machine"),
        ("web=", "empty word is no kind of socket"),
        ("=tcp", "no kind of socket|has to end"),
    ],
)
def test_a_bad_form_gives_one_line_that_helps(form: str, words: str) -> None:
    result = run("-t", "systemd", f"--listen={form}", "--", "/bin/true")
    assert result.status == 125
    assert re.search(words, result.line)
    assert "--listen" in result.line


def test_invalid_utf_8_in_a_form_gives_one_line() -> None:
    for form in (b"\xff", b"tcp:\xff:80", b"unix:\xff", b"tcp:h:\xff", b"\xff=tcp:h"):
        result = run("-t", "systemd", b"--listen=" + form, "--", "/bin/true")
        assert result.status == 125
        assert "\\udcff" in result.line


def test_with_wait_for_client_the_daemon_starts_when_one_comes(serve: Serve) -> None:
    bridge = serve("--wait-for-client", "--listen", "tcp:127.0.0.1:0")
    where = bridge.listens_on()
    assert os.readlink(f"/proc/{bridge.process.pid}/exe").rpartition("/")[2].startswith(("python", BRIDGE.name))
    assert SERVE.encode() in Path(f"/proc/{bridge.process.pid}/cmdline").read_bytes()
    assert b"cross-init-bridge" in Path(f"/proc/{bridge.process.pid}/cmdline").read_bytes()
    assert ask(where) == b"from 3"
    assert bridge.process.wait(60) == 0


def test_waiting_for_a_client_needs_a_socket() -> None:
    result = run("-t", "systemd", "--wait-for-client", "--", "/bin/true")
    assert result.status == 125
    assert "--wait-for-client: a shell passed no socket to wait on" in result.line


def test_waiting_ends_on_a_keyboards_interrupt_without_a_word(serve: Serve) -> None:
    bridge = serve("--wait-for-client", "--listen", "tcp:127.0.0.1:0")
    bridge.listens_on()
    bridge.process.send_signal(2)
    assert bridge.process.wait(60) == -2
    assert bridge.process.stderr is not None
    assert bridge.process.stderr.read() == b""
