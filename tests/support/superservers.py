"""The real inetd, xinetd and UCSPI servers, with one service each, in a mount namespace with a syslog of the test's."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.command import BRIDGE, PATH
from tests.support.own import free_port
from tests.support.packages import need, unpacked
from tests.support.puppet import Stage, stage
from tests.support.syslog import Syslog
from tests.support.waiting import until

PUPPET = str(Path(__file__).resolve().parents[1] / "daemons" / "puppet.py")
OWN_DEV = 'mount -t tmpfs dev /dev && mknod -m 666 /dev/null c 1 3 && ln -s "$1" /dev/log && shift && exec "$@"'
LONGEST_S = 15
# Where a hand-made s6-networking is, which no Debian has: its folder of programs, or else PATH.
S6_NETWORKING = "CROSS_INIT_TEST_S6_NETWORKING"
XINETD = """
service web
{
    type = UNLISTED
    socket_type = KIND
    protocol = PROTOCOL
    bind = HOST
    port = PORT
    wait = WAIT
    user = root
    server = PROGRAM
    server_args = ARGUMENTS
}
"""


class Place:
    """Where one service listens, and how. address: a host and a port, or a path."""

    def __init__(self, folder: Path, family: str, kind: str, wait: bool) -> None:
        self.folder = folder
        self.family = family
        self.kind = kind
        self.wait = wait
        self.host = {"inet": "127.0.0.1", "inet6": "::1", "unix": str(folder / "served")}[family]
        self.port = free_port(host=self.host) if family != "unix" else 0

    def client(self) -> socket.socket:
        """A client of the service, connected; waits for it to listen."""
        family = {"inet": socket.AF_INET, "inet6": socket.AF_INET6, "unix": socket.AF_UNIX}[self.family]
        address = self.host if self.family == "unix" else (self.host, self.port)
        made: list[socket.socket] = []

        def connected() -> bool:
            client = socket.socket(family, socket.SOCK_STREAM if self.kind == "stream" else socket.SOCK_DGRAM)
            client.settimeout(LONGEST_S)
            try:
                client.connect(address)
                if self.kind != "stream":
                    client.send(b"")  # refused at the next call if nobody is there
                    client.send(b"first")
            except OSError:
                client.close()
                return False
            made.append(client)
            return True

        until(connected, f"somebody listens at {address}")
        return made[0]


def openbsd(place: Place, words: list[str]) -> list[str]:
    """inetd(8) of Debian's openbsd-inetd."""
    where = place.host if place.family == "unix" else f"{place.host}:{place.port}"
    configuration = place.folder / "inetd.conf"
    configuration.write_text(inetd_line(place, where, words))
    return [f"{unpacked('openbsd-inetd')}/usr/sbin/inetd", "-i", str(configuration)]


def inetutils(place: Place, words: list[str]) -> list[str]:
    """inetd(8) of GNU inetutils; it puts UCSPI's variables into the environment if told so."""
    configuration = place.folder / "inetd.conf"
    configuration.write_text(inetd_line(place, f"{place.host}:{place.port}", words))
    program = f"{unpacked('inetutils-inetd')}/usr/sbin/inetutils-inetd"
    pid_file = f"--pidfile={place.folder}/inetd.pid"
    return [program, "--debug", "--environment", pid_file, str(configuration)]


def inetd_line(place: Place, where: str, words: list[str]) -> str:
    """A line of inetd.conf(5)."""
    kind, protocol = ("stream", "tcp") if place.kind == "stream" else ("dgram", "udp")
    protocol = {"inet": protocol, "inet6": f"{protocol}6", "unix": "unix"}[place.family]
    return f"{where} {kind} {protocol} {'wait' if place.wait else 'nowait'} root {words[0]} {' '.join(words)}\n"


def xinetd(place: Place, words: list[str]) -> list[str]:
    """xinetd(8)."""
    need("netbase")
    said = {
        "KIND": "stream" if place.kind == "stream" else "dgram",
        "PROTOCOL": "tcp" if place.kind == "stream" else "udp",
        "HOST": place.host,
        "PORT": str(place.port),
        "WAIT": "yes" if place.wait else "no",
        "PROGRAM": words[0],
        "ARGUMENTS": " ".join(words[1:]),
    }
    text = XINETD
    for key, value in said.items():
        text = text.replace(key, value)
    configuration = place.folder / "xinetd.conf"
    configuration.write_text(text)
    program = f"{unpacked('xinetd')}/usr/sbin/xinetd"
    log, pid_file = place.folder / "xinetd.log", place.folder / "xinetd.pid"
    return [program, "-dontfork", "-f", str(configuration), "-filelog", str(log), "-pidfile", str(pid_file)]


