"""The same unit under a real systemd and under cross-init run, in one container: what a process sees of itself.

Ours is started by that systemd as well, so that both begin alike; it is told that no init is there (--init none).
"""

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.definitions.test_against_systemd import version_of
from tests.support.containers import FRONT_DOOR, INSIDE, Container
from tests.support.systemd import Host
from tests.support.waiting import until

PROBE = f"{INSIDE}/tests/support/self_seen.py"
RUN = FRONT_DOOR
# What the interpreter does to its own signals it does not see: a program that a shell starts does.
PROGRAM = (
    '/bin/sh -c \'export IGNORED="$$(sed -n s/^SigIgn:.//p /proc/self/status)"; '
    'exec /usr/bin/python3 -IS PROBE "$$@"\' sh OUTPUT one ${A} $B "two words" $$x'
)
# Of a start, or of the manager that has made it.
OWN = {
    *("INVOCATION_ID", "SYSTEMD_EXEC_PID", "JOURNAL_STREAM", "MEMORY_PRESSURE_WATCH", "MEMORY_PRESSURE_WRITE"),
    *("OLDPWD", "_", "LISTEN_PID", "LISTEN_PIDFDID", "WATCHDOG_PID"),
}
CASES = {
    "nothing": "",
    "user": "User=daemon",
    "user and group": "User=daemon\nGroup=mail",
    "groups": "User=daemon\nSupplementaryGroups=mail audio",
    "group alone": "Group=mail",
    "number": "User=1",
    "root": "User=root",
    "environment": 'Environment=A=1 "B=x y  z" C=\nEnvironment="D=a\\"b" E=$A\nUnsetEnvironment=C PATH',
    "environment file": "EnvironmentFile=-/nowhere\nEnvironmentFile=FOLDER/variables",
    "login": "SetLoginEnvironment=yes",
    "umask": "UMask=0027",
    "limits": "LimitNOFILE=100:200\nLimitCORE=0\nLimitNPROC=300\nLimitSTACK=4M\nLimitMEMLOCK=64K",
    "priorities": "Nice=5\nOOMScoreAdjust=123\nTimerSlackNSec=1ms\nCoredumpFilter=0x7f",
    "scheduler": "CPUSchedulingPolicy=batch\nCPUAffinity=0",
    "real time": "CPUSchedulingPolicy=rr\nCPUSchedulingPriority=3\nCPUSchedulingResetOnFork=yes",
    "input and output": "IOSchedulingClass=best-effort\nIOSchedulingPriority=6",
    "privileges": "NoNewPrivileges=yes\nUser=daemon",
    "bounded": "CapabilityBoundingSet=CAP_CHOWN CAP_SETUID CAP_SETGID",
    "bounded but": "CapabilityBoundingSet=~CAP_NET_RAW CAP_SYS_PTRACE\nUser=daemon",
    "ambient": "User=daemon\nAmbientCapabilities=CAP_NET_BIND_SERVICE\nCapabilityBoundingSet=CAP_NET_BIND_SERVICE",
    "secure bits": "SecureBits=noroot noroot-locked",
    "folder": "WorkingDirectory=/usr/share",
    "home": "User=daemon\nWorkingDirectory=~",
    "no folder": "WorkingDirectory=-/nowhere",
    "SIGPIPE": "IgnoreSIGPIPE=no",
    "runtime": "RuntimeDirectory=NAME NAME-b/c\nRuntimeDirectoryMode=0750\nUser=daemon",
    "all folders": "\n".join(
        (
            "User=daemon",
            "Group=mail",
            "StateDirectory=NAME",
            "CacheDirectory=NAME",
            "LogsDirectory=NAME",
            "StateDirectoryMode=0700",
            "ConfigurationDirectory=NAME",
        )
    ),
    "all limits": (
        "LimitAS=8G\nLimitCPU=1h\nLimitDATA=6G\nLimitFSIZE=5G:6G\nLimitLOCKS=77\nLimitMSGQUEUE=100K\nLimitNICE=+5\n"
        "LimitRSS=4G\nLimitRTPRIO=3\nLimitRTTIME=5s\nLimitSIGPENDING=55"
    ),
    "folders of root's": (
        "CacheDirectory=NAME\nCacheDirectoryMode=0711\nStateDirectory=NAME\nLogsDirectory=NAME/a\nLogsDirectoryMode=2750"
    ),
    "streams": "StandardOutput=file:FOLDER/out\nStandardError=append:FOLDER/err\nStandardInput=file:/etc/hostname",
    "data": "StandardInputText=hello",
    "data, coded": "StandardInputText=a\nStandardInputData=aGVsbG8K\nStandardInputText=b",
    "credentials": "LoadCredential=a:FOLDER/variables\nLoadCredential=b:/nowhere\nSetCredential=b:for lack\n"
    "SetCredential=c:x\\ny\nSetCredential=a:not this",
    "credentials of a user's": "User=daemon\nLoadCredential=a:FOLDER\nSetCredential=c:x",
    "NUMA": "NUMAPolicy=bind\nNUMAMask=0\nCPUAffinity=numa",
    "NUMA of all": "NUMAPolicy=interleave\nNUMAMask=all",
    "open files": "OpenFile=FOLDER/variables:first\nOpenFile=/etc/hostname:second:read-only\nUser=daemon\n"
    "OpenFile=/nowhere:third:graceful\nOpenFile=/etc/hostname:fourth:append",
    "imported": "ImportCredential=cross-init-test.*\nSetCredential=cross-init-test.a:not this\nSetCredential=b:x",
    "system calls": "SystemCallFilter=@system-service\nSystemCallFilter=~@clock\nSystemCallErrorNumber=EPERM\n"
    "SystemCallLog=@swap\nSystemCallArchitectures=native\nRestrictNamespaces=yes\nRestrictAddressFamilies=AF_UNIX\n"
    "RestrictRealtime=yes\nRestrictSUIDSGID=yes\nLockPersonality=yes",
    "keys of the user's": "KeyringMode=shared\nUser=daemon\nGroup=mail",
    "keys that are there": "KeyringMode=inherit",
    "memory": "MemoryKSM=yes\nMemoryTHP=madvise",
    "memory disabled": "MemoryKSM=no\nMemoryTHP=disable",
    "messages": "NotifyAccess=all\nUser=daemon",
    "signs of life": "WatchdogSec=1h",
    "kept descriptors": "FileDescriptorStoreMax=3",
    "login shell's": "PassEnvironment=NOTHING\nExecSearchPath=/usr/bin:/usr/games",
}
SINCE = {
    "open files": 253,
    "imported": 254,
    "kept descriptors": 254,
    "memory": 262,
    "memory disabled": 262,
}  # of systemd's versions
# $1: the name. No unit has a name twice, so the manager reads each without having to be told to read all anew.
CLEAR = """
name=$1; shift
systemctl stop "$@"; systemctl reset-failed
for place in /run /var/lib /var/cache /var/log /etc; do rm -rf "$place/$name"*; done
"""
SHAPES = ("", "--supervise")
_numbers = itertools.count(1)


