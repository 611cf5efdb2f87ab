"""--health-listen and --state-file: what a probe is answered, over real HTTP and by the file, in every state."""

import http.client
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cross_init.watch.health import CLIENTS, HEAD_MAX, PATIENCE_S
from tests.support.command import ask, run
from tests.support.observed import Place, Run, wakeups
from tests.support.packages import need
from tests.support.waiting import until

OWN = 4  # sockets that whoever answers has without any client: this one, NOTIFY_SOCKET, that of cross-init status, ...
NOTIFY = ("-t", "systemd", "-N")


class Unix(http.client.HTTPConnection):
    """HTTP over a UNIX socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=10)
        self.path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(self.path)


def port_of(run: Run) -> int:
    """The port that it says that it listens on."""
    run.err.hears("listening on tcp:127.0.0.1:")
    run.err.hears("\n")
    return int(run.err.text.partition(b"tcp:127.0.0.1:")[2].split()[0])


def get(port: int, path: str, method: str = "GET") -> tuple[int, str]:
    """The status and the body of the response."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        assert response.getheader("Connection") == "close"
        return response.status, response.read().decode()
    finally:
        connection.close()


def sockets(pid: int) -> int:
    """How many of them this process has open."""
    links = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            links.append(os.readlink(f"/proc/{pid}/fd/{name}"))
        except FileNotFoundError:
            pass  # closed meanwhile
    return sum(link.startswith("socket:") for link in links)


@pytest.fixture
def served(place: Place, shape: tuple[str, ...]) -> Iterator[tuple[Run, int]]:
    """A daemon that is starting, and the port where it is told how it is."""
    run = place.begin(*NOTIFY, *shape, "--health-listen", "tcp:127.0.0.1:0")
    port = port_of(run)
    # The daemon may be there before the watcher has opened its eyes; a connection waits for that.
    yield run, port
    run.puppet.tell("exit 0")
    assert run.ends() == 0
    place.nothing_remains()
    with pytest.raises(ConnectionRefusedError):
        get(port, "/livez")


def test_every_state_has_its_answer(served: tuple[Run, int]) -> None:
    run, port = served
    assert get(port, "/readyz") == (503, "starting: waits for READY=1\n")
    assert get(port, "/livez") == (200, "alive\n")
    for message, code, text in (
        ("STATUS=x\nREADY=1", 200, "ready"),
        ("RELOADING=1", 200, "reloading"),
        ("READY=1", 200, "ready"),
        ("STOPPING=1", 503, "stopping"),
        ("RELOADING=1", 503, "stopping"),
        ("READY=1", 200, "ready"),  # nobody has told it to stop, and it serves
    ):
        run.puppet.send(repr(message.encode()))
        assert get(port, "/readyz") == (code, f"{text}\n")
        assert get(port, "/livez") == (200, "alive\n")


HELPER_SAYS = """
if os.fork() == 0:
    send("b'MESSAGE'")
    os._exit(0)
os.wait()
"""


def test_a_helper_that_stops_ends_nothing(place: Place, shape: tuple[str, ...]) -> None:
    run = place.begin(*NOTIFY, *shape, "--notify-access", "all", "--health-listen", "tcp:127.0.0.1:0")
    port = port_of(run)
    for message, code in (("READY=1", 200), ("STOPPING=1", 200), ("RELOADING=1", 200)):
        run.puppet.do(HELPER_SAYS.replace("MESSAGE", message))
        assert get(port, "/readyz")[0] == code
    run.err.hears("says that it stops; it is not the main process")
    run.puppet.send("b'STOPPING=1'")
    assert get(port, "/readyz") == (503, "stopping\n")
    run.puppet.do(HELPER_SAYS.replace("MESSAGE", "READY=1"))  # only who has said that it stops takes it back
    assert get(port, "/readyz") == (503, "stopping\n")
    run.puppet.send("b'READY=1'")
    assert get(port, "/readyz") == (200, "ready\n")
    run.puppet.tell("exit 0")
    assert run.ends() == 0


