"""Sockets under a real s6-supervise: socketbinders, what an s6-fdholder holds, and s6's own super-servers."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cross_init.errors import Failure
from cross_init.systems.s6 import Init
from tests.matrix.directories import S6, directory
from tests.support.command import PATH
from tests.support.own import free_port
from tests.support.packages import need
from tests.support.puppet import Puppet, Stage, stage
from tests.support.superservers import s6_networking
from tests.support.waiting import until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for s6")
PUPPET = str(Path(__file__).resolve().parents[1] / "daemons" / "puppet.py")
LONGEST_S = 15


class Service:
    """One service on s6."""

    def __init__(self, folder: Path, driver: S6, where: Stage) -> None:
        self.folder = folder
        self.driver = driver
        self.stage = where
        self.served = folder / "served"

    def run(self, before: list[str], *options: str, daemon: tuple[str, ...] = ()) -> None:
        """Start it. before: what stands before the bridge in its run script. daemon: instead of a puppet."""
        puppet = ("/usr/bin/python3", "-IS", PUPPET, str(self.folder / "stage"))
        self.driver.install([*before, self.driver.bridge, *options, "--", *(daemon or puppet)])
        self.driver.begin()

    @property
    def log(self) -> str:
        """What it has said on standard error."""
        return (self.folder / "log").read_text()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """One that is not started yet."""
    with directory(S6, tmp_path) as driver, stage(tmp_path / "stage") as where:
        assert isinstance(driver, S6)
        try:
            yield Service(tmp_path, driver, where)
        except BaseException:
            if (tmp_path / "log").exists():
                print((tmp_path / "log").read_text())
            raise


def connect(address: Path | tuple[str, int]) -> socket.socket:
    """A client of this address, as soon as somebody listens there."""
    made: list[socket.socket] = []

    def connected() -> bool:
        try:
            if isinstance(address, tuple):
                made.append(socket.create_connection(address, LONGEST_S))
            else:
                made.append(socket.socket(socket.AF_UNIX))
                made[-1].settimeout(LONGEST_S)
                made[-1].connect(str(address))
        except OSError:
            return False
        return True

    until(connected, f"somebody listens at {address}")
    return made[-1]


def greet(puppet: Puppet, fd: int, client: socket.socket) -> None:
    """Have it accept the client on this descriptor and answer."""
    puppet.do("import socket, os")
    puppet.do(f"os.set_blocking({fd}, True); s = socket.socket(fileno={fd}); c, _ = s.accept(); c.sendall(b'hello')")
    assert client.recv(100) == b"hello"


def is_served(service: Service, client: socket.socket) -> None:
    """A daemon for systemd has the socket that the client has come to, and gets ready."""
    puppet = service.stage.puppet()
    service.driver.shows_main(puppet.pid)
    assert puppet.environ["LISTEN_PID"] == str(puppet.pid)
    assert puppet.hello["fds"]["0"] == "/dev/null"
    with client:
        greet(puppet, 3, client)
    puppet.send(repr(b"READY=1"))
    until(service.driver.is_ready, "s6 says that it is ready")


def test_the_socket_of_s6_ipcserver_socketbinder(service: Service) -> None:
    service.run(["s6-ipcserver-socketbinder", str(service.served)], "-t", "systemd", "-N")
    is_served(service, connect(service.served))


@pytest.mark.parametrize(
    ("programs", "host"),
    [
        (("s6-tcpserver-socketbinder", "s6-tcpserver4-socketbinder"), "127.0.0.1"),
        (("s6-tcpserver-socketbinder", "s6-tcpserver6-socketbinder"), "::1"),
    ],
)
def test_the_socket_of_s6_tcpserver_socketbinder(service: Service, programs: tuple[str, str], host: str) -> None:
    port = free_port(host=host)
    service.run([s6_networking(*programs), host, str(port)], "-t", "systemd", "-N")
    is_served(service, connect((host, port)))


@contextmanager
def holder(folder: Path, *names: str) -> Iterator[Path]:
    """A real s6-fdholder that holds listening sockets with these names, at folder/NAME; gives its own socket."""
    need("s6")
    path, rules = folder / "holder", folder / "rules/uid/0"
    (rules / "env").mkdir(parents=True)
    (rules / "allow").touch()
    for variable, value in {"GETDUMP": "1", "LIST": "1", "STORE_REGEX": ".*", "RETRIEVE_REGEX": ".*"}.items():
        (rules / "env" / f"S6_FDHOLDER_{variable}").write_text(f"{value}\n")
    words = ["s6-fdholder-daemon", "-i", str(folder / "rules"), str(path)]
    with subprocess.Popen(words, env={"PATH": PATH}, stdin=subprocess.DEVNULL) as process:
        try:
            until(path.exists, "the holder is there")
            for name in names:
                place = str(folder / name.replace("/", "_"))
                store = ["s6-ipcserver-socketbinder", place, "s6-fdholder-store", str(path), name]
                until(
                    lambda store=store, place=place: again(store, Path(place)) == 0,  # type: ignore[misc]
                    f"the holder takes {name}",
                )
            yield path
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(LONGEST_S)
            finally:
                process.kill()


def again(words: list[str], place: Path) -> int:
    """Run this until the holder is up: its socket is there before it listens."""
    place.unlink(missing_ok=True)
    return subprocess.run(words, env={"PATH": PATH}, timeout=LONGEST_S).returncode


def test_the_socket_that_s6_fdholder_retrieve_got(service: Service, tmp_path: Path) -> None:
    with holder(tmp_path, "unix:web") as path:
        service.run(["s6-fdholder-retrieve", str(path), "unix:web"], "-t", "systemd", "-N")
        is_served(service, connect(tmp_path / "unix:web"))


def test_all_that_s6_fdholder_getdump_got_by_name(service: Service, tmp_path: Path) -> None:
    with holder(tmp_path, "web", "admin") as path:
        service.run(["s6-fdholder-getdump", str(path)], "-t", "systemd")
        puppet = service.stage.puppet()
        environ = puppet.environ
        assert environ["LISTEN_FDS"] == "2"
        assert not [variable for variable in environ if variable.startswith("S6_FD")]
        for number, name in enumerate(environ["LISTEN_FDNAMES"].split(":"), 3):
            with connect(tmp_path / name) as client:
                greet(puppet, number, client)
        assert sorted(environ["LISTEN_FDNAMES"].split(":")) == ["admin", "web"]
        sockets = [number for number, what in puppet.hello["fds"].items() if what.startswith("socket:")]
        assert sorted(sockets) == ["3", "4"]


def test_gpg_agent_finds_its_sockets_by_the_names_that_a_holder_has(service: Service, tmp_path: Path) -> None:
    need("gpg-agent", "gpgconf")
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    with holder(tmp_path, "std", "ssh") as path:
        (home / "S.gpg-agent").symlink_to(tmp_path / "std")
        before = ["env", f"GNUPGHOME={home}", "s6-fdholder-getdump", str(path)]
        service.run(before, "-t", "systemd", daemon=("gpg-agent", "--supervised"))
        with connect(tmp_path / "std") as client, client.makefile("rwb", 0) as lines:
            assert lines.readline().startswith(b"OK")
            lines.write(b"GETINFO pid\n")
            assert lines.readline() == b"D %d\n" % service.driver.main_pid()
        assert "listening on: std=" in service.log
        assert "ssh=-1" not in service.log
        service.driver.stop()


def test_one_of_them_by_its_name(service: Service, tmp_path: Path) -> None:
    with holder(tmp_path, "web", "admin") as path:
        service.run(["s6-fdholder-getdump", str(path)], "-t", "inetd:wait", "--socket", "admin")
        puppet = service.stage.puppet()
        with connect(tmp_path / "admin") as client:
            greet(puppet, 0, client)
        sockets = [number for number, what in puppet.hello["fds"].items() if what.startswith("socket:")]
        assert sorted(sockets) == ["0", "1"]  # the other one is closed


def test_each_client_of_a_socket_that_was_held_gets_a_daemon(service: Service, tmp_path: Path) -> None:
    with holder(tmp_path, "web") as path:
        service.run(["s6-fdholder-retrieve", str(path), "web"], "-t", "inetd:nowait", "-N")
        until(service.driver.is_ready, "s6 says that it is ready")
        with connect(tmp_path / "web") as client:
            puppet = service.stage.puppet()
            service.driver.shows_main(puppet.hello["parent"])
            puppet.do("import os; os.write(1, b'hello')")
            assert client.recv(100) == b"hello"
            puppet.tell("exit 0")
        service.driver.stop()


@pytest.mark.parametrize("server", ["s6-ipcserver", "s6-tcpserver"])
def test_a_super_server_that_s6_supervises_is_the_nearer_one(service: Service, server: str) -> None:
    before = [server, str(service.served)]
    address: Path | tuple[str, int] = service.served
    if server == "s6-tcpserver":
        program, port = s6_networking(server), free_port()
        # It finds its other half by PATH.
        before = ["env", f"PATH={Path(program).parent}:{PATH}", program, "127.0.0.1", str(port)]
        address = ("127.0.0.1", port)
    service.run(before, "-t", "systemd")
    with connect(address) as client:
        puppet = service.stage.puppet()
        service.driver.shows_main(puppet.hello["parent"])
        assert puppet.environ["LISTEN_FDNAMES"] == "connection"
        assert puppet.hello["fds"]["2"] == str(service.folder / "log")
        puppet.do("import socket; socket.socket(fileno=3).sendall(b'hello')")
        assert client.recv(100) == b"hello"
        puppet.tell("exit 0")


@pytest.mark.parametrize(
    "environ",
    [
        {b"S6_FD#": b"1"},
        {b"S6_FD#": b"x"},
        {b"S6_FD#": b"1", b"S6_FD_0": b"-1"},
        {b"S6_FD#": b"1", b"S6_FD_0": b"\xff"},
    ],
)
def test_a_dump_that_contradicts_itself_is_refused(environ: dict[bytes, bytes]) -> None:
    with pytest.raises(Failure, match="s6-fdholder-getdump"):
        Init().sockets(environ, 1)