def tcpserver(place: Place, words: list[str]) -> list[str]:
    """tcpserver, Bernstein's."""
    return [f"{unpacked('ucspi-tcp')}/usr/bin/tcpserver", "-HRl0", place.host, str(place.port), *words]


def tcpserver6(place: Place, words: list[str]) -> list[str]:
    """tcpserver with IPv6."""
    return [f"{unpacked('ucspi-tcp-ipv6')}/usr/bin/tcpserver", "-HRl0", place.host, str(place.port), *words]


def tcpsvd(place: Place, words: list[str]) -> list[str]:
    """tcpsvd, of runit's author."""
    return [f"{unpacked('ipsvd')}/usr/bin/tcpsvd", place.host, str(place.port), *words]


def unixserver(place: Place, words: list[str]) -> list[str]:
    """unixserver of ucspi-unix."""
    return [f"{unpacked('ucspi-unix')}/usr/bin/unixserver", place.host, "--", *words]


def s6_ipcserver(place: Place, words: list[str]) -> list[str]:
    """s6-ipcserver."""
    need("s6")
    return ["/usr/bin/s6-ipcserver", place.host, *words]


def s6_tcpserver(place: Place, words: list[str]) -> list[str]:
    """s6-tcpserver."""
    return [s6_networking("s6-tcpserver"), place.host, str(place.port), *words]


def s6_networking(*programs: str) -> str:
    """A program of s6-networking under the first of these names that it has in its version, or skip the test."""
    path = f"{os.environ.get(S6_NETWORKING, '')}:{PATH}"
    for program in programs:
        if found := shutil.which(program, path=path):
            return found
    pytest.skip(f"needs {programs[0]}, which no Debian has; {S6_NETWORKING} may name the folder of a hand-made one")


Server = Callable[[Place, list[str]], list[str]]


class Running:
    """A server with its service. pid: the server's."""

    def __init__(self, process: subprocess.Popen[bytes], place: Place, where: Stage, syslog: Syslog) -> None:
        self.process = process
        self.pid = process.pid
        self.place = place
        self.stage = where
        self.syslog = syslog

    def logged(self, beginning: str) -> str:
        """The next entry of syslog that begins like this, and so is none of the server's own."""
        while not (entry := self.syslog.entry()).startswith(beginning):
            pass
        return entry

    @property
    def said(self) -> str:
        """What the server and its services have said on standard error, where that is not the client's."""
        return (self.place.folder / "said").read_text()


@contextmanager
def serving(
    server: Server,
    folder: Path,
    *options: str,
    family: str = "inet",
    kind: str = "stream",
    wait: bool = False,
    daemon: tuple[str, ...] = (),
) -> Iterator[Running]:
    """The server, whose service is the bridge with these options and this daemon, or else a puppet."""
    if os.geteuid() != 0:
        pytest.skip("needs root, for a mount namespace")
    place = Place(folder, family, kind, wait)
    puppet = ("/usr/bin/python3", "-IS", PUPPET, str(folder / "stage"))
    words = server(place, [str(BRIDGE), *options, "--", *(daemon or puppet)])
    syslog = Syslog(folder / "log")
    syslog.start(socket.SOCK_DGRAM)
    try:
        with stage(folder / "stage") as where, (folder / "said").open("wb") as said:
            process = subprocess.Popen(
                [
                    *("/usr/bin/unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", OWN_DEV, "sh"),
                    *(str(folder / "log"), *words),
                ],
                env={"PATH": f"{os.environ.get(S6_NETWORKING, '')}:{PATH}"},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
            try:
                yield Running(process, place, where, syslog)
            finally:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(LONGEST_S)
                finally:
                    process.kill()
                    process.wait()
    except BaseException:
        print((folder / "said").read_text())
        raise
    finally:
        syslog.stop()