@contextmanager
def probed(host: Host, lines: str) -> Iterator[tuple[str, str, Path]]:
    """A unit with these lines: its name, its folder inside, and the same outside."""
    container = host.system.container
    name = f"probe{next(_numbers)}"
    folder = f"/run/{name}.probe"
    outside = container.root / folder[1:]
    outside.mkdir()
    outside.chmod(0o777)
    (container.root / "run/credstore").mkdir(exist_ok=True)
    (container.root / "run/credstore/cross-init-test.a").write_text("from a store")
    (outside / "variables").write_text("# a comment\nA=from file\nB='quoted  twice' \"and \\$more\"\nC=x\\\ny\n;D=no\n")
    text = f"[Service]\n{lines}\nExecStart={PROGRAM}\n"
    for word, value in (("PROBE", PROBE), ("OUTPUT", f"{folder}/seen"), ("FOLDER", folder), ("NAME", name)):
        text = text.replace(word, value)
    unit = container.root / f"run/systemd/system/{name}.service"
    unit.write_text(text)
    units = [f"{who}{name}.service" for who in ("", *(f"ours{shape}-" for shape in SHAPES))]
    try:
        yield name, folder, outside
    finally:
        container.run("sh", "-c", CLEAR, "sh", name, *units)
        for each in units:
            unit.with_name(each).unlink(missing_ok=True)


