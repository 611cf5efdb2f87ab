"""Daemons of Debian by the units of their packages, written for each supervision suite and run by it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.packages import need
from tests.support.waiting import until
from tests.support.written import INITS, LONGEST_S, Written, written

# What has to be there, in the machine: data that the package would have made, and an address to listen on.
BEGIN = (
    "ip link set lo up && "
    "for each in lib cache; do mkdir -p /run/var/$each && mount --bind /run/var/$each /var/$each || exit; done"
)


class Daemon:
    """A daemon. prepare: a shell's line in the machine. user: as whom it runs. answer: what it says to asks."""

    def __init__(self, package: str, unit: str, user: str, prepare: str, asks: tuple[str, ...], answer: str) -> None:
        self.package = package
        self.unit = unit
        self.user = user
        self.prepare = prepare
        self.asks = asks
        self.answer = answer


def spoken(port: int, says: str) -> tuple[str, ...]:
    """A command that says this there, and prints what is answered first."""
    code = (
        f"import socket; s = socket.create_connection(('127.0.0.1', {port}), 5); s.sendall({says.encode()!r}); "
        "print(s.recv(200).decode('latin-1'))"
    )
    return ("/usr/bin/python3", "-IS", "-c", code)


DAEMONS = {
    "redis-server": Daemon(
        "redis-server",
        "redis-server.service",
        "redis",
        "install -d -o redis -g redis /var/lib/redis /var/log/redis",
        spoken(6379, "PING\r\n"),
        "+PONG",
    ),
    "dbus": Daemon(
        "dbus",
        "dbus.service",
        "messagebus",
        ":",
        ("dbus-send", "--system", "--print-reply", "--dest=org.freedesktop.DBus", "/", "org.freedesktop.DBus.GetId"),
        "string",
    ),
    "memcached": Daemon("memcached", "memcached.service", "memcache", ":", spoken(11211, "version\r\n"), "VERSION"),
    "nginx": Daemon(
        "nginx",
        "nginx.service",
        "root",
        "mkdir -p /var/log/nginx /var/lib/nginx && mount -t tmpfs none /etc/nginx/sites-enabled && "
        "echo 'server { listen 127.0.0.1:8080; }' >/etc/nginx/sites-enabled/here",
        spoken(8080, "GET / HTTP/1.0\r\n\r\n"),
        "HTTP/1.1",
    ),
    "ssh": Daemon(
        "openssh-server",
        "ssh.service",
        "root",
        "ssh-keygen -A >/dev/null",
        spoken(22, "SSH-2.0-x\r\n"),
        "SSH-2.0-OpenSSH",
    ),
}


@pytest.fixture(params=INITS)
def init(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Written]:
    need("iproute2")
    with written(request.param, tmp_path) as made:
        done = made.run("sh", "-c", BEGIN)
        assert done.code == 0, done.err
        yield made


@pytest.mark.parametrize("form", ["", "--expand"])
@pytest.mark.parametrize("which", DAEMONS)
def test_a_daemon_of_debian(init: Written, which: str, form: str) -> None:
    daemon = DAEMONS[which]
    need(daemon.package, "dbus-bin")
    done = init.run("sh", "-c", daemon.prepare)
    assert done.code == 0, done.err
    name = daemon.unit.removesuffix(".service")
    init.translate(daemon.unit, *filter(None, [form]))
    init.up(name)
    assert init.start(name).wait(LONGEST_S) == 0

    def answers() -> bool:
        return daemon.answer in init.run(*daemon.asks).out

    if init.init == "daemontools" or which == "memcached":
        until(answers, "it answers")
    assert answers(), "it is ready when it serves"
    assert daemon.user in init.run("ps", "-eo", "user:32=").out.split()
    init.reload(name) if which != "memcached" else None
    until(answers, "it still does")
    assert init.stop(name).wait(LONGEST_S) == 0
    init.stays_down(name)
    init.is_empty()
