"""Daemons for other inits under the real inetd, xinetd and UCSPI servers: a client's connection, or the socket."""

import os
import signal
import socket
import subprocess
import uuid
from pathlib import Path

import pytest

from tests.support import superservers
from tests.support.own import free_port
from tests.support.packages import unpacked
from tests.support.puppet import Puppet
from tests.support.superservers import Place, Server, serving
from tests.support.waiting import until

# Server: its name as the parent, the families of its connections, and whether standard error is the client's.
SERVERS: dict[str, tuple[Server, str, tuple[str, ...], bool]] = {
    "openbsd-inetd": (superservers.openbsd, "inetd", ("inet", "inet6", "unix"), True),
    "inetutils-inetd": (superservers.inetutils, "inetutils-inetd", ("inet",), True),
    "xinetd": (superservers.xinetd, "xinetd", ("inet", "inet6"), True),
    "tcpserver": (superservers.tcpserver, "tcpserver", ("inet",), False),
    "tcpserver-ipv6": (superservers.tcpserver6, "tcpserver", ("inet6",), False),
    "tcpsvd": (superservers.tcpsvd, "tcpsvd", ("inet",), False),
    "unixserver": (superservers.unixserver, "unixserver", ("unix",), False),
    "s6-ipcserver": (superservers.s6_ipcserver, "s6-ipcserverd", ("unix",), False),
    "s6-tcpserver": (superservers.s6_tcpserver, "s6-tcpserver", ("inet", "inet6"), False),
}
INETDS = [name for name, (_, _, _, all_three) in SERVERS.items() if all_three]
CASES = [(name, family) for name, (_, _, families, _) in SERVERS.items() for family in families]
# What describes a connection and is not systemd's.
FOREIGN = ("TCP", "IPC", "UNIX", "PROTO", "REMOTE_HOST")


