"""Descriptors that systemd itself keeps, for a daemon that we supervise: they get there, and back to the daemon."""

import signal

import pytest

from tests.support.kept import keep, kept
from tests.support.systemd import Manager

SERVICE = "Type=notify\nRestart=always\nRestartSec=0\nFileDescriptorStoreMax=3\nStandardError=journal\nExecStart="
SOCKET = "ListenStream=/run/fd-store.sock\nFileDescriptorName=web"
# The same daemon, with us and without. To let another process of ours speak as the main one takes CAP_SYS_ADMIN.
SUPERVISED = "BRIDGE -t systemd -N --supervise -- PUPPET"
WAYS = {
    "supervised": SUPERVISED,
    "supervised with few rights": f"{SUPERVISED}\nCapabilityBoundingSet=~CAP_SYS_ADMIN",
    "native": "PUPPET",
}


@pytest.mark.parametrize("way", WAYS)
def test_what_systemd_keeps_comes_back_to_the_daemon(system: Manager, way: str) -> None:
    with system.unit(f"{SERVICE}{WAYS[way]}", SOCKET) as unit:
        system.systemctl("start", unit.socket)
        unit.begin("start")
        first = unit.stage.puppet()
        assert [name for name, _ in kept(first)] == ["web"]
        first.do("one = os.memfd_create('one'); ours, theirs = socket.socketpair(); theirs.send(b'waits')")
        keep(first, "FDSTORE=1\nFDNAME=a", "one")
        keep(first, "FDSTORE=1\nFDNAME=same", "os.dup(one)")
        keep(first, "FDSTORE=1\nFDNAME=gone", "os.memfd_create('two')")
        keep(first, "FDSTOREREMOVE=1\nFDNAME=gone")
        keep(first, "FDSTORE=1\nFDNAME=c:d", "ours.fileno()")
        keep(first, "FDSTORE=1\nFDNAME=e\nFDPOLL=0", "theirs.fileno()")
        first.send("b'READY=1'")
        unit.shows(NFileDescriptorStore="3")
        keep(first, "FDSTORE=1\nFDNAME=too many", "os.memfd_create('three')")
        first.tell(f"die {signal.SIGKILL}")
        second = unit.stage.puppet()
        assert [name for name, _ in kept(second)] == ["web", "e", "stored", "a"]
        version = int(system.systemctl("--version").stdout.split()[1])
        assert second.environ.get("FDSTORE") == ("3" if version >= 254 else None)
        second.do("assert os.read(5, 10) == b'waits'")
        second.send("b'READY=1'")
        system.systemctl("stop", "--no-block", unit.name, unit.socket)
        second.hear_signal(signal.SIGTERM)
        second.tell("exit 0")
        unit.shows(NFileDescriptorStore="0")
