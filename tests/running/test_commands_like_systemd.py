"""What each command of a unit (ExecStartPre= and so on) sees of itself, under a real systemd and cross-init run."""

import itertools
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.definitions.test_against_systemd import version_of
from tests.running.test_like_systemd import CLEAR, PROBE, RUN, comparable, different
from tests.support.systemd import Host
from tests.support.waiting import becomes, until

WRITES = (
    '/bin/sh -c \'export IGNORED="$$(sed -n s/^SigIgn:.//p /proc/self/status)"; '
    f'exec /usr/bin/python3 -IS {PROBE} "$$@"\' sh FOLDER/seen-KIND'
)
BEFORE = ("ExecCondition", "ExecStartPre")
KINDS = (*BEFORE, "ExecStartPost", "ExecReload", "ExecStop", "ExecStopPost")
ALL_FOLDERS = "".join(f"{kind}Directory=NAME\n" for kind in ("Runtime", "State", "Cache", "Logs", "Configuration"))
# The lines of a unit, and what stands before each of its commands.
CASES: dict[str, tuple[str, str]] = {
    "nothing": ("", ""),
    "user": ("User=daemon\nGroup=mail\nSupplementaryGroups=audio", ""),
    "user, and all rights": ("User=daemon\nCapabilityBoundingSet=CAP_CHOWN\nNoNewPrivileges=yes\nLimitNPROC=99", "+"),
    "user, but not its rights": ("User=daemon\nGroup=mail\nAmbientCapabilities=CAP_CHOWN\nUMask=0077", "!"),
    "start alone": ("User=daemon\nGroup=mail\nPermissionsStartOnly=yes", ""),
    "folders": (f"{ALL_FOLDERS}User=daemon", ""),
    "folders, and all rights": (f"{ALL_FOLDERS}User=daemon", "+"),
    "environment": ("Environment=A=1 B=2\nEnvironmentFile=FOLDER/variables\nUnsetEnvironment=B PATH", ""),
    "priorities": ("Nice=5\nOOMScoreAdjust=123\nTimerSlackNSec=1ms\nCPUSchedulingPolicy=batch\nCPUAffinity=0", ""),
    "limits": ("LimitNOFILE=100:200\nLimitCORE=0\nLimitSTACK=4M\nCoredumpFilter=0x7f", ""),
    "folder and mask": ("WorkingDirectory=/usr/share\nUMask=0027\nIgnoreSIGPIPE=no", ""),
    "capabilities": (
        "CapabilityBoundingSet=CAP_CHOWN CAP_SETUID\nAmbientCapabilities=CAP_CHOWN\nSecureBits=noroot",
        "",
    ),
    "credentials": ("SetCredential=a:x\nLoadCredential=b:FOLDER/variables\nUser=daemon", ""),
    "files": ("StandardInput=file:/etc/hostname\nStandardOutput=append:FOLDER/out\nStandardError=inherit", ""),
    "data": ("StandardInputText=hello", ""),
    "nothing to write to": ("StandardOutput=null\nStandardError=null", ""),
    "told by all": ("NotifyAccess=all\nWatchdogSec=1min", ""),
    "told by main": ("NotifyAccess=main\nWatchdogSec=1min", ""),
    "keys": ("KeyringMode=shared\nUser=daemon", ""),
    "filters": ("SystemCallFilter=@system-service\nRestrictRealtime=yes\nLockPersonality=yes\nUser=daemon", ""),
    "files that are opened": ("OpenFile=/etc/hostname:first:read-only", ""),
    "kept": ("FileDescriptorStoreMax=3", ""),
    "sandbox": (
        "PrivateTmp=yes\nProtectSystem=strict\nProtectHome=yes\nPrivateDevices=yes\nUser=daemon\nReadWritePaths=FOLDER",
        "",
    ),
    "sandbox, and all rights": (
        "PrivateTmp=yes\nProtectSystem=strict\nPrivateNetwork=yes\nUser=daemon\nReadWritePaths=FOLDER",
        "+",
    ),
    "user for a while": ("DynamicUser=yes\nStateDirectory=NAME\nReadWritePaths=FOLDER", ""),
    "domain": ("Personality=x86\nMemoryTHP=disable", ""),
}
# From which systemd on they are as here.
SINCE = {"files that are opened": 253, "kept": 254, "domain": 262, "credentials": 262, "user for a while": 262}
# What a command with all rights has of its manager, which is another one here.
MANAGERS = ("CapInh", "limits")
NO_NEW_PRIVILEGES = 256  # until then a user's service with a filter had them without need
MAIN_BY_PIDFD = 262  # as of here, MAINPIDFDID
_numbers = itertools.count(1)


