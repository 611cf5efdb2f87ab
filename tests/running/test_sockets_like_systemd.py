"""The same socket unit under a real systemd and under cross-init run: what can be asked of each descriptor passed.

Ours is started by that systemd as well, so that both begin alike; it is told that no init is there (--init none).
"""

import itertools
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cross_init.definitions.classes import DONE
from cross_init.definitions.table_socket import SOCKET
from tests.definitions.test_against_systemd import version_of
from tests.support.containers import FRONT_DOOR, INSIDE, Container
from tests.support.own import OWN
from tests.support.systemd import Host
from tests.support.waiting import until

PROBE = f"{INSIDE}/tests/support/sockets_seen.py"
RUN = FRONT_DOOR
PATHS = ("", "/a", "/b", "/c", "/new", "/new/a", "/link", "/new/link", "/taken")
VSOCK = 100_000 + os.getpid()  # all of the machine have one room of these numbers
# The lines of [Socket]. FOLDER: the test's own; OWN: a name of its own.
CASES = {
    "nothing": "ListenStream=127.0.0.1:901\nListenStream=902\nListenDatagram=903\nListenStream=[::1]:904\n"
    "ListenStream=FOLDER/new/a\nListenStream=@OWN",
    "TCP": "ListenStream=127.0.0.1:911\nListenStream=[::1]:912\nListenStream=913\nNoDelay=yes\nKeepAlive=yes\n"
    "KeepAliveTimeSec=90\nKeepAliveIntervalSec=7\nKeepAliveProbes=3\nDeferAcceptSec=5\nTCPCongestion=reno\nBacklog=7",
    "IP": "ListenStream=127.0.0.1:921\nListenDatagram=127.0.0.1:921\nListenStream=[::1]:922\nListenDatagram=[::1]:922\n"
    "Priority=5\nMark=7\nIPTOS=low-delay\nIPTTL=9\nReusePort=yes\nBroadcast=yes\nPassPacketInfo=yes\nTimestamping=us",
    "buffers": "ListenStream=127.0.0.1:931\nListenDatagram=931\nListenStream=FOLDER/a\nListenNetlink=route\n"
    "ReceiveBuffer=300K\nSendBuffer=8M\nPriority=3\nMark=9",
    "small buffers": "ListenStream=127.0.0.1:932\nListenDatagram=FOLDER/a\nReceiveBuffer=1\nSendBuffer=1K",
    "to be bound": "ListenStream=192.0.2.1:941\nListenDatagram=192.0.2.1:941\nListenStream=[2001:db8::1]:942\n"
    "FreeBind=yes\nTransparent=yes",
    "a device": "ListenStream=127.0.0.1:951\nListenDatagram=952\nBindToDevice=lo",
    "link-local": "ListenStream=[fe80::1]:955%%lo\nListenDatagram=[fe80::2%%lo]:955\nListenDatagram=[fe80::3]:956%%1\n"
    "FreeBind=yes",
    "IPv6 alone": "ListenStream=[::]:961\nListenStream=962\nListenDatagram=961\nBindIPv6Only=ipv6-only",
    "IPv6 of an address": "ListenStream=[::1]:965\nListenDatagram=[::1]:965\nBindIPv6Only=ipv6-only",
    "IPv6 and IPv4": "ListenStream=[::]:963\nListenStream=964\nBindIPv6Only=both",
    "times": "ListenDatagram=971\nListenDatagram=FOLDER/a\nTimestamping=ns",
    "UNIX": "ListenStream=FOLDER/a\nListenDatagram=FOLDER/b\nListenSequentialPacket=FOLDER/c\nListenStream=@OWN\n"
    "PassCredentials=yes\nPassSecurity=yes\nTimestamping=us",
    "UNIX, newer": "ListenStream=FOLDER/a\nListenDatagram=FOLDER/b\nListenSequentialPacket=FOLDER/c\nPassPIDFD=yes\n"
    "AcceptFileDescriptors=no",
    "paths": "ListenStream=FOLDER/new/a\nListenFIFO=FOLDER/b\nSocketMode=0640\nSocketUser=daemon\nSocketGroup=mail\n"
    "DirectoryMode=0711",
    "links": "ListenStream=FOLDER/new/a\nSymlinks=FOLDER/link FOLDER/new/link\nSymlinks=FOLDER/taken\nRemoveOnStop=yes",
    "links that stay": "ListenFIFO=FOLDER/new/a\nSymlinks=FOLDER/link FOLDER/taken",
    "FIFO": "ListenFIFO=FOLDER/a\nListenFIFO=FOLDER/b\nPipeSize=8K\nSocketMode=0600",
    "special": "ListenSpecial=/dev/pts/ptmx",
    "special, written": "ListenSpecial=/dev/pts/ptmx\nWritable=yes",
    "queue": "ListenMessageQueue=/OWN\nMessageQueueMaxMessages=4\nMessageQueueMessageSize=100\nSocketMode=0600\n"
    "RemoveOnStop=yes",
    "queue as it is": "ListenMessageQueue=/OWN\nRemoveOnStop=yes",
    "queue of another's": "ListenMessageQueue=/OWN\nRemoveOnStop=yes\nSocketUser=daemon",
    "netlink": "ListenNetlink=kobject-uevent 1\nListenNetlink=route 1361\nReceiveBuffer=64K\nPassCredentials=yes\n"
    "PassPacketInfo=yes",
    "vsock": "ListenStream=vsock::VSOCK",
    "UDP-Lite": "ListenDatagram=127.0.0.1:981\nListenStream=981\nSocketProtocol=udplite",
    "MPTCP": "ListenStream=127.0.0.1:982\nListenDatagram=982\nSocketProtocol=mptcp\nKeepAlive=yes",
    "names": "ListenStream=127.0.0.1:991\nListenStream=FOLDER/a\nFileDescriptorName=web",
    "commands": "ListenStream=FOLDER/a\nRemoveOnStop=yes\nUser=daemon\nEnvironment=A=b\n"
    "ExecStartPre=LOG pre\nExecStartPost=LOG post\nExecStartPost=-/bin/false\nExecStopPre=LOG before\n"
    "ExecStopPost=LOG after",
    "commands with sockets": "ListenStream=FOLDER/a\nListenFIFO=FOLDER/b\nPassFileDescriptorsToExec=yes\n"
    "ExecStartPre=LOG pre\nExecStartPost=LOG post\nExecStartPost=LOG two\nExecStopPre=LOG before\n"
    "ExecStopPost=LOG after\nExecStopPost=LOG last",
    "not to block": "ListenStream=FOLDER/a\nListenFIFO=FOLDER/b\nListenDatagram=996\nListenMessageQueue=/OWN\n"
    "RemoveOnStop=yes",
    "commands alone": "ListenStream=127.0.0.1:995\nExecStartPre=LOG pre\nExecStartPost=LOG post\n"
    "ExecStopPost=LOG after",
}
OF_SERVICE = {"not to block": "NonBlocking=yes\n"}
SINCE = {
    "MPTCP": 254,
    "queue of another's": 262,
    "UNIX, newer": 258,
    "commands with sockets": 256,
}  # of systemd's versions
# What has no effect on a socket of this kind, and is not set by us; systemd says so of sockets of all kinds.
WITHOUT_EFFECT: dict[str, Callable[[dict[str, Any]], bool]] = {
    "SOL_SOCKET REUSEADDR": lambda seen: "SOL_IP TTL" not in seen,
    "SOL_SOCKET KEEPALIVE": lambda seen: seen.get("SOL_SOCKET TYPE") != 1,
    "SOL_SOCKET BROADCAST": lambda seen: seen.get("SOL_SOCKET TYPE") != 2,
    "SOL_IP PKTINFO": lambda seen: seen.get("SOL_SOCKET TYPE") == 1,
    "SOL_IPV6 RECVPKTINFO": lambda seen: seen.get("SOL_SOCKET TYPE") == 1,
}
# $1: the folder. No unit has a name twice, so the manager reads each without having to be told to read all anew.
CLEAR = 'folder=$1; shift; systemctl stop "$@"; systemctl reset-failed; rm -rf "$folder"'
_numbers = itertools.count(1)


