"""What becomes of a service, as its ExecStopPost= and who starts it see it: under real systemds and cross-init run."""

import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.definitions.test_against_systemd import version_of
from tests.support.command import FRONT_DOOR, PATH
from tests.support.processes import stands_for_it
from tests.support.systemd import Host
from tests.support.waiting import until

AT_ONCE = 4
READY = (
    '/usr/bin/python3 -ISc "import os, socket, time; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM);'
    " s.sendto(b'READY=1', os.environ['NOTIFY_SOCKET'].replace('@', chr(0))); time.sleep(1000)\""
)
HANGS = "/bin/sleep 1000"
HEEDS = "/bin/sh -c 'trap \"DOES\" TERM; while :; do sleep 0.02; done'"
LEAVES = '/usr/bin/python3 -ISc "import os, time; os.fork() and os._exit(0); time.sleep(0.4); os._exit(3)"'
UP = "ExecStartPost=SAY up"
# What the unit says; if it is to be stopped, its last command notes "up".
CASES = {
    "exits": "ExecStart=/bin/true",
    "exits with 3": "ExecStart=EXITS 3",
    "exits with 3, as it may": "ExecStart=EXITS 3\nSuccessExitStatus=3",
    "exits with 3, ignored": "ExecStart=-EXITS 3",
    "killed": "ExecStart=KILLS 9",
    "killed, ignored": "ExecStart=-KILLS 9",
    "terminated": "ExecStart=KILLS 15",
    "by a fault": "ExecStart=KILLS 11",
    "by a signal, as it may": "ExecStart=KILLS 10\nSuccessExitStatus=SIGUSR1",
    "no program": "ExecStart=/nonexistent/program",
    "no program, told": "Type=exec\nExecStart=/nonexistent/program",
    "no program, ignored": "ExecStart=-/nonexistent/program",
    "no program at all": "ExecStart=/etc/hostname",
    "no interpreter": "ExecStart=FOLDER/no-interpreter",
    "no user": "User=nobody-of-this-name\nExecStart=/bin/true",
    "no group": "Group=nobody-of-this-name\nExecStart=/bin/true",
    "no folder": "WorkingDirectory=/nonexistent\nExecStart=/bin/true",
    "no root": "RootDirectory=/nonexistent\nExecStart=/bin/true",
    "no input": "StandardInput=file:/nonexistent\nExecStart=/bin/true",
    "no output": "StandardOutput=file:/nonexistent/file\nExecStart=/bin/true",
    "no variables": "EnvironmentFile=/nonexistent\nExecStart=/bin/true",
    "no credential": "LoadCredential=a:/nonexistent\nExecStart=/bin/true",
    "before fails": "ExecStartPre=EXITS 3\nExecStartPre=SAY not\nExecStart=/bin/true",
    "before is ignored": "ExecStartPre=-EXITS 3\nExecStart=/bin/true",
    "before is killed": "ExecStartPre=KILLS 9\nExecStart=/bin/true",
    "before is not there": "ExecStartPre=/nonexistent/program\nExecStart=/bin/true",
    "before takes too long": f"ExecStartPre={HANGS}\nTimeoutStartSec=300ms\nExecStart=/bin/true",
    "condition": "ExecCondition=EXITS 1\nExecStartPre=SAY not\nExecStart=/bin/true",
    "condition breaks": "ExecCondition=EXITS 255\nExecStart=/bin/true",
    "condition is killed": "ExecCondition=KILLS 9\nExecStart=/bin/true",
    "behind fails": f"ExecStart={HANGS}\nExecStartPost=EXITS 3\nExecStartPost=SAY not",
    "behind is killed": f"ExecStart={HANGS}\nExecStartPost=KILLS 9",
    "behind is ignored": "ExecStart=/bin/sleep 0.3\nExecStartPost=-EXITS 3",
    "behind takes too long": f"ExecStart={HANGS}\nExecStartPost={HANGS}\nTimeoutStartSec=300ms",
    "never ready": "Type=notify\nExecStart=/bin/true",
    "never ready, exits with 3": "Type=notify\nExecStart=EXITS 3",
    "never ready, killed": "Type=notify\nExecStart=KILLS 9",
    "ready too late": f"Type=notify\nExecStart={HANGS}\nTimeoutStartSec=300ms",
    "forks, and fails": "Type=forking\nExecStart=EXITS 3",
    "forks, killed": "Type=forking\nExecStart=KILLS 9",
    "forks nothing": "Type=forking\nExecStart=/bin/true",
    "forks too late": f"Type=forking\nExecStart={HANGS}\nTimeoutStartSec=300ms",
    "forks, no file": "Type=forking\nPIDFile=/run/nobody-writes-this.pid\nTimeoutStartSec=500ms\n"
    "ExecStart=/bin/sh -c 'sleep 1000 &'",
    "forks, to its end": f"Type=forking\nExecStart={LEAVES}",
    "a oneshot": "Type=oneshot\nExecStart=/bin/true\nExecStart=SAY both",
    "a oneshot fails": "Type=oneshot\nExecStart=/bin/true\nExecStart=EXITS 4\nExecStart=SAY not",
    "a oneshot is ignored": "Type=oneshot\nExecStart=-EXITS 4\nExecStart=SAY both",
    "a oneshot is killed": "Type=oneshot\nExecStart=KILLS 9",
    "a oneshot is terminated": "Type=oneshot\nExecStart=KILLS 15",
    "a oneshot as it may": "Type=oneshot\nExecStart=EXITS 4\nSuccessExitStatus=4",
    "a oneshot takes too long": f"Type=oneshot\nExecStart={HANGS}\nTimeoutStartSec=300ms",
    "a oneshot, behind fails": "Type=oneshot\nExecStart=/bin/true\nExecStartPost=EXITS 3",
    "a oneshot remains": f"Type=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\nExecStop=SAY stops\n{UP}",
    "no sign of life": f"Type=notify\nWatchdogSec=300ms\nExecStart={READY}",
    "runs too long": f"ExecStart={HANGS}\nRuntimeMaxSec=300ms",
    "stopped": f"ExecStart={HANGS}\nExecStop=SAY stops\n{UP}",
    "stopped, exits with 4": f"ExecStart={HEEDS.replace('DOES', 'exit 4')}\n{UP}",
    "stopped, in vain": f"ExecStart={HEEDS.replace('DOES', '')}\n{UP}\nTimeoutStopSec=300ms",
    "stop fails": f"ExecStart={HANGS}\nExecStop=EXITS 3\nExecStop=SAY not\n{UP}",
    "stop is ignored": f"ExecStart={HANGS}\nExecStop=-EXITS 3\nExecStop=SAY both\n{UP}",
    "stop takes too long": f"ExecStart={HANGS}\nExecStop={HANGS}\n{UP}\nTimeoutStopSec=300ms",
    "stop by itself": "ExecStart=/bin/sh -c 'sleep 0.3; exit 0'\nExecStop=SAY stops\nExecStartPost=SAY begins",
    "stop by itself fails": "ExecStart=/bin/true\nExecStop=EXITS 3",
    "after fails": "ExecStart=/bin/true\nExecStopPost=EXITS 3",
    "after is ignored": "ExecStart=/bin/true\nExecStopPost=-EXITS 3",
    "after takes too long": f"ExecStart=/bin/true\nExecStopPost={HANGS}\nTimeoutStopSec=300ms",
    "program made before": "ExecStartPre=/bin/cp /bin/true FOLDER/made\nExecStart=FOLDER/made",
    "program not made before": "ExecStartPre=/bin/true\nExecStart=FOLDER/made",
    "stop after a failure": "ExecStart=/bin/sh -c 'sleep 0.3; exit 3'\nExecStop=SAY not",
}
WORDS = {
    "EXITS": "/bin/sh -c 'exit $$0'",
    "KILLS": "/bin/sh -c 'kill -$$0 $$$$; sleep 1000'",
}
STOPPED = "SAY up"
REMAINS = "RemainAfterExit=yes"
# A program that is nowhere is refused before anything is run (docs/run.md).
REFUSED = ("no program", "no program, told")
# Which systemds have it so: since then its main process has that exit code; and from 262 on that one is not found.
SINCE = {"no program, ignored": 262}
BEFORE = {"forks, to its end": 262}
Become = tuple[bool, list[str]]