def test_a_stop_signal_to_us_takes_readiness_back(place: Place) -> None:
    run = place.begin(*NOTIFY, "--supervise", "--health-listen", "tcp:127.0.0.1:0")
    port = port_of(run)
    run.puppet.send("b'READY=1'")
    assert get(port, "/readyz")[0] == 200
    run.process.send_signal(signal.SIGTERM)
    run.puppet.hear_signal(signal.SIGTERM)
    assert get(port, "/readyz") == (503, "stopping\n")
    run.puppet.send("b'READY=1'")  # whoever was told to stop does not come back
    assert get(port, "/readyz") == (503, "stopping\n")
    assert get(port, "/livez") == (200, "alive\n")


def test_all_that_is_waited_for_is_named(place: Place, shape: tuple[str, ...]) -> None:
    run = place.begin(
        *NOTIFY, *shape, "--ready-when", f"file:{place.folder}/there", "--health-listen", "tcp:127.0.0.1:0"
    )
    port = port_of(run)
    code, text = get(port, "/readyz")
    assert code == 503
    assert "READY=1" in text
    assert f"{place.folder}/there" in text
    assert text.count("\n") == 1


def test_a_daemon_that_gives_no_sign_of_life_is_not_alive(place: Place, shape: tuple[str, ...]) -> None:
    run = place.begin(*NOTIFY, *shape, "--watchdog", "0.2:60", "--health-listen", "tcp:127.0.0.1:0")
    port = port_of(run)
    run.puppet.do("signal.signal(signal.SIGABRT, lambda number, frame: None)")
    run.puppet.send("b'READY=1'")
    run.puppet.hear_signal(signal.SIGABRT)
    for path in ("/livez", "/readyz"):
        assert get(port, path) == (503, "no sign of life, or not enough of them (--watchdog)\n")


def test_a_daemon_that_says_that_it_has_failed_is_not_alive(served: tuple[Run, int]) -> None:
    run, port = served
    for message, code, text in (
        ("READY=1", 200, "alive"),
        ("ERRNO=28", 503, "it says that it has failed: No space left on device (ERRNO=28)"),
        ("STATUS=x", 503, "it says that it has failed: No space left on device (ERRNO=28)"),
        ("ERRNO=x", 503, "it says that it has failed: No space left on device (ERRNO=28)"),
        ("READY=1", 200, "alive"),
        ("ERRNO=2", 503, "it says that it has failed: No such file or directory (ERRNO=2)"),
        ("ERRNO=0", 200, "alive"),
    ):
        run.puppet.send(repr(message.encode()))
        assert get(port, "/livez") == (code, f"{text}\n")
        assert get(port, "/readyz") == (code, f"{text}\n" if code != 200 else "ready\n")


def test_a_helper_that_has_failed_is_not_the_service(place: Place, shape: tuple[str, ...]) -> None:
    run = place.begin(*NOTIFY, *shape, "--notify-access", "all", "--health-listen", "tcp:127.0.0.1:0")
    port = port_of(run)
    run.puppet.send("b'READY=1'")
    run.puppet.do(HELPER_SAYS.replace("MESSAGE", "ERRNO=5"))
    assert get(port, "/livez") == (200, "alive\n")


def test_programs_are_answered_in_json(served: tuple[Run, int]) -> None:
    run, port = served

    def facts(path: str, **fields: str) -> tuple[int, dict[str, object]]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", path, headers=fields)
            response = connection.getresponse()
            assert response.getheader("Content-Type") == "application/json"
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    told = {"service": "python3", "pid": run.puppet.pid}
    reason = "starting: waits for READY=1"
    assert facts("/readyz?json") == (
        503,
        {"ready": False, "alive": True, "state": "starting", "reason": reason, **told},
    )
    run.puppet.send("b'READY=1'")
    ready = {"ready": True, "alive": True, "state": "ready", "reason": "ready", **told}
    assert facts("/readyz", Accept="text/html, application/json;q=0.9") == (200, ready)
    assert facts("/livez?json") == (200, ready | {"reason": "alive"})
    run.puppet.send("b'ERRNO=2'")
    code, said = facts("/readyz?json")
    assert (code, said["ready"], said["alive"]) == (503, False, False)