@contextmanager
def prepared(host: Host, lines: str, of_service: str = "") -> Iterator[tuple[str, Path]]:
    """A service of these lines with a socket unit of those: its name, and its folder, seen from outside."""
    container = host.system.container
    name = f"sockets{next(_numbers)}"
    folder = f"/run/{name}.probe"
    outside = container.root / folder[1:]
    units = container.root / "run/systemd/system"
    log = f"/bin/sh -c 'echo $$0 $$(id -un) $$A $$LISTEN_FDS $$LISTEN_FDNAMES >> {folder}/log' "
    socket = lines
    for word, value in (("LOG", log), ("FOLDER", folder), ("OWN", f"{OWN}-{name}"), ("VSOCK", str(VSOCK))):
        socket = socket.replace(word, value)
    seen = " ".join((f"{folder}/seen", *(folder + path for path in PATHS)))
    service = f"[Service]\n{of_service}Sockets={name}.socket\nExecStart=/usr/bin/python3 -IS {PROBE} {seen}\n"
    files = {f"{name}.socket": f"[Socket]\n{socket}\n", f"{name}.service": service}
    files[f"ours-{name}.service"] = f"[Service]\nKillMode=mixed\nExecStart={RUN} run --init none {name}.service\n"
    for file, text in files.items():
        (units / file).write_text(text)
    try:
        yield name, outside
    finally:
        container.run("sh", "-c", CLEAR, "sh", folder, *files)
        for unit in files:
            (units / unit).unlink()


