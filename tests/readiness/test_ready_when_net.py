"""--ready-when tcp:, http: and listening: real servers and sockets, also such that answer badly or not at all."""

import contextlib
import http.server
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.readiness.test_ready_when import LISTENS
from tests.support.command import IS_STATIC
from tests.support.command import run as run_bridge
from tests.support.observed import Place
from tests.support.own import free_port
from tests.support.packages import need


class Answers(http.server.ThreadingHTTPServer):
    """Answers each GET with the next of these codes, the last one again and again; 0: never."""

    daemon_threads = True

    def __init__(self, *codes: int) -> None:
        self.codes = list(codes)
        self.asked: list[str] = []
        self.news = threading.Condition()
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def was_asked(self, times: int) -> None:
        with self.news:
            assert self.news.wait_for(lambda: len(self.asked) >= times, 20), self.asked

    def next(self, path: str) -> int:
        with self.news:
            self.asked.append(path)
            self.news.notify_all()
            return self.codes.pop(0) if len(self.codes) > 1 else self.codes[0]

    def handle_error(self, request: object, client_address: object) -> None:
        """Nobody need hear of it: the client was killed."""


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Answers)
        code = self.server.next(self.path)
        if not code:
            self.rfile.read()  # until the client gives up
            return
        self.send_response(code)
        if code == 302:
            self.send_header("Location", "http://no-such-host.invalid/")
        self.end_headers()

    def log_message(self, *words: object) -> None:
        """Say nothing."""


@contextmanager
def answers(*codes: int) -> Iterator[Answers]:
    with Answers(*codes) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("code", [200, 204, 301, 302, 304])
def test_an_answer_that_is_no_error_counts_and_redirections_are_not_followed(
    place: Place, shape: tuple[str, ...], code: int
) -> None:
    with answers(503, 500, 404, code) as server:
        run = place.begin(*shape, "--ready-when", f"http:{server.url}/health?deep=1")
        run.becomes_ready()
        assert server.asked == ["/health?deep=1"] * 4


def test_it_is_asked_again_until_the_server_serves(place: Place, shape: tuple[str, ...]) -> None:
    with answers(503) as server:
        run = place.begin(*shape, "--ready-when", server.url)
        server.was_asked(3)
        assert not run.is_ready()
        server.codes = [200]
        run.becomes_ready()


def test_a_server_that_hangs_holds_up_nothing_else(place: Place, tmp_path: Path, shape: tuple[str, ...]) -> None:
    with answers(0) as server:
        conditions = ("--ready-when", server.url, "--ready-when", f"tcp:127.0.0.1:{server.server_address[1]}")
        run = place.begin("-t", "systemd", "-N", *shape, *conditions)
        server.was_asked(1)
        run.puppet.send(repr(b"STATUS=heard at once, by an answer to the barrier"))
        if shape:
            run.process.send_signal(signal.SIGUSR1)
            run.puppet.hear_signal(signal.SIGUSR1)
        run.puppet.tell("exit 4")
        assert run.ends() == 4
        place.nothing_remains()
    assert "is ready" not in run.err.rest()


def test_what_is_no_http_server_does_not_count(place: Place, shape: tuple[str, ...]) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.settimeout(10)
        run = place.begin(*shape, "--ready-when", f"http://127.0.0.1:{server.getsockname()[1]}/")
        for answer in (b"", b"+PONG\r\n", b"HTTP/1.1 abc\r\n\r\n", b"\0" * 100_000):
            client, _ = server.accept()
            with client:
                client.recv(4096)
                client.sendall(answer)
        server.accept()[0].close()
        assert not run.is_ready()
    run.puppet.tell("exit 0")
    run.ends()
    assert "Traceback" not in run.err.rest()


@pytest.mark.skipif(IS_STATIC, reason="the static file has no ssl: https: is refused, see test_static.py")
def test_a_certificate_that_nobody_trusts_does_not_count(place: Place, tmp_path: Path) -> None:
    need("openssl")
    made = ("-keyout", tmp_path / "key", "-out", tmp_path / "certificate", "-days", "1", "-subj", "/CN=localhost")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *made], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate", tmp_path / "key")
    with socket.create_server(("127.0.0.1", 0)) as server, context.wrap_socket(server, server_side=True) as secure:
        secure.settimeout(10)
        run = place.begin("--ready-when", f"https://localhost:{secure.getsockname()[1]}/")
        for _ in range(2):
            with pytest.raises(ssl.SSLError, match="unknown ca"):
                secure.accept()
        assert not run.is_ready()


def test_an_address_is_looked_up_before_the_start_and_all_of_it_is_tried(place: Place, shape: tuple[str, ...]) -> None:
    port = free_port()
    run = place.begin(*shape, "--ready-when", f"tcp:[::1]:{port}")
    run.puppet.do(LISTENS.format(port=port))  # the other family
    run.is_not_ready_yet()
    run.puppet.do(f"more = socket.socket(socket.AF_INET6); more.bind(('::1', {port})); more.listen()")
    run.becomes_ready()


ALONE = "ip link set lo up && echo '{port} {last}' > /proc/sys/net/ipv4/ip_local_port_range && exec \"$@\""