def seen(outside: Path, container: Container, unit: str) -> dict[str, Any]:
    """What the probe has written; removed, so that the next one's can be waited for."""
    file = outside / "seen"

    def is_there() -> bool:
        return file.exists() and file.read_text().endswith("}")

    try:
        until(is_there, "the probe has written", 20)
    except AssertionError:
        said = container.run("journalctl", "--no-pager", "-u", unit, check=False).stdout
        raise AssertionError(f"{unit} has written nothing:\n{said}") from None
    found: dict[str, Any] = json.loads(file.read_text())
    file.unlink()
    return found


def comparable(found: dict[str, Any]) -> dict[str, Any]:
    """Without what is another one at each start, and where the log goes."""
    found["environment"]["PATH"] = (
        found["environment"].get("PATH", "").removesuffix(":/".join(("", "sbin", "bin")))
    )  # as it was built
    variables = {name: value for name, value in found["environment"].items() if name not in OWN}
    if "NOTIFY_SOCKET" in variables:
        variables["NOTIFY_SOCKET"] = "there"
    descriptors = {fd: link for fd, link in found["descriptors"].items() if fd not in ("1", "2") or "/" in link}
    whole = {**found, "environment": variables, "descriptors": descriptors}
    flat: dict[str, Any] = {}
    for key, value in whole.items():
        flat |= {f"{key} {each}": value[each] for each in value} if isinstance(value, dict) else {key: value}
    return flat


@pytest.mark.parametrize("case", CASES)
def test_a_process_sees_the_same(host: Host, case: str) -> None:
    if version_of(host.system) < SINCE.get(case, 0):
        pytest.skip(f"that came with systemd {SINCE[case]}")
    container = host.system.container
    with probed(host, CASES[case]) as (name, _, outside):
        host.system.systemctl("start", f"{name}.service", check=False)
        theirs = comparable(seen(outside, container, f"{name}.service"))
        host.system.systemctl("stop", f"{name}.service")
        if case == "login" and "environment USER" not in theirs:
            pytest.skip("SetLoginEnvironment= came with systemd 255")
        assert theirs["keyring"][0].startswith("keyring;"), "it can be asked"
        for shape in SHAPES:
            unit = f"ours{shape}-{name}.service"
            (container.root / "run/systemd/system" / unit).write_text(
                f"[Service]\nKeyringMode=inherit\nExecStart={RUN} run --init none {shape} {name}.service\n"
            )
            host.system.systemctl("start", unit)
            ours = comparable(seen(outside, container, unit))
            host.system.systemctl("stop", unit)
            assert different(theirs, ours, shape) == []


def different(theirs: dict[str, Any], ours: dict[str, Any], shape: str) -> list[str]:
    """What is otherwise and should not be, in words."""
    found = [
        f"{key}: systemd {theirs.get(key)!r}, here {ours.get(key)!r}"
        for key in {**theirs, **ours}
        if theirs.get(key) != ours.get(key)
    ]
    if any("440" in str(each) for each in theirs.get("credentials whose", ())):  # by ACLs, since systemd 256
        found = [each for each in found if not each.startswith("credentials whose")]
    if "environment USER" not in theirs:  # as before systemd 257
        found = [each for each in found if each != "environment USER: systemd None, here 'root'"]
    if shape:  # in the same session, and the same group
        found = [each for each in found if not each.startswith("leads")]
    return found