def fresh(outside: Path) -> None:
    """The folder as it is before a start."""
    for path in (*outside.glob("new/*"), *outside.glob("*")):
        path.rmdir() if path.is_dir() else path.unlink()
    outside.mkdir(exist_ok=True)
    outside.chmod(0o777)
    (outside / "taken").write_text("by a file")


def seen(container: Container, outside: Path, unit: str) -> dict[str, Any]:
    """What the probe has written."""
    file = outside / "seen"

    def is_there() -> bool:
        return file.exists() and file.read_text().endswith("}")

    try:
        until(is_there, "the probe has written", 30)
    except AssertionError:
        said = container.run("journalctl", "--no-pager", "-n", "40", check=False).stdout
        raise AssertionError(f"{unit} has written nothing:\n{said}") from None
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def left(outside: Path) -> dict[str, Any]:
    """What there is when all is over, and what the commands have said."""
    log = outside / "log"
    return {
        "left": sorted(
            str(path.relative_to(outside)) for path in outside.rglob("*") if path.name not in ("seen", "log")
        ),
        "said": log.read_text() if log.exists() else "",
    }


def flat(found: dict[str, Any]) -> dict[str, Any]:
    """Without what has no effect on what it is asked of."""
    those: dict[str, Any] = {}
    for key, value in found.items():
        if not isinstance(value, dict):
            those[key] = value
            continue
        for name, each in value.items():
            if not (name in WITHOUT_EFFECT and WITHOUT_EFFECT[name](value)):
                those[f"{key}: {name}"] = each
    return those


@pytest.mark.parametrize("case", CASES)
def test_a_daemon_is_passed_the_same(host: Host, case: str) -> None:
    if version_of(host.system) < SINCE.get(case, 0):
        pytest.skip(f"that came with systemd {SINCE[case]}")
    container = host.system.container
    with prepared(host, CASES[case], OF_SERVICE.get(case, "")) as (name, outside):
        fresh(outside)
        host.system.systemctl("start", f"{name}.socket", f"{name}.service")
        theirs = flat(seen(container, outside, f"{name}.service"))
        host.system.systemctl("stop", f"{name}.service", f"{name}.socket")
        theirs |= left(outside)
        fresh(outside)
        host.system.systemctl("start", f"ours-{name}.service")
        ours = flat(seen(container, outside, f"ours-{name}.service"))
        host.system.systemctl("stop", f"ours-{name}.service")
        ours |= left(outside)
        different = {
            key: (theirs.get(key), ours.get(key)) for key in {**theirs, **ours} if theirs.get(key) != ours.get(key)
        }
        assert different == {}


@pytest.mark.parametrize("during", ["ExecStartPre", "ExecStartPost"])
def test_a_stop_during_its_start_leaves_the_same_to_be_run(host: Host, during: str) -> None:
    begins = f"{during}=LOG begins\n{during}=/bin/sleep 60\nExecStopPre=LOG before\nExecStopPost=LOG after"
    with prepared(host, f"ListenStream=127.0.0.1:995\n{begins}") as (name, outside):
        log, said = outside / "log", []
        for unit in (f"{name}.socket", f"ours-{name}.service"):
            fresh(outside)
            host.system.systemctl("start", "--no-block", unit)
            until(log.exists, f"{unit}: its first command has run", 30)
            host.system.systemctl("stop", unit)
            said.append(log.read_text())
    assert said[1] == said[0]


ELSEWHERE = {"Accept", "MaxConnections", "MaxConnectionsPerSource", "Service", "TimeoutSec"}  # test_socket_units.py


def test_each_directive_that_is_done_is_in_a_case() -> None:
    done = {key for key, (_, _, kind, _) in SOCKET.items() if kind == DONE}
    asked = {line.partition("=")[0] for lines in CASES.values() for line in lines.splitlines()}
    assert done - asked - ELSEWHERE == set()
