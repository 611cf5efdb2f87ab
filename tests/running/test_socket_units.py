"""Socket units that cross-init run opens: what fails, what is turned away, what is left behind."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.command import BRIDGE, PATH
from tests.support.own import free_port
from tests.support.packages import need
from tests.support.waiting import until

FRONT_DOOR = str(BRIDGE).removesuffix("-bridge")
NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
COMMANDS = """
ExecStartPre=LOG pre
ExecStartPost=LOG post
ExecStopPre=LOG before
ExecStopPost=LOG after
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a service that says that it has run, and ends."""
    (tmp_path / "a.service").write_text(f"[Service]\nExecStart=/bin/sh -c 'echo main >>{tmp_path}/log'\n")
    return tmp_path


def socket_unit(folder: Path, lines: str) -> None:
    log = f'/bin/sh -c \'echo "$$0" >>{folder}/log; exit "$${{1:-0}}"\''
    (folder / "a.socket").write_text(f"[Socket]\n{lines.replace('LOG', log).replace('FOLDER', str(folder))}\n")


def ran(folder: Path, *options: str) -> tuple[int, str, list[str]]:
    """Exit code, what was said, and what the commands have noted."""
    words = [FRONT_DOOR, "run", "--init", "none", *options, f"{folder}/a.service"]
    done = subprocess.run(words, env={"PATH": PATH}, capture_output=True, text=True, timeout=60, check=False)
    log = folder / "log"
    return done.returncode, done.stderr, log.read_text().split() if log.exists() else []


def test_commands_are_run_around_the_sockets(folder: Path) -> None:
    socket_unit(folder, f"ListenStream=FOLDER/socket{COMMANDS}RemoveOnStop=yes")
    assert ran(folder) == (0, "", ["pre", "post", "main", "before", "after"])
    assert not (folder / "socket").exists()


@pytest.mark.parametrize(
    ("which", "noted"),
    [("pre", ["pre"]), ("post", ["pre", "post", "before", "after"])],
)
def test_a_command_that_fails_is_the_end_of_it(folder: Path, which: str, noted: list[str]) -> None:
    lines = COMMANDS.replace(f"LOG {which}", f"LOG {which} 7")
    socket_unit(folder, f"ListenStream=FOLDER/socket{lines}RemoveOnStop=yes\nSymlinks=FOLDER/link")
    code, said, log = ran(folder)
    assert (code, log) == (7, noted)
    assert f"ExecStart{which.title()}=/bin/sh: it failed (exit code 7), so there is no socket" in said
    assert not (folder / "socket").exists()
    assert not (folder / "link").is_symlink()


def test_a_stop_does_not_cut_short_what_comes_at_the_end(folder: Path) -> None:
    lines = COMMANDS.replace("LOG before", "/bin/sh -c 'kill -TERM $$PPID; sleep 0.1'\nExecStopPre=LOG before")
    socket_unit(folder, f"ListenStream=FOLDER/socket{lines}RemoveOnStop=yes")
    assert ran(folder) == (0, "", ["pre", "post", "main", "before", "after"])
    assert not (folder / "socket").exists()


def test_a_stop_before_the_service_is_started_removes_its_sockets_paths(folder: Path) -> None:
    socket_unit(folder, "ListenStream=FOLDER/socket\nRemoveOnStop=yes")
    (folder / "a.service").write_text(
        f"[Service]\nExecStartPre=/bin/sh -c 'test -S {folder}/socket && echo pre >>{folder}/log; kill -TERM $$PPID; "
        f"sleep 60'\nExecStart=/bin/false\nExecStopPost=/bin/sh -c 'echo after >>{folder}/log'\n"
    )
    assert ran(folder) == (-signal.SIGTERM, "", ["pre", "after"])
    assert not (folder / "socket").exists()


@pytest.mark.parametrize("commands", ["", COMMANDS])
def test_so_does_one_before_a_client_has_come(folder: Path, commands: str) -> None:
    socket_unit(folder, f"ListenStream=FOLDER/socket{commands}\nRemoveOnStop=yes")
    words = [FRONT_DOOR, "run", "--init", "none", "--wait-for-client", f"{folder}/a.service"]
    process = subprocess.Popen(words, env={"PATH": PATH}, stderr=subprocess.PIPE, text=True)
    log = folder / "log"
    until((folder / "socket").exists, "the socket is there")
    until(lambda: not commands or (log.exists() and "post" in log.read_text()), "it waits")
    process.terminate()
    assert (process.communicate(timeout=60)[1], process.returncode) == ("", -signal.SIGTERM)
    assert not (folder / "socket").exists()
    assert not commands or log.read_text().split() == ["pre", "post", "before", "after"]


def test_one_that_may_fail_is_no_matter(folder: Path) -> None:
    socket_unit(folder, "ListenFIFO=FOLDER/fifo\nExecStartPre=-LOG pre 3\nExecStopPost=LOG after 3")
    code, said, log = ran(folder)
    assert (code, log) == (0, ["pre", "main", "after"])
    assert "ExecStopPost=/bin/sh: it failed (exit code 3)" in said


def test_where_the_sockets_cannot_be_had_the_last_ones_are_run(folder: Path) -> None:
    socket_unit(folder, f"ListenSpecial=FOLDER/nothing{COMMANDS}")
    code, said, log = ran(folder)
    assert (code, log) == (125, ["pre", "before", "after"])
    assert f"{folder}/a.socket:2: cannot listen there: No such file or directory" in said


def test_one_that_takes_too_long_is_ended(folder: Path) -> None:
    socket_unit(folder, "ListenStream=FOLDER/socket\nExecStartPre=/bin/sleep 1000\nTimeoutSec=100ms")
    code, said, log = ran(folder)
    assert (code, log) == (125, [])
    assert "ExecStartPre=/bin/sleep: it took too long" in said


@NEEDS_ROOT
def test_without_commands_it_is_no_matter_as_whom_they_would_run(folder: Path) -> None:
    socket_unit(folder, "ListenStream=FOLDER/socket\nUser=no-such-user\nProtectSystem=strict")
    assert ran(folder) == (0, "", ["main"])


FORKS = """
import os, socket
sock = socket.socket(fileno=int(os.environ["LISTEN_FDS"]) + 2)
told = os.environ["LISTEN_PID"] == str(os.getpid())
if os.fork():
    os._exit(0)
