"""Sockets of a real systemd for a daemon that was written for Upstart, with real clients."""

import signal
import subprocess
from collections.abc import Sequence

import pytest

from tests.support.systemd import Manager, Unit
from tests.support.waiting import until

SERVICE = "ExecStart=BRIDGE -t upstart {}-- PUPPET"
CLIENT = """
import socket, sys
family, address = eval(sys.argv[1])
with socket.socket(getattr(socket, family)) as client:
    client.settimeout(15)
    client.connect(address)
    client.sendall(b"client")
    print(client.recv(100).decode())
"""


def connect(unit: Unit, where: str) -> "subprocess.Popen[str]":
    """A client inside that has its answer as its output."""
    container = unit.manager.container
    words = container.enter("/usr/bin/python3", "-ISc", CLIENT, where)
    return subprocess.Popen(words, env=container.environment(0), stdout=subprocess.PIPE, text=True)


LISTEN = {
    "inet": ("127.0.0.1:7411", "('AF_INET', ('127.0.0.1', 7411))", {"PORT": "7411", "ADDR": "127.0.0.1"}),
    "inet6": ("[::1]:7412", "('AF_INET6', ('::1', 7412))", {"PORT": "7412", "ADDR": "::1"}),
    "unix": ("/run/test-socket", "('AF_UNIX', '/run/test-socket')", {"SOCKET_PATH": "/run/test-socket"}),
    "abstract": ("@test-socket", "('AF_UNIX', '\\0test-socket')", {"SOCKET_PATH": "@test-socket"}),
}


@pytest.mark.parametrize("kind", list(LISTEN))
def test_a_client_that_was_there_before_the_daemon_is_served(system: Manager, kind: str) -> None:
    listen, where, event = LISTEN[kind]
    with system.unit(SERVICE.format(""), f"ListenStream={listen}", instance="") as unit:
        system.container.run("ip", "link", "set", "lo", "up")
        system.systemctl("start", unit.socket)
        with connect(unit, where) as client:
            puppet = unit.stage.puppet()
            puppet.tell("serve")
            puppet.hear("served")
            assert client.communicate(timeout=15)[0] == "hello client\n"
        environ = puppet.environ
        assert environ["UPSTART_JOB"] == unit.name.removesuffix(".service")
        assert environ["UPSTART_INSTANCE"] == ""
        assert environ["UPSTART_EVENTS"] == "socket"
        assert environ["PROTO"] == ("unix" if kind == "abstract" else kind)
        assert {key: environ[key] for key in event} == event
        assert not [key for key in environ if key.startswith(("LISTEN_", "NOTIFY_", "SYSTEMD_EXEC"))]


def test_the_instance_is_what_stands_behind_the_at_sign(system: Manager) -> None:
    with system.unit(SERVICE.format(""), instance="one-two") as unit:
        unit.start()
        environ = unit.stage.puppet().environ
        assert environ["UPSTART_JOB"] == unit.name.partition("@")[0]
        assert environ["UPSTART_INSTANCE"] == "one-two"


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (("ListenDatagram=/run/refused",), "datagram"),
        (("ListenSequentialPacket=/run/refused",), "seqpacket"),
        (("ListenFIFO=/run/refused-fifo",), "FIFO"),
        (("ListenStream=/run/refused-1", "ListenStream=/run/refused-2"), "--socket NAME"),
    ],
)
def test_what_upstart_cannot_pass_is_refused_before_the_daemon_starts(
    system: Manager, lines: Sequence[str], reason: str
) -> None:
    with system.unit(f"Type=exec\n{SERVICE.format('')}", "\n".join(lines)) as unit:
        system.systemctl("start", unit.socket)
        unit.begin("start", "--wait").ends()
        unit.shows(Result="exit-code", ExecMainStatus="125")
        (line,) = unit.ours()
        assert reason in line
        assert "/run/refused" in line or reason == "FIFO"
        assert unit.stage.is_empty()


def test_several_sockets_are_passed_as_a_list_or_one_by_its_name(system: Manager) -> None:
    both = "ListenStream=/run/list-1\nListenStream=/run/list-2"
    with system.unit(SERVICE.format("--all-sockets "), both) as unit:
        system.systemctl("start", unit.socket)
        unit.start()
        assert unit.stage.puppet().environ["UPSTART_FDS"] == "3 4"
    named = "ListenStream=/run/list-3\nFileDescriptorName=wanted"
    with system.unit(SERVICE.format("--socket wanted "), named) as unit:
        system.systemctl("start", unit.socket)
        unit.start()
        assert unit.stage.puppet().environ["SOCKET_PATH"] == "/run/list-3"


def test_a_daemon_that_expects_a_client_starts_when_there_is_one(system: Manager) -> None:
    service = f"Type=notify\nTimeoutStartSec=30\n{SERVICE.format('-N --wait-for-client ')}"
    with system.unit(service, "ListenStream=/run/wait-socket") as unit:
        system.systemctl("start", unit.socket)
        start = unit.begin("start")
        until(lambda: "waiting for a client" in unit.show("StatusText"), "it says that it waits")
        assert unit.stage.is_empty()
        with connect(unit, "('AF_UNIX', '/run/wait-socket')") as client:
            puppet = unit.stage.puppet()
            puppet.tell("serve")
            puppet.hear("served")
            assert client.communicate(timeout=15)[0] == "hello client\n"
        puppet.get_ready()
        assert start.ends() == 0
        assert unit.show("StatusText") == "", "it waits no longer"


def test_the_guards_and_the_way_back(system: Manager) -> None:
    with system.unit("Environment=UPSTART_JOB=x\nExecStart=BRIDGE -t upstart -- PUPPET") as unit:
        unit.begin("start", "--wait").ends()
        unit.shows(ExecMainStatus="125")
        assert "UPSTART_JOB" in unit.ours()[0]
    with system.unit("Type=simple\nExecStart=BRIDGE -t upstart -N -- PUPPET") as unit:
        unit.begin("start", "--wait").ends()
        unit.shows(ExecMainStatus="125")
        assert "Type=notify" in unit.ours()[0]
    with system.unit("Type=notify\nExecStart=/bin/sh -c 'BRIDGE -t upstart -N -- PUPPET; exit 7'") as unit:
        start = unit.begin("start")
        unit.stage.puppet().tell("exit 0")
        start.ends()
        assert "write exec before the command" in unit.ours()[0]
    with system.unit("Type=notify\nExecStart=BRIDGE -t systemd -N -- PUPPET") as unit:
        start = unit.begin("start")
        puppet = unit.stage.puppet()
        puppet.tell("notify READY=1\nSTATUS=at home")
        puppet.hear("notified")
        assert start.ends() == 0
        unit.shows(MainPID=str(puppet.pid), StatusText="at home")
        unit.kill(signal.SIGKILL)
