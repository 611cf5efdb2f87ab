"""What strangers can fill, they fill for themselves: nobody else waits, and nobody else's word is lost."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.outside import ALONE, NOTIFY, plain
from tests.support.own import STRANGER
from tests.support.packages import need
from tests.support.resident import Machine, machine
from tests.support.strangers import BEGIN, LINGER, PACKET
from tests.support.waiting import until

PYTHON = ("/usr/bin/python3", "-ISc")
# Says a message with a descriptor, and ends.
GIVE = """
import os, socket, sys
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
    to.settimeout(10)
    to.connect(sys.argv[1].replace("@", "\\0", 1))
    for _ in range(int(sys.argv[3])):
        socket.send_fds(to, [sys.argv[2].encode()], [0])
"""
# Says different things, more than are kept of all.
FILL = f"""
import socket
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
    to.settimeout(10)
    to.connect("{NOTIFY}")
    for number in range(5000):
        to.send(b"X_%d=1" % number)
"""
# The kernel lets a user have no more on the way than he may have open; and we take none any more at some point.
TRY = """
really_give = give
def give(*fds):
    try:
        really_give(*fds)
    except OSError:
        pass
"""
UP = '\nprint("up", flush=True)\nos.read(0, 1)\n'


@pytest.fixture
def here() -> Iterator[Machine]:
    """A machine with a resident. Its folder is one that every user reaches."""
    need("s6")
    with TemporaryDirectory(prefix="cross-init-test.", dir="/var/tmp") as folder:
        os.chmod(folder, 0o755)
        with machine(Path(folder)) as made:
            made.serve()
            yield made


@pytest.mark.parametrize("text", ["READY=1", "FDSTORE=1", "BARRIER=1"])
def test_a_strangers_descriptor_holds_up_nobody_while_no_resident_is_there(here: Machine, text: str) -> None:
    service, puppet = plain(here)
    here.kill_resident()
    assert here.private.run(*PYTHON, GIVE, NOTIFY, text, "50", user=STRANGER).code == 0
    for number in range(50):
        puppet.tell(f"notify STATUS={number}\nX=1")
        puppet.hear("notified")
    puppet.send(repr(b"READY=1"))  # which returns when what comes with it was dropped
    assert service.says() == "true false"
    here.serve()
    until(service.is_ready, "s6 is told")
    until(lambda: here.ours() == ALONE, "who dropped them has gone")


def test_neither_does_one_on_a_services_own_socket(here: Machine) -> None:
    service, puppet = here.puppet("web", "-t", "systemd", "-N", "--notify-socket", "abstract", "--fd-store", "1")
    address = puppet.environ["NOTIFY_SOCKET"]
    here.kill_resident()
    assert here.private.run(*PYTHON, GIVE, address, "FDSTORE=1", "50", user=STRANGER).code == 0
    for number in range(50):
        puppet.tell(f"notify STATUS={number}\nX=1")
        puppet.hear("notified")
    puppet.send(repr(b"READY=1"))
    here.serve()
    until(service.is_ready, "s6 is told")


def test_what_the_daemon_has_kept_meanwhile_is_kept_by_the_next_one(here: Machine) -> None:
    service, opened = here.service("web", "-t", "systemd", "-N", "--fd-store", "1")
    puppet = opened.puppet()
    here.kill_resident()
    puppet.do(
        "import os, socket; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); "
        "s.connect(os.environ['NOTIFY_SOCKET']); "
        "socket.send_fds(s, [b'FDSTORE=1\\nFDNAME=mine\\nREADY=1'], [os.memfd_create('x')])"
    )
    here.serve()
    until(service.is_ready, "s6 is told")
    puppet.send(repr(b"STATUS=on"))
    puppet.tell(f"die {signal.SIGKILL}")
    assert opened.puppet().environ["LISTEN_FDNAMES"] == "mine"


def test_a_stranger_that_says_much_takes_nobodys_place(here: Machine) -> None:
    service, puppet = plain(here)
    here.kill_resident()
    puppet.tell("notify READY=1")
    puppet.hear("notified")
    assert here.private.run(*PYTHON, FILL, user=STRANGER).code == 0
    puppet.tell("notify STATUS=still here")
    puppet.hear("notified")
    here.serve()
    until(service.is_ready, "s6 is told")
    until(lambda: "still here" in here.status(), "and the last word is heard as well")


def test_a_service_that_says_much_takes_no_other_services_place(here: Machine) -> None:
    service, puppet = plain(here)
    _, other = plain(here, "other")
    here.kill_resident()
    puppet.tell("notify READY=1")
    puppet.hear("notified")
    other.do("for number in range(5000): notify(f'X_{number}=1')")
    here.serve()
    until(service.is_ready, "s6 is told")


@pytest.mark.parametrize("is_there", [True, False], ids=["resident", "none"])
@pytest.mark.parametrize("how", [LINGER, PACKET], ids=["connections", "packet sockets"])
def test_descriptors_that_take_long_to_drop_hold_up_nobody_for_long(here: Machine, how: str, is_there: bool) -> None:
    need("iproute2")
    assert here.private.run("ip", "link", "set", "lo", "up").code == 0
    service, puppet = plain(here)
    if not is_there:
        here.kill_resident()
    for _ in range(12):
        here.private.begin(*PYTHON, BEGIN + TRY + how.replace("\ndone()", UP), NOTIFY, "READY=1")
    puppet.tell("notify READY=1")
    puppet.hear("notified")
    if not is_there:
        here.serve()
    until(service.is_ready, "s6 is told")


def test_who_only_connects_is_no_bridge(here: Machine) -> None:
    """Others cannot connect at all."""
    say = "import socket; s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.connect('/run/cross-init/%s')"
    for name in ("serve", "kept"):
        assert "Permission denied" in here.private.run(*PYTHON, say % name, user=STRANGER).err
    silent = say % "serve" + "; a = [socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(500)]"
    silent += "; [each.connect('/run/cross-init/serve') for each in a]; print('up', flush=True); input()"
    here.private.begin(*PYTHON, silent)
    service, puppet = here.puppet("web", "-t", "systemd", "-N", "--need-resident")
    puppet.send(repr(b"READY=1"))
    until(service.is_ready, "s6 is told")
