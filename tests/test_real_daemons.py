"""Daemons of Debian that say sd_notify() or look for LISTEN_FDS, unmodified, under real inits that have neither.

Each waits at a FIFO before it begins: its init must not take it for ready before. A client is served at the first
attempt as soon as its init says that it is ready.
"""

import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.matrix.daemons import processes, release, waiting
from tests.matrix.table import ROWS, Machines
from tests.support.own import free_port
from tests.support.packages import need
from tests.support.waiting import until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to install the daemons and for their inits")
LONGEST_S = 10
INITS = ("s6", "runit", "supervisord", "upstart, stand-in")


def tcp(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), LONGEST_S)


def unix(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(LONGEST_S)
    client.connect(str(path))
    return client


def haproxy(folder: Path, port: int) -> None:
    with tcp(port) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert client.recv(12) == b"HTTP/1.1 204"


def unbound(folder: Path, port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(LONGEST_S)
        # RFC 1035, 4.1: one question, for the address of www.example.
        question = struct.pack("!6H", 1, 0x0100, 1, 0, 0, 0) + b"\3www\7example\0" + struct.pack("!2H", 1, 1)
        client.connect(("127.0.0.1", port))  # so that the kernel tells that nobody is there
        client.send(question)
        assert client.recv(512).endswith(bytes((192, 0, 2, 7)))


def rsyslogd(folder: Path, port: int) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.sendto(b"<13>Jan  1 00:00:00 test: hello", str(folder / "socket"))
    until(lambda: (folder / "messages").exists(), "it writes")
    until(lambda: "test: hello" in (folder / "messages").read_text(), "it writes the message")


def mosquitto(folder: Path, port: int) -> None:
    with tcp(port) as client:
        client.sendall(b"\x10\x0d\0\4MQTT\4\2\0\x3c\0\1a")  # MQTT 3.1.1, 3.1: CONNECT
        assert client.recv(4) == b"\x20\2\0\0"  # 3.2: CONNACK, accepted


def dbus_daemon(folder: Path, port: int) -> None:
    with unix(folder / "socket") as client:
        client.sendall(b"\0AUTH EXTERNAL 30\r\n")  # the D-Bus specification, "Authentication Protocol": user 0
        assert client.recv(3) == b"OK "


def beanstalkd(folder: Path, port: int) -> None:
    with tcp(port) as client:
        client.sendall(b"list-tubes\r\n")
        assert client.recv(3) == b"OK "


class Daemon:
    """package, the bridge's options, its command line, its configuration, and a client that sees to it that it serves.

    HERE is a folder that it has to itself, PORT a number that is free.
    """

    def __init__(
        self, package: str, options: str, command: str, serves: Callable[[Path, int], None], configuration: str = ""
    ) -> None:
        self.package = package
        self.options = options
        self.command = command
        self.serves = serves
        self.configuration = configuration


DAEMONS = {
    "haproxy": Daemon(
        "haproxy",
        "-N",
        "/usr/sbin/haproxy -Ws -f HERE/settings -p HERE/pid",
        haproxy,
        """
defaults
    mode http
    timeout client 5s
    timeout connect 5s
    timeout server 5s
frontend web
    bind 127.0.0.1:PORT
    http-request return status 204
""",
    ),
    "unbound": Daemon(
        "unbound",
        "-N",
        "/usr/sbin/unbound -d -p -c HERE/settings",
        unbound,
        """
server:
    interface: 127.0.0.1
    port: PORT
    username: ""
    chroot: ""
    use-syslog: no
    module-config: iterator
    local-data: "www.example. A 192.0.2.7"
""",
    ),
    "rsyslogd": Daemon(
        "rsyslog",
        "-N --listen unix-dgram:HERE/socket",
        "/usr/sbin/rsyslogd -n -f HERE/settings -i HERE/pid",
        rsyslogd,
        """
module(load="imuxsock" SysSock.Name="HERE/socket")
action(type="omfile" file="HERE/messages")
""",
    ),
    "mosquitto": Daemon(
        "mosquitto",
        "-N",
        "/usr/sbin/mosquitto -c HERE/settings",
        mosquitto,
        """
listener PORT 127.0.0.1
allow_anonymous true
user root
""",
    ),
    "dbus-daemon": Daemon(
        "dbus-daemon",
        "-N --listen unix:HERE/socket",
        "/usr/bin/dbus-daemon --nofork --nosyslog --config-file=HERE/settings",
        dbus_daemon,
        """
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>systemd:</listen>
  <policy context="default"> <allow send_destination="*"/> <allow own="*"/> </policy>
</busconfig>
""".lstrip(),
    ),
    # It does not say when it is ready.
    "beanstalkd": Daemon(
        "beanstalkd",
        "--listen tcp:127.0.0.1:PORT",
        "/usr/bin/beanstalkd",
        beanstalkd,
    ),
}


@pytest.fixture
def machines() -> Machines:
    return Machines()


@pytest.mark.parametrize("name", DAEMONS)
@pytest.mark.parametrize("init", INITS)
def test_a_daemon_of_debian_serves(init: str, name: str, tmp_path: Path, machines: Machines) -> None:
    daemon = DAEMONS[name]
    need(daemon.package)
    folder = tmp_path / "here"
    folder.mkdir()
    port = free_port()

    def filled(text: str) -> str:
        return text.replace("HERE", str(folder)).replace("PORT", str(port))

    with ROWS[init].make(folder, machines) as driver:
        fifo = folder / "fifo"
        os.mkfifo(fifo)
        (folder / "settings").write_text(filled(daemon.configuration))
        held = folder / "held"
        held.write_text(filled(f"#!/bin/sh\nread -r go < HERE/fifo\nexec {daemon.command}\n"))
        held.chmod(0o755)
        driver.install([driver.bridge, "-t", "systemd", *filled(daemon.options).split(), "--", str(held)])
        before = processes(driver.here).keys()

        driver.begin()
        pid = waiting(driver.here, lambda words: words[:2] == ["/bin/sh", str(held)])
        assert not driver.is_ready()
        release(fifo)
        if driver.waits and "-N" in daemon.options:
            until(driver.is_ready, "it is ready", 20)
        else:
            until(lambda: attempt(daemon, folder, port), "it serves", 20)
        daemon.serves(folder, port)
        driver.shows_main(pid)
        assert Path(f"/proc/{pid}/exe").resolve() == Path(daemon.command.split()[0])

        driver.stop()
        until(driver.is_down, f"{init} says that it is down")
        until(lambda: processes(driver.here).keys() <= before, "nothing of it is left")
        assert not attempt(daemon, folder, port)


def attempt(daemon: Daemon, folder: Path, port: int) -> bool:
    """Whether somebody is there for a client."""
    try:
        daemon.serves(folder, port)
    except OSError:
        return False
    return True
