"""A service without its unit (--expand) and by it (cross-init run): a process sees the same of itself."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.commands.test_translate import translate
from tests.running.test_like_systemd import CASES, OWN, comparable
from tests.support.command import ROOT
from tests.support.waiting import until
from tests.support.written import HERE, Written, written

PROGRAM = (
    '/bin/sh -c \'echo $$$$ >HERE/pid; export IGNORED="$$(sed -n s/^SigIgn:.//p /proc/self/status)"; '
    'exec /usr/bin/python3 -IS HERE/self_seen.py "$$@"\' sh HERE/seen one ${A} $B "two words" $$x'
)
# What the init's own variables are, and what only cross-init run takes from the machine, or sets.
OTHERS = {*OWN, "PATH", "LANG", "PWD", "SHLVL", "USER", "LC_CTYPE", "Seccomp", "Seccomp_filters", "keyring"}
HIDDEN, SHOWN = "/var/lib/private/", "/var/lib/"  # only cross-init run hides a dynamic user's folders
# A remark says so, of these with their keys.
RUN_ALONE = {
    "NUMA": ("NUMAPolicy", "NUMAMask", "CPUAffinity"),
    "NUMA of all": ("NUMAPolicy", "NUMAMask"),
    "credentials": ("LoadCredential", "SetCredential"),
    "credentials of a user's": ("LoadCredential", "SetCredential"),
    "imported": ("ImportCredential", "SetCredential"),
    "open files": ("OpenFile",),
    "keys of the user's": ("KeyringMode",),
    "memory": ("MemoryKSM", "MemoryTHP"),
    "memory disabled": ("MemoryTHP",),
    "system calls": (
        *("SystemCallFilter", "SystemCallErrorNumber", "SystemCallLog", "SystemCallArchitectures"),
        *("RestrictNamespaces", "RestrictAddressFamilies", "RestrictRealtime", "RestrictSUIDSGID", "LockPersonality"),
    ),
}
LEFT_OUT = {"data", "data, coded", "kept descriptors", *RUN_ALONE}  # the third: not where no init stays
MORE = {
    "dynamic user": "DynamicUser=yes\nUser=nobody-yet\nStateDirectory=NAME\nSupplementaryGroups=audio\n"
    "BindPaths=FOLDER",
    "unknown number": "User=54321\nRuntimeDirectory=NAME",
    "group of another number": "User=daemon\nGroup=54321",
    "limits of time and memory": "LimitAS=2G\nLimitCPU=3600\nLimitFSIZE=1G\nLimitDATA=1G\nUser=daemon",
    "inverted, and a device's": "CapabilityBoundingSet=~CAP_NET_RAW\nPrivateDevices=yes\nUser=daemon",
    "idle": "IOSchedulingClass=idle\nCPUSchedulingPolicy=idle\nNice=-3",
    "privileged": "PermissionsStartOnly=yes\nUser=daemon\nExecStartPre=/bin/mkdir -p /run/NAME-root",
    "variables for the shell": 'Environment=IFS=x ENV=/nowhere "LD_LIBRARY_PATH=/a b" _=y PYTHONPATH=/z',
}
INSTEAD = {"priorities": "Nice=5\nOOMScoreAdjust=123\nCoredumpFilter=0x7f"}
VARIABLES = "# a comment\nA=from file\nB='quoted  twice'\n;C=no\n\nD=\"$x \"\n"
# Folders of a service's go there; nobody else is to see them.
OWN_FOLDERS = (
    "cp -a /etc /run/etc && mount --bind /run/etc /etc && "
    "for each in lib cache; do mount -t tmpfs none /var/$each || exit; done"
)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Written]:
    with written("runit", tmp_path_factory.mktemp("machine")) as made:
        done = made.run("sh", "-c", OWN_FOLDERS)
        assert done.code == 0, done.err
        program = ROOT / "tests/support/self_seen.py"
        (made.folder / "self_seen.py").write_bytes(program.read_bytes())
        (made.folder / "variables").write_text(VARIABLES)
        yield made


def seen(machine: Written, *words: str) -> dict[str, Any]:
    """What the probe has written when this was started."""
    file = machine.folder / "seen"
    for each in (file, machine.folder / "pid"):
        each.unlink(missing_ok=True)
    process = machine.begin("setsid", *words)
    until(
        lambda: process.poll() is not None or (file.exists() and file.read_text().endswith("}")), "it has written", 20
    )
    found: dict[str, Any] = json.loads(file.read_text().replace(HIDDEN, SHOWN))
    machine.run("kill", (machine.folder / "pid").read_text().strip())
    process.wait(20)
    left = comparable(found)
    return {key: value for key, value in left.items() if key.removeprefix("environment ") not in OTHERS}


@pytest.mark.parametrize("case", sorted({*CASES, *MORE} - LEFT_OUT))
def test_a_process_sees_the_same(machine: Written, case: str) -> None:
    name = f"probe{sorted({*CASES, *MORE}).index(case)}"
    lines = {**CASES, **MORE, **INSTEAD}[case].replace("NAME", name).replace("FOLDER", HERE)
    machine.folder.chmod(0o777)
    text = f"[Service]\n{lines}\nExecStart={PROGRAM}\n"
    machine.translate_text(f"{name}.service", text, "--expand")
    script = seen(machine, f"{HERE}/services/{name}/run")
    ours = seen(machine, "cross-init", "run", "--init", "none", f"{HERE}/{name}.service")
    assert script == ours


@pytest.mark.parametrize("case", RUN_ALONE)
def test_what_only_run_does_is_said(tmp_path: Path, case: str) -> None:
    unit = tmp_path / "web.service"
    unit.write_text(f"[Service]\n{CASES[case]}\nExecStart=/bin/cat\n")
    keys = ", ".join(f"{key}=" for key in RUN_ALONE[case])
    expanded = translate(str(unit), "--to", "runit", "--expand")
    assert f"only cross-init run does these, so they are left out: {keys}\n" in expanded.stderr
    assert "left out" not in translate(str(unit), "--to", "runit").stderr


def test_that_only_run_ends_it_so_is_said(tmp_path: Path) -> None:
    unit = tmp_path / "web.service"
    usual = "FinalKillSignal=SIGKILL\nExitType=main\nRuntimeMaxSec=infinity\nNonBlocking=no\nWatchdogSignal=SIGABRT\n"
    other = "TimeoutStopFailureMode=abort\nSendSIGHUP=yes\nExecReloadPost=/bin/true\nGuessMainPID=no\n"
    unit.write_text(f"[Service]\n{usual}{other}ExecStart=/bin/cat\n")
    expanded = translate(str(unit), "--to", "runit", "--expand")
    keys = "TimeoutStopFailureMode=, SendSIGHUP=, ExecReloadPost=, GuessMainPID="
    assert f"only cross-init run does these, so they are left out: {keys}\n" in expanded.stderr
    assert not any(line.partition("=")[0] + "=" in expanded.stderr for line in usual.split())
    assert "left out" not in translate(str(unit), "--to", "runit").stderr


def test_that_only_run_makes_a_sandbox_is_said(tmp_path: Path) -> None:
    unit = tmp_path / "web.service"
    unit.write_text("[Service]\nPrivateTmp=yes\nProtectSystem=no\nReadOnlyPaths=/srv\nExecStart=/bin/cat\n")
    expanded = translate(str(unit), "--to", "runit", "--expand")
    assert "only cross-init run does these, so they are left out: PrivateTmp=, ReadOnlyPaths=\n" in expanded.stderr
    assert "left out" not in translate(str(unit), "--to", "runit").stderr