def text(case: str, folder: str) -> str:
    """Its unit. folder: where it writes."""
    lines = f"{CASES[case]}\nExecStopPost=SAY ended $SERVICE_RESULT ${{EXIT_CODE}} ${{EXIT_STATUS}}\n"
    if "Timeout" not in lines:
        lines += "TimeoutStopSec=5\n"
    for word, value in WORDS.items():
        lines = lines.replace(word, value)
    lines = lines.replace("SAY", f"/bin/sh -c 'echo \"$$@\" >>{folder}/said' sh")
    return f"[Service]\nLimitCORE=0\n{lines}".replace("FOLDER", folder)


def prepare(outside: Path) -> None:
    """What the cases need there."""
    outside.mkdir()
    program = outside / "no-interpreter"
    program.write_text("#!/nonexistent/interpreter\n")
    program.chmod(0o755)


def said(outside: Path) -> list[str]:
    """What its commands have noted."""
    file = outside / "said"
    return file.read_text().splitlines() if file.exists() else []


def run_here(folder: Path, case: str) -> Become:
    """Whether it has failed here, and what it has noted."""
    outside = folder / name_of(case)
    prepare(outside)
    unit = folder / f"{name_of(case)}.service"
    unit.write_text(text(case, str(outside)))
    process = subprocess.Popen(
        [str(FRONT_DOOR), "run", "--init", "none", str(unit)],
        env={"PATH": PATH},
        stdin=subprocess.DEVNULL,
        stderr=(outside / "err").open("wb"),
    )
    try:
        if STOPPED in CASES[case]:
            until(lambda: "up" in said(outside), f"{case}: it is up", 30)
            if REMAINS in CASES[case]:  # by then it is, and not yet when that was noted
                until(lambda: stands_for_it(process.pid), f"{case}: somebody stays", 30)
            process.send_signal(signal.SIGTERM)
        process.wait(15)
    except subprocess.TimeoutExpired:
        return True, ["HANGS"]
    finally:
        process.kill()
        process.wait()
    return process.returncode not in (0, -signal.SIGTERM, -signal.SIGHUP, -signal.SIGINT, -signal.SIGPIPE), said(
        outside
    )