def test_curl_and_its_options(served: tuple[Run, int]) -> None:
    need("curl")
    run, port = served
    curl = ("curl", "--silent", "--max-time", "10", "--noproxy", "*", f"http://127.0.0.1:{port}/readyz?verbose")
    assert subprocess.run([*curl, "--fail"], capture_output=True).returncode == 22
    run.puppet.send("b'READY=1'")
    for options in ((), ("--http1.0",), ("--head",), ("--http2-prior-knowledge",)):
        said = subprocess.run([*curl, "--fail", *options], capture_output=True)
        assert (said.returncode == 0) == (options != ("--http2-prior-knowledge",))
        if options == ("--head",):
            assert said.stdout.startswith(b"HTTP/1.1 200 OK\r\n")
            assert b"Content-Length: 6\r\n" in said.stdout
            assert said.stdout.endswith(b"\r\n\r\n")
        elif said.returncode == 0:
            assert said.stdout == b"ready\n"


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 404),
        (b"GET /readyz/ HTTP/1.1\r\n\r\n", 404),
        (b"POST /readyz HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", 405),
        (b"get /readyz HTTP/1.1\r\n\r\n", 405),
        (b"GET /readyz\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
        (b"\0\xff\n\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"GET /livez HTTP/1.0\n\n", 200),
        (b"GET /livez HTTP/1.1\r\nX: " + b"x" * HEAD_MAX, 431),
    ],
)
def test_what_else_may_come(place: Place, request_: bytes, code: int) -> None:
    run = place.begin(*NOTIFY, "--health-listen", "tcp:127.0.0.1:0")
    with socket.create_connection(("127.0.0.1", port_of(run)), 10) as client:
        client.sendall(request_[:7])
        client.sendall(request_[7:])
        response = b""
        while part := client.recv(4096):
            response += part
    assert response.startswith(b"HTTP/1.1 %d " % code)
    head, _, body = response.partition(b"\r\n\r\n")
    assert b"Content-Length: %d\r\n" % len(body) in head
    assert (b"Allow: GET, HEAD\r\n" in head) == (code == 405)


def test_clients_that_say_nothing_keep_nobody_out(served: tuple[Run, int]) -> None:
    run, port = served
    idlers = [socket.create_connection(("127.0.0.1", port), 10) for _ in range(CLIENTS + 5)]
    try:
        assert get(port, "/livez")[0] == 200
        assert sockets(run.observer) <= CLIENTS + OWN
        idlers[0].settimeout(PATIENCE_S / 2)
        assert idlers[0].recv(1) == b""  # the oldest gave way
    finally:
        for each in idlers:
            each.close()


def test_clients_that_say_nothing_are_not_kept(place: Place) -> None:
    run = place.begin(*NOTIFY, "--health-listen", "tcp:127.0.0.1:0")
    port = port_of(run)
    with (
        socket.create_connection(("127.0.0.1", port), 10) as silent,
        socket.create_connection(silent.getpeername()) as slow,
    ):
        slow.sendall(b"GET /livez")
        assert (silent.recv(1), slow.recv(1)) == (b"", b"")
    until(lambda: sockets(run.observer) <= OWN, "all are closed")


def test_it_costs_nothing_while_nobody_asks(served: tuple[Run, int]) -> None:
    run, port = served
    run.puppet.send("b'READY=1'")
    assert get(port, "/readyz")[0] == 200
    observer = run.observer

    def sleeps_on() -> bool:
        before = wakeups(observer)
        with pytest.raises(subprocess.TimeoutExpired):
            run.process.wait(1)
        return wakeups(observer) == before

    until(sleeps_on, "all is dealt with, and from then on nothing wakes it", 20)