@contextmanager
def probed(host: Host, case: str) -> Iterator[tuple[str, Path]]:
    """A unit whose commands all write down what they see: its name, and where they write it."""
    container, (lines, before) = host.system.container, CASES[case]
    # Containers of several test runs may stand in one control group, and so would units of one name.
    name = f"c{os.getpid()}x{next(_numbers)}"
    outside = container.root / f"run/{name}.probe"
    outside.mkdir()
    outside.chmod(0o777)
    (outside / "variables").write_text("C=from file\n")
    commands = [f"{kind}={before}{WRITES.replace('KIND', kind)} once" for kind in KINDS]
    text = "\n".join(("[Service]", lines, f"ExecStart={WRITES.replace('KIND', 'ExecStart')} main", *commands, ""))
    unit = container.root / f"run/systemd/system/{name}.service"
    unit.write_text(text.replace("FOLDER", f"/run/{name}.probe").replace("NAME", name))
    ours = unit.with_name(f"ours-{name}.service")
    ours.write_text(
        f"[Service]\nKeyringMode=inherit\nExecReload=/bin/kill -HUP $MAINPID\nKillMode=mixed\n"
        f"ExecStart={RUN} run --init none {name}.service\n"
    )
    try:
        yield name, outside
    finally:
        container.run("sh", "-c", CLEAR, "sh", name, unit.name, ours.name)
        unit.unlink()
        ours.unlink()


def written(host: Host, unit: str, outside: Path, kind: str) -> dict[str, Any]:
    """What that command has written; removed, so that the next one's can be waited for."""
    file = outside / f"seen-{kind}"
    try:
        until(lambda: file.exists() and file.read_text().endswith("}"), f"{kind}= has been run", 20)
    except AssertionError:
        said = host.system.container.run("journalctl", "--no-pager", "-u", unit, check=False).stdout
        raise AssertionError(f"{unit} has not run {kind}=:\n{said}") from None
    found: dict[str, Any] = json.loads(file.read_text())
    if found["user"].isdigit():  # of a DynamicUser=, which has another number under each manager
        found = json.loads(file.read_text().replace(found["user"], "NUMBER"))
    file.unlink()
    for variable in ("MAINPID", "MAINPIDFDID", "NOTIFY_SOCKET", "WATCHDOG_PID"):
        if variable in found["environment"]:
            found["environment"][variable] = "set"
    return comparable(found)


def run_through(host: Host, unit: str, outside: Path) -> dict[str, dict[str, Any]]:
    """Started, reloaded and stopped: what each command has seen."""
    system = host.system
    system.systemctl("start", "--no-block", unit)
    found = {kind: written(host, unit, outside, kind) for kind in (*BEFORE, "ExecStart", "ExecStartPost")}
    becomes(lambda: system.systemctl("show", "--property", "ActiveState", unit).stdout, "ActiveState=active\n")
    system.systemctl("reload", unit)
    found["ExecReload"] = written(host, unit, outside, "ExecReload")
    system.systemctl("stop", unit)
    return found | {kind: written(host, unit, outside, kind) for kind in ("ExecStop", "ExecStopPost")}


def is_full(case: str) -> bool:
    """Whether its commands have all rights."""
    lines, before = CASES[case]
    return before == "+" or "PermissionsStartOnly" in lines


@pytest.mark.parametrize("case", CASES)
def test_each_command_sees_the_same(host: Host, case: str) -> None:
    version = version_of(host.system)
    if version < SINCE.get(case, 0):
        pytest.skip(f"that came with systemd {SINCE[case]}")
    with probed(host, case) as (name, outside):
        theirs = run_through(host, f"{name}.service", outside)
        ours = run_through(host, f"ours-{name}.service", outside)
    found: dict[str, list[str]] = {}
    for kind, own in ours.items():
        for each in different(theirs[kind], own, "--supervise"):
            is_managers = kind != "ExecStart" and is_full(case) and each.startswith(MANAGERS)
            is_older = version < NO_NEW_PRIVILEGES and each.startswith("NoNewPrivs")
            is_newer = version < MAIN_BY_PIDFD and "MAINPIDFDID" in each
            is_unheard = kind != "ExecStart" and each.startswith("environment NOTIFY_SOCKET")  # docs/run.md
            if not (is_managers or is_older or is_newer or is_unheard):
                found.setdefault(each, []).append(kind)
    assert not found, "\n".join(f"{each} in {' '.join(kinds)}" for each, kinds in found.items())