def test_tcp_that_connects_with_itself_does_not_count_and_keeps_no_port(place: Place) -> None:
    """Where there are but two ephemeral ports, the kernel takes the one that is connected to."""
    if os.geteuid() or subprocess.run(["unshare", "--net", "true"], capture_output=True).returncode:
        pytest.skip("needs root and a network namespace of its own")
    need("iproute2")
    wrapper = ("unshare", "--net", "/bin/sh", "-c", ALONE.format(port=40000, last=40001), "sh")
    run = place.begin("--ready-when", "tcp:127.0.0.1:40000", wrapper=wrapper)
    run.is_not_ready_yet()
    run.puppet.do(
        """
made = socket.socket()
while True:
    try:
        made.bind(("127.0.0.1", 40000))
        break
    except OSError:  # while an attempt is under way; afterwards nothing must remain of it
        with open("/proc/net/tcp") as table:
            assert " 06 " not in table.read()
"""
    )
    run.is_not_ready_yet()
    run.puppet.do("made.listen()")
    run.becomes_ready()


@pytest.mark.parametrize("target", ["systemd", "upstart"])
def test_a_socket_that_was_passed_is_none_that_the_daemon_opened(
    place: Place, tmp_path: Path, shape: tuple[str, ...], target: str
) -> None:
    passed = ("--listen", f"tcp:127.0.0.1:{free_port()}")
    run = place.begin("-t", target, *shape, *passed, "--ready-when", "listening")
    run.is_not_ready_yet()
    run.puppet.do(f"made = socket.socket(socket.AF_UNIX); made.bind('{tmp_path}/x')")
    run.is_not_ready_yet()
    run.puppet.do("made.listen()")
    run.becomes_ready()


def test_a_childs_socket_counts(place: Place, shape: tuple[str, ...]) -> None:
    run = place.begin(*shape, "--ready-when", "listening")
    listens = LISTENS.format(port=free_port())
    run.puppet.do(f"if not os.fork():\n {listens}\n signal.pause()")
    run.becomes_ready()


def test_a_strangers_socket_does_not(place: Place, shape: tuple[str, ...]) -> None:
    with socket.create_server(("127.0.0.1", 0)):
        run = place.begin(*shape, "--ready-when", "listening")
        run.is_not_ready_yet()


@pytest.mark.skipif(IS_STATIC, reason="the static file has an HTTP client of its own")
def test_python_without_an_http_client_is_said_before_the_start(tmp_path: Path) -> None:
    """What Debian's python3-minimal lacks, hidden here behind an empty folder."""
    folder = subprocess.run(
        ["/usr/bin/python3", "-ISc", "import http; print(http.__path__[0])"], capture_output=True, text=True, check=True
    ).stdout.strip()
    if os.geteuid() or subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        pytest.skip("needs root and a mount namespace of its own")
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "__init__.py").write_text("raise ImportError")
    hides = f'mount --bind {empty} {folder} && exec "$@"'
    ran = run_bridge(
        *("-t", "plain", "--init", "none", "--ready-when", "http://localhost/", "--", "/bin/true"),
        wrapper=("unshare", "--mount", "/bin/sh", "-c", hides, "sh"),
    )
    assert ran.status == 125
    assert "install python3" in ran.line


@pytest.mark.parametrize("line", ["10000", "zz"])
def test_nobody_makes_a_socket_listen_by_the_name_of_another(
    place: Place, tmp_path: Path, shape: tuple[str, ...], line: str
) -> None:
    """Whose name holds a line end looks, in /proc/net/unix, like a line of its own."""
    run = place.begin(*shape, "--ready-when", "listening")
    run.puppet.do(f"made = socket.socket(socket.AF_UNIX); made.bind('{tmp_path}/x')")
    inodes = {os.stat(f"/proc/{run.puppet.pid}/fd/{fd}").st_ino for fd in os.listdir(f"/proc/{run.puppet.pid}/fd")}
    with contextlib.ExitStack() as strangers:
        for inode in inodes:
            stranger = strangers.enter_context(socket.socket(socket.AF_UNIX))
            stranger.bind(f"\0\n0: 2 0 {line} 1 1 {inode} x\n")
        run.is_not_ready_yet()
        run.puppet.do("made.listen()")
        run.becomes_ready()


def test_a_daemon_in_a_network_of_its_own_is_seen_by_root(place: Place, tmp_path: Path, shape: tuple[str, ...]) -> None:
    if os.geteuid() or subprocess.run(["unshare", "--net", "true"], capture_output=True).returncode:
        pytest.skip("needs root and a network namespace of its own")
    run = place.begin(*shape, "--ready-when", "listening")
    run.puppet.do(
        "import ctypes, socket; assert ctypes.CDLL(None).unshare(0x40000000) == 0\n"
        f"made = socket.socket(socket.AF_UNIX); made.bind('{tmp_path}/x')"
    )
    run.is_not_ready_yet()
    networks = {os.readlink(f"/proc/{pid}/ns/net") for pid in (run.observer, os.getpid())}
    assert len(networks) == 1, "who looked there has come back"
    run.puppet.do("made.listen()")
    run.becomes_ready()


def test_where_the_kernel_may_not_be_asked_tcp_is_seen_all_the_same(
    place: Place, tmp_path: Path, shape: tuple[str, ...]
) -> None:
    sandbox = (
        "import os, sys; sys.path.append(sys.argv[1])\n"
        "from tests.support.sandbox import refuse_sockets; refuse_sockets(16); os.execv(sys.argv[2], sys.argv[2:])"
    )
    root = str(Path(__file__).resolve().parents[2])
    run = place.begin(*shape, "--ready-when", "listening", wrapper=(sys.executable, "-c", sandbox, root))
    run.puppet.do(f"made = socket.socket(socket.AF_UNIX); made.bind('{tmp_path}/x'); made.listen()")
    run.err.hears("the kernel does not say which sockets listen (sock_diag)")
    run.is_not_ready_yet()
    run.puppet.do("more = socket.create_server(('127.0.0.1', 0))")
    run.becomes_ready()
    assert run.err.text.count(b"sock_diag") == 1