def name_of(case: str) -> str:
    """A unit's name."""
    return f"result{os.getpid()}-" + case.replace(" ", "-").replace(",", "")


@pytest.fixture(scope="session")
def ours(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Become]:
    """What has become of them here."""
    folder = tmp_path_factory.mktemp("results")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(CASES, pool.map(lambda case: run_here(folder, case), CASES), strict=True))


@pytest.fixture
def theirs(host: Host) -> Iterator[dict[str, Become]]:
    """The same under this systemd."""
    system, container = host.system, host.system.container
    outside = container.root / "run/results"
    outside.mkdir()
    files = {case: system.folder / f"{name_of(case)}.service" for case in CASES}

    def shown(names: list[str]) -> list[str]:
        lines = system.systemctl("show", "--property", "ActiveState", *names).stdout.split()
        return [line.partition("=")[2] for line in lines]

    try:
        for case, file in files.items():
            prepare(outside / name_of(case))
            file.write_text(text(case, f"/run/results/{name_of(case)}"))
        system.systemctl("daemon-reload")
        system.systemctl("start", "--no-block", *(file.name for file in files.values()))
        stopped = [files[case].name for case in CASES if STOPPED in CASES[case]]
        until(lambda: set(shown(stopped)) == {"active"}, "all are up that are to be stopped", 30)
        system.systemctl("stop", "--no-block", *stopped)
        names = [file.name for file in files.values()]
        until(lambda: set(shown(names)) <= {"inactive", "failed"}, "all have ended", 30)
        failed = [state == "failed" for state in shown(names)]
        yield {case: (each, said(outside / name_of(case))) for case, each in zip(CASES, failed, strict=True)}
    finally:
        for file in files.values():
            file.unlink(missing_ok=True)
        system.systemctl("daemon-reload")
        system.systemctl("reset-failed", check=False)
        container.run("rm", "-r", "/run/results")


def test_the_same_has_become_of_it(host: Host, theirs: dict[str, Become], ours: dict[str, Become]) -> None:
    assert [ours[case] for case in REFUSED] == [(True, [])] * len(REFUSED)
    version = version_of(host.system)
    alike = [case for case in CASES if SINCE.get(case, 0) <= version < BEFORE.get(case, 999) and case not in REFUSED]
    different = [
        f"{case}: systemd {theirs[case]!r}, here {ours[case]!r}" for case in alike if theirs[case] != ours[case]
    ]
    assert not different, "\n".join(different)
