"""Daemons for inetd on a real systemd: a connection is passed as it is, a socket that listens is served."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.puppet import Puppet, stage
from tests.support.systemd import PUPPET, STAGES, Manager

LONGEST_S = 20
CLIENT = """
import socket
with socket.socket(socket.AF_UNIX) as client:
    client.connect("/run/served")
    client.sendall(b"world")
    print(client.recv(100).decode())
"""


@contextmanager
def client_inside(system: Manager) -> Iterator["subprocess.Popen[str]"]:
    """A client in the container, whose output is what it is answered."""
    words = system.container.enter("/usr/bin/python3", "-ISc", CLIENT)
    with subprocess.Popen(words, env=system.container.environment(0), stdout=subprocess.PIPE, text=True) as client:
        yield client


def greet(puppet: Puppet, client: "subprocess.Popen[str]") -> None:
    puppet.do("import os; os.write(1, b'hello ' + os.read(0, 100))")
    assert client.communicate(timeout=LONGEST_S)[0] == "hello world\n"


def test_on_systemd_a_connection_is_passed_as_it_is(system: Manager) -> None:
    files = {
        "accepted.socket": "[Socket]\nListenStream=/run/served\nAccept=yes\n",
        "accepted@.service": f"[Service]\nExecStart=BRIDGE -t inetd:nowait -- {PUPPET} {STAGES}/accepted\n",
    }
    from tests.support.containers import BRIDGE as INNER_BRIDGE

    for name, text in files.items():
        (system.folder / name).write_text(text.replace("BRIDGE", INNER_BRIDGE))
    with stage(system.container.root / f"{STAGES}/accepted".lstrip("/")) as where:
        try:
            system.systemctl("daemon-reload")
            system.systemctl("start", "accepted.socket")
            with client_inside(system) as client:
                puppet = where.puppet()
                assert puppet.environ["PROTO"] == "IPC"
                assert "LISTEN_FDS" not in puppet.environ
                greet(puppet, client)
                puppet.tell("exit 0")
        finally:
            system.systemctl("stop", "accepted.socket")
            for name in files:
                (system.folder / name).unlink()
            system.systemctl("daemon-reload")


@pytest.mark.parametrize("mode", ["control-group", "mixed"])
def test_on_systemd_a_socket_that_listens_is_served_and_a_stop_arrives_once(system: Manager, mode: str) -> None:
    service = f"Type=notify\nKillMode={mode}\nExecStart=BRIDGE -t inetd:nowait -N -- PUPPET"
    with system.unit(service, "ListenStream=/run/served") as unit:
        system.systemctl("start", unit.socket)
        puppets = []
        for _ in range(4):  # one signal that comes close to another is one, so more than one has to be lucky
            with client_inside(system) as client:
                puppets.append(unit.stage.puppet())
                assert puppets[-1].hello["parent"] == unit.main_pid
                greet(puppets[-1], client)
        unit.shows(ActiveState="active", NRestarts="0")
        stop = unit.begin("stop")
        for puppet in puppets:
            puppet.hear_signal(signal.SIGTERM)
        for puppet in puppets:
            puppet.tell("exit 0")
            assert puppet.last_words() == []
        assert stop.ends() == 0
        unit.shows(Result="success", ExecMainStatus="0")