def comm(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().rstrip("\n")


def greet(puppet: Puppet, fd: int) -> None:
    """Have it answer the client on this descriptor, and write where no client may read it."""
    puppet.do("import socket, os")
    puppet.do("os.write(1, b'private: words\\n'); os.write(2, b'private: secrets\\n')")
    puppet.do(f"client = socket.socket(fileno={fd}); client.sendall(b'hello ' + client.recv(100)); client.close()")


@pytest.mark.parametrize(("name", "family"), CASES)
def test_a_daemon_for_systemd_gets_the_connection_and_the_client_nothing_else(
    name: str, family: str, tmp_path: Path
) -> None:
    server, parent, _, all_three = SERVERS[name]
    with serving(server, tmp_path, "-t", "systemd", family=family) as running:
        with running.place.client() as client:
            client.sendall(b"world")
            puppet = running.stage.puppet()
            assert comm(puppet.hello["parent"]).startswith(parent)
            environ, fds = puppet.environ, puppet.hello["fds"]
            assert (environ["LISTEN_FDS"], environ["LISTEN_FDNAMES"]) == ("1", "connection")
            assert environ["LISTEN_PID"] == str(puppet.pid)
            assert not [variable for variable in environ if variable.startswith(FOREIGN)]
            if family != "unix":
                address = client.getsockname()
                assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == (address[0], str(address[1]))
            assert fds["3"].startswith("socket:")
            assert fds["0"] == "/dev/null"
            assert fds["1"] == fds["2"] != fds["3"]
            greet(puppet, 3)
            puppet.tell("exit 0")
            puppet.last_words()
            assert client.makefile("rb").read() == b"hello world"
        if all_three:
            assert running.logged("private: ") == "private: words\n"
            assert running.logged("private: ") == "private: secrets\n"
        else:
            assert running.said.endswith("private: words\nprivate: secrets\n")


@pytest.mark.parametrize("name", INETDS)
def test_with_wait_a_daemon_for_systemd_gets_the_socket(name: str, tmp_path: Path) -> None:
    with serving(SERVERS[name][0], tmp_path, "-t", "systemd", "-N", wait=True) as running:
        with running.place.client() as client:
            puppet = running.stage.puppet()
            assert puppet.environ["LISTEN_FDNAMES"] == "unknown"
            assert "REMOTE_ADDR" not in puppet.environ
            running.logged("cross-init-bridge: telling that the daemon is ready: inetd waits for no daemon")
            puppet.send(repr(b"READY=1\nSTATUS=at work"))
            said = [running.logged("<30>").partition("]: ")[2] for _ in range(2)]
            assert [line.partition(" ")[0] for line in sorted(said)] == ["ready", "status:"]
            puppet.do("import socket; listening = socket.socket(fileno=3); client, _ = listening.accept()")
            puppet.do("client.sendall(b'hello'); client.close()")
            assert client.makefile("rb").read() == b"hello"
        puppet.tell("exit 0")
        puppet.last_words()
        with running.place.client():  # given back to the server, which starts the next one
            second = running.stage.puppet()
            assert second.pid != puppet.pid
            second.do("import socket; socket.socket(fileno=3).accept()")


@pytest.mark.parametrize("name", INETDS)
def test_with_wait_datagrams_arrive(name: str, tmp_path: Path) -> None:
    with (
        serving(SERVERS[name][0], tmp_path, "-t", "systemd", kind="dgram", wait=True) as running,
        running.place.client() as client,
    ):
        puppet = running.stage.puppet()
        puppet.do("import socket; s = socket.socket(fileno=3)")
        puppet.do("while not (found := s.recvfrom(100))[0]: pass")
        puppet.do("s.sendto(b'hello ' + found[0], found[1])")
        assert client.recv(100) == b"hello first"


def test_with_wait_a_daemon_for_upstart_gets_the_socket_but_never_a_connection(tmp_path: Path) -> None:
    (tmp_path / "wait").mkdir()
    with (
        serving(superservers.xinetd, tmp_path / "wait", "-t", "upstart", wait=True) as running,
        running.place.client() as client,
    ):
        puppet = running.stage.puppet()
        assert puppet.environ["UPSTART_FDS"] == "3"
        assert puppet.environ["PORT"] == str(running.place.port)
        client.sendall(b"world")
        puppet.tell("serve")
        assert client.makefile("rb").read() == b"hello world"
        puppet.hear("served")
    (tmp_path / "nowait").mkdir()
    with (
        serving(superservers.xinetd, tmp_path / "nowait", "-t", "upstart") as running,
        running.place.client() as client,
    ):
        assert client.makefile("rb").read() == b""  # the reason is not the client's business
        assert "it is a connection" in running.logged("cross-init-bridge: passing fd 0 (tcp:127.0.0.1:")
        assert running.stage.is_empty()


def test_the_variables_of_another_connection_are_not_passed_on(tmp_path: Path) -> None:
    # GNU inetd leaves a wait service what it has said of the last nowait connection.
    other = free_port()

    def with_another(place: Place, words: list[str]) -> list[str]:
        command = superservers.inetutils(place, words)
        configuration = tmp_path / "inetd.conf"
        line = f"127.0.0.1:{other} stream tcp nowait root /bin/cat cat\n"
        configuration.write_text(line + configuration.read_text())
        return command

    def answered() -> bool:
        try:
            with socket.create_connection(("127.0.0.1", other), 5) as client:
                client.sendall(b"x")
                return client.recv(1) == b"x"
        except OSError:
            return False

    with serving(with_another, tmp_path, "-t", "systemd", wait=True) as running:
        until(answered, "the other service answers")
        with running.place.client():
            puppet = running.stage.puppet()
            assert not [variable for variable in puppet.environ if variable.startswith(FOREIGN)]
            puppet.do("import socket; socket.socket(fileno=3).accept()")


def test_a_daemon_for_inetd_gets_it_where_it_was(tmp_path: Path) -> None:
    with serving(superservers.tcpserver, tmp_path, "-t", "inetd:nowait") as running, running.place.client() as client:
        client.sendall(b"world")
        puppet = running.stage.puppet()
        fds, environ = puppet.hello["fds"], puppet.environ
        assert fds["0"] == fds["1"] != fds["2"]
        address = client.getsockname()
        assert (environ["PROTO"], environ["TCPREMOTEIP"]) == ("TCP", address[0])
        assert environ["TCPREMOTEPORT"] == str(address[1])
        assert environ["TCPLOCALPORT"] == str(running.place.port)
        puppet.do("import os; os.write(1, b'hello ' + os.read(0, 100))")
        puppet.tell("exit 0")
        puppet.last_words()
        assert client.makefile("rb").read() == b"hello world"


def test_uuidd_which_is_written_for_systemds_sockets_serves_under_inetd(tmp_path: Path) -> None:
    uuidd = str(unpacked("uuid-runtime") / "usr/sbin/uuidd")
    daemon = (uuidd, "--socket-activation")
    with serving(superservers.openbsd, tmp_path, "-t", "systemd", family="unix", wait=True, daemon=daemon) as running:
        until((tmp_path / "served").exists, "inetd listens")
        asked = [
            subprocess.run([uuidd, "-s", tmp_path / "served", "-r"], capture_output=True, text=True, timeout=15).stdout
            for _ in range(2)
        ]
        (pid,) = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
        os.kill(int(pid), signal.SIGTERM)
        until(lambda: not Path(f"/proc/{pid}").exists(), "it ends")
    first, second = (uuid.UUID(line.strip()) for line in asked)
    assert first != second


def test_it_is_explained(tmp_path: Path) -> None:
    with (
        serving(superservers.tcpserver, tmp_path, "-t", "systemd", "-N", "--explain") as running,
        running.place.client() as client,
    ):
        said = client.makefile("r").read().splitlines()
    assert said[0] == f"init        inetd, because the parent process {running.pid} is tcpserver"
    assert "gets lost   readiness: inetd waits for no daemon to be ready; it goes to syslog" in said