def test_a_unix_socket_serves_as_well_and_is_removed(place: Place, shape: tuple[str, ...]) -> None:
    path = place.folder / "health"
    run = place.begin(*NOTIFY, *shape, "--health-listen", f"unix:{path}")
    connection = Unix(path)
    connection.request("GET", "/readyz")
    response = connection.getresponse()
    assert (response.status, response.read()) == (503, b"starting: waits for READY=1\n")
    connection.close()
    run.puppet.tell("exit 0")
    run.ends()
    place.nothing_remains()
    assert not path.exists()


def test_the_daemon_gets_its_own_sockets_and_not_this_one(place: Place, shape: tuple[str, ...]) -> None:
    run = place.begin(*(*NOTIFY, *shape, "--listen", f"unix:{place.folder}/web", "--health-listen", "tcp:127.0.0.1:0"))
    port = port_of(run)
    given = {fd for fd, link in run.puppet.hello["fds"].items() if link.startswith("socket:")}
    assert given == {"3"}
    assert get(port, "/livez")[0] == 200
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"{place.folder}/web")


def test_a_daemon_that_cannot_be_run_leaves_no_path(place: Place, shape: tuple[str, ...]) -> None:
    path, bad = place.folder / "health", place.folder / "bad"
    bad.write_text("#!/nonexistent\n")
    bad.chmod(0o755)
    made = place.spawn(*NOTIFY, *shape, "--health-listen", f"unix:{path}", command=(str(bad),))
    assert made.ends() == 127
    place.nothing_remains()
    assert not path.exists()


def test_a_port_that_is_taken_is_said_before_the_daemon_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"tcp:127.0.0.1:{server.getsockname()[1]}"
        result = run("--init", "none", *NOTIFY, "--health-listen", address, "--", "/bin/echo")
    assert (result.status, result.out) == (125, b"")
    assert result.line.startswith(f"--health-listen {address}: cannot listen there: Address already in use; ")


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (("-t", "systemd", "--health-listen", "tcp::0"), "has to be asked for with -N"),
        (("-t", "systemd", "--state-file", "state"), "has to be asked for with -N"),
        ((*NOTIFY, "--end-after-ready", "--health-listen", "tcp::0"), "needs somebody who stays"),
        ((*NOTIFY, "--health-listen", "udp::0"), "--health-listen udp::0: HTTP is served on tcp:"),
        ((*NOTIFY, "--health-listen", "web=tcp::0"), "without a name"),
        ((*NOTIFY, "--health-listen", "8080"), "--health-listen 8080: 8080 is no kind of socket"),
        ((*NOTIFY, "--state-file", "/nonexistent/state"), "/nonexistent is not there"),
    ],
)
def test_what_cannot_be_asked_for(options: tuple[str, ...], part: str) -> None:
    result = run("--init", "none", *options, "--", "/bin/echo")
    assert (result.status, result.out) == (125, b"")
    assert part in result.line


@pytest.mark.parametrize("options", [("-t", "upstart", "-N"), ("-t", "sysv", "--ready-when", "listening")])
def test_every_kind_of_daemon_is_answered_for_where_nobody_would_stay(options: tuple[str, ...]) -> None:
    for init in ("none", "systemd", "upstart", "sysv"):
        explained = run("--init", init, *options, "--health-listen", "tcp::0", "--explain", "--", "/bin/true")
        assert b"shape       supervise: " in explained.out
        assert b"probes: GET /readyz and /livez are answered on tcp::0\n" in explained.out


def test_a_state_file_is_kept_on_any_init(place: Place, shape: tuple[str, ...]) -> None:
    run = place.begin(*NOTIFY, *shape, "--state-file", "state")
    state, pid = str(place.folder / "state"), run.puppet.pid
    until(lambda: ask(state)[0] == 1 and "starting since " in ask(state)[1], "it is noted")
    for message, code, text in (
        ("READY=1", 0, "ready"),
        ("RELOADING=1", 0, "reloading"),
        ("STOPPING=1", 1, "stopping"),
    ):
        run.puppet.send(repr(message.encode()))
        assert ask(state) == (code, f"{text} (PID {pid})\n", "")
    run.puppet.tell("exit 0")
    run.ends()
    assert ask(state) == (1, f"not running: process {pid}, which was stopping, has ended\n", "")
