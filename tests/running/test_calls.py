"""Calls that a unit forbids, made under a real systemd and under cross-init run: the same error, or the same signal."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.definitions.test_against_systemd import version_of
from tests.running.test_like_systemd import RUN
from tests.support.command import ROOT
from tests.support.packages import need
from tests.support.systemd import Host
from tests.support.waiting import until

CASES = {
    "families": "RestrictAddressFamilies=AF_UNIX AF_INET6",
    "no such family": "RestrictAddressFamilies=~AF_INET",
    "namespaces": "RestrictNamespaces=yes",
    "some namespaces": "RestrictNamespaces=uts ipc",
    "memory": "MemoryDenyWriteExecute=yes",
    "real time": "RestrictRealtime=yes",
    "special bits": "RestrictSUIDSGID=yes",
    "personality": "LockPersonality=yes",
    "architectures": "SystemCallArchitectures=native",
    "allowed": "SystemCallFilter=@system-service\nSystemCallErrorNumber=EUCLEAN",
    "killed": "SystemCallFilter=~@mount uname",
    "errors": "SystemCallFilter=~@mount:ENOTTY uname:EXDEV\nSystemCallErrorNumber=EUCLEAN\nSystemCallFilter=~chown",
    "logged": "SystemCallLog=uname",
    "modules": "ProtectKernelModules=yes",
    "logs": "ProtectKernelLogs=yes",
    "clock": "ProtectClock=yes",
    "host name": "ProtectHostname=yes",
    "devices": "PrivateDevices=yes",
    "nothing": "",
}
# What systemd 252 lets through, and 262 does not; and what it denies by a filter, and the kernel by itself.
OF_LATER = {
    "real time": ("sched_setattr",),
    "allowed": ("nobody's", "fchmodat2", "x32"),
    "memory": ("mmap", "mprotect", "shmat"),
}
WHOSE = ("", "User=daemon\n")


@pytest.fixture(scope="module")
def results(host: Host, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[dict[str, str], dict[str, str]]]:
    """Of each case, as root and as another user: what came of each call under systemd, and under cross-init run."""
    need("gcc", "libc6-dev")
    made = tmp_path_factory.mktemp("calls") / "calls"
    source = ROOT / "tests/daemons/calls.c"
    subprocess.run(["gcc", "-O1", "-static", "-o", made, source], check=True, capture_output=True, timeout=60)
    folder = host.system.container.root / "run/calls"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o777)
    shutil.copy(made, folder / "calls")
    both = [(case, whose) for case in CASES for whose in WHOSE]
    names = {each: f"calls{at}.service" for at, each in enumerate(both)}
    for (case, whose), name in names.items():
        unit = f"[Service]\n{whose}{CASES[case]}\nExecStart=/run/calls/calls /run/calls/%n\n"
        (host.system.folder / name).write_text(unit)
        (host.system.folder / f"ours-{name}").write_text(f"[Service]\nExecStart={RUN} run --init none {name}\n")
    host.system.systemctl("daemon-reload")
    try:
        theirs, ours = (said(host, folder, beginning, list(names.values())) for beginning in ("", "ours-"))
        return {f"{case}{whose}": (theirs[name], ours[name]) for (case, whose), name in names.items()}
    finally:
        for name in names.values():
            (host.system.folder / name).unlink()
            (host.system.folder / f"ours-{name}").unlink()
        host.system.systemctl("daemon-reload")
        host.system.systemctl("reset-failed", check=False)


def said(host: Host, folder: Path, beginning: str, names: list[str]) -> dict[str, dict[str, str]]:
    """Start all; each one's file, removed."""
    host.system.systemctl("start", "--no-block", *(f"{beginning}{name}" for name in names))
    until(lambda: all((folder / name).exists() for name in names), "all have written", 60)
    found = {}
    for name in names:
        lines = (folder / name).read_text().splitlines()
        found[name] = {" ".join(words[:-1]): words[-1] for words in map(str.split, lines)}
        (folder / name).unlink()
    return found


@pytest.mark.parametrize("whose", WHOSE, ids=["root", "user"])
@pytest.mark.parametrize("case", CASES)
def test_each_call_gets_the_same(
    host: Host, results: dict[str, tuple[dict[str, str], dict[str, str]]], case: str, whose: str
) -> None:
    theirs, ours = results[f"{case}{whose}"]
    passed = OF_LATER.get(case, ()) if version_of(host.system) < 262 else ()
    assert len(ours) > 70
    assert {name: each for name, each in ours.items() if name not in passed} == {
        name: each for name, each in theirs.items() if name not in passed
    }


def test_what_is_forbidden_is_refused(results: dict[str, tuple[dict[str, str], dict[str, str]]]) -> None:
    """Where systemd and we agree, it is on something."""
    wanted = {
        "families": ("socket 2", "97"),
        "namespaces": ("unshare uts", "1"),
        "memory": ("mmap", "13"),
        "real time": ("sched_setattr", "1"),
        "special bits": ("set-user-ID", "1"),
        "personality": ("personality 32", "1"),
        "architectures": ("int 0x80 signal", "31"),
        "allowed": ("mount", "117"),
        "killed": ("mount signal", "31"),
        "errors": ("uname", "18"),
        "modules": ("init_module", "1"),
        "logs": ("syslog", "1"),
        "clock": ("settimeofday", "1"),
        "host name": ("sethostname", "1"),
        "devices": ("ioperm", "1"),
    }
    found = {case: results[case][1] for case in wanted}
    assert {case: found[case].get(name) for case, (name, _) in wanted.items()} == {
        case: error for case, (_, error) in wanted.items()
    }