os.setsid()
while True:
    client, _ = sock.accept()
    client.sendall(b"x" if told else b"y")
    client.close()
"""


@contextmanager
def client_of_ready(folder: Path, port: int) -> Iterator[socket.socket]:
    """A client of the folder's service once that is ready; behind it the service is stopped, and its port closed."""
    words = [FRONT_DOOR, "run", "--init", "none", f"{folder}/a.service"]
    process = subprocess.Popen(words, env={"PATH": PATH}, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        assert "is ready" in process.stderr.readline()
        with clients(port, 1)[0] as client:
            client.settimeout(30)
            yield client
    finally:
        process.terminate()
        process.communicate(timeout=60)
    with pytest.raises(ConnectionRefusedError):
        clients(port, 1)


def test_a_daemon_that_forks_away_has_the_sockets(folder: Path) -> None:
    port = free_port()
    (folder / "forks.py").write_text(FORKS)
    command = f"/usr/bin/python3 -IS {folder}/forks.py"
    (folder / "a.service").write_text(f"[Service]\nType=forking\nExecStart={command}\n")
    socket_unit(folder, f"ListenStream=127.0.0.1:{port}")
    with client_of_ready(folder, port) as client:
        assert client.recv(1) == b"x"


@NEEDS_ROOT
def test_gpsd_which_forks_away_serves_by_its_units_sockets(folder: Path) -> None:
    need("gpsd")
    port = free_port()
    (folder / "a.service").write_text("[Service]\nType=forking\nExecStart=/usr/sbin/gpsd\n")
    socket_unit(folder, f"ListenStream=FOLDER/gpsd.sock\nListenStream=127.0.0.1:{port}\nSocketMode=0600")
    with client_of_ready(folder, port) as client:
        assert b'"class":"VERSION"' in client.recv(1000)


def test_another_services_socket_is_none_of_its(folder: Path) -> None:
    socket_unit(folder, "ListenStream=FOLDER/socket\nService=b.service")
    (folder / "b.service").write_text(f"[Service]\nExecStart=/bin/sh -c 'echo $$LISTEN_FDS >>{folder}/log'\n")
    words = [FRONT_DOOR, "run", "--init", "none", f"{folder}/a.socket"]
    subprocess.run(words, env={"PATH": PATH}, timeout=60, check=True)
    assert (folder / "log").read_text() == "1\n"


def test_a_socket_of_another_name_is_its_if_it_says_so(folder: Path) -> None:
    for name, lines in {
        "admin": "Service=a.service",
        "later": "Service=a.service",
        "other": "Service=b.service",
        "bus": "",
        "a": "Service=b.service",
    }.items():
        (folder / f"{name}.socket").write_text(f"[Socket]\nListenStream={folder}/{name}.sock\n{lines}\n")
    (folder / "a.service").write_text(
        "[Unit]\nRequires=admin.socket other.socket\nWants=bus.socket\nBindsTo=missing.socket\n"
        f"[Service]\nExecStart=/bin/sh -c 'echo $$LISTEN_FDS $$LISTEN_FDNAMES >>{folder}/log'\n"
        "[Install]\nAlso=later.socket\n"
    )
    code, said, log = ran(folder)
    assert (code, log) == (0, ["2", "admin.socket:later.socket"]), said


@pytest.mark.parametrize(
    ("form", "what"),
    [
        ("tcp:127.0.0.1:0,protocol=udplite", "protocol=udplite is for udp:"),
        ("mqueue:/x,max-messages=3", "max-messages and message-size go together"),
        ("netlink:nobody", "nobody: write netlink:FAMILY"),
        ("vsock:here:1", "here:1: write vsock:CID:PORT"),
        ("special:here", "here is no absolute path; write"),
        ("tcp:127.0.0.1:0,device=no-such-if", "cannot listen there: device=no-such-if: No such device"),
        ("unix:/run/x,symlink=here", "symlink=here: write symlink= and an absolute path"),
        ("fifo:/run/x,no-delay", "no-delay is for tcp:"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(form: str, what: str) -> None:
    words = [str(BRIDGE), "-t", "systemd", "--init", "none", "--listen", form, "--", "/bin/true"]
    done = subprocess.run(words, env={"PATH": PATH}, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 125
    assert f"--listen {form}: {what}" in done.stderr
    assert done.stderr.count("\n") == 1


def test_what_the_kernel_refuses_to_set_is_said_and_the_socket_is_there() -> None:
    form = "tcp:127.0.0.1:0,congestion=no-such-thing"
    words = [
        str(BRIDGE),
        "-t",
        "systemd",
        "--init",
        "none",
        "--listen",
        form,
        "--",
        "/bin/sh",
        "-c",
        "echo $LISTEN_FDS",
    ]
    done = subprocess.run(words, env={"PATH": PATH}, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "1\n")
    assert f"--listen {form}: congestion: No such file or directory; the socket is without it" in done.stderr


@contextmanager
def serving(folder: Path, lines: str, command: str = "/bin/cat", more: str = "") -> Iterator[int]:
    """A service for each client, on this port. more: of its unit; it is said what it is without."""
    port = free_port()
    (folder / "e@.service").write_text(f"[Service]\nExecStart={command}\nStandardInput=socket\n{more}")
    (folder / "e.socket").write_text(f"[Socket]\nListenStream=127.0.0.1:{port}\nAccept=yes\n{lines}\n")
    words = [FRONT_DOOR, "run", "--init", "none", f"{folder}/e.socket"]
    process = subprocess.Popen(words, env={"PATH": PATH}, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        if more:
            assert "weaker, as each client's daemon is ended without these: RuntimeMaxSec=" in process.stderr.readline()
        assert "is ready" in process.stderr.readline()
        yield port
    finally:
        process.terminate()
        process.communicate(timeout=60)


def answers(client: socket.socket) -> bool:
    """Whether somebody serves it."""
    client.settimeout(30)
    try:
        client.sendall(b"x")
        return client.recv(1) == b"x"
    except ConnectionError:
        return False


def clients(port: int, count: int, host: str = "127.0.0.1") -> list[socket.socket]:
    return [socket.create_connection(("127.0.0.1", port), 30, (host, 0)) for _ in range(count)]


@pytest.mark.parametrize("said", ["yes", "no"])
def test_a_client_blocks_as_its_unit_says_which_may_say_how_it_is_ended(folder: Path, said: str) -> None:
    more = f"NonBlocking={said}\nKillMode=mixed\nTimeoutStopSec=5s\nRuntimeMaxSec=1h\n"
    seen = "import fcntl, os; print(bool(fcntl.fcntl(0, fcntl.F_GETFL) & os.O_NONBLOCK))"
    with serving(folder, "", f"/usr/bin/python3 -IS -c '{seen}'", more) as port, clients(port, 1)[0] as client:
        client.settimeout(30)
        assert client.makefile().read() == f"{said == 'yes'}\n"


def test_of_one_host_so_many_are_served(folder: Path) -> None:
    with serving(folder, "MaxConnections=3\nMaxConnectionsPerSource=2") as port:
        ours = clients(port, 3)
        assert [answers(each) for each in ours] == [True, True, False]
        theirs = clients(port, 2, "127.0.0.2")
        assert [answers(each) for each in theirs] == [True, False]
        ours[0].close()

        def is_served() -> bool:
            with clients(port, 1)[0] as another:
                return answers(another)

        until(is_served, "there is room again")
        for each in (*ours, *theirs):
            each.close()


SHOW = "import os, socket; os.write(1, str(socket.socket(fileno=0).getsockopt(1, 8)).encode())"


def test_clients_come_by_any_of_several_sockets_and_each_has_its_buffers(folder: Path) -> None:
    (folder / "show.py").write_text(SHOW)
    lines = f"ListenStream={folder}/socket\nReceiveBuffer=32K"
    with serving(folder, lines, f"/usr/bin/python3 -IS {folder}/show.py") as port:
        with clients(port, 1)[0] as client:
            assert client.recv(100) == b"65536"
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(30)
            client.connect(f"{folder}/socket")
            assert client.recv(100) == b"65536"


def test_what_only_run_does_is_said_where_it_is_translated(folder: Path) -> None:
    socket_unit(folder, f"ListenStream=FOLDER/socket{COMMANDS}")
    words = [FRONT_DOOR, "translate", "--to", "s6", f"{folder}/a.service"]
    for more, said in (([], ""), (["--expand"], "[Socket] ExecStartPre=, [Socket] ExecStartPost=")):
        done = subprocess.run(
            [*words, *more], env={"PATH": PATH}, capture_output=True, text=True, timeout=60, check=True
        )
        assert said in done.stderr
        assert bool(said) == ("[Socket]" in done.stderr)


def test_what_is_not_set_is_said_with_the_units_line(folder: Path) -> None:
    socket_unit(folder, f"ListenStream=127.0.0.1:{free_port()}\nTCPCongestion=no-such-thing")
    code, said, log = ran(folder)
    assert (code, log) == (0, ["main"])
    assert f"{folder}/a.socket:2: congestion: No such file or directory; the socket is without it" in said
