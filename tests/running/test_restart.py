"""--restart: the decisions of a real systemd, and a real daemon that process 1 of a container starts anew."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cross_init.definitions.definition import SECOND, Ending
from cross_init.running.again import Limit, delay
from tests.support.command import FRONT_DOOR, PATH
from tests.support.containers import FRONT_DOOR as FRONT_DOOR_INSIDE
from tests.support.own import free_port
from tests.support.packages import need
from tests.support.processes import children
from tests.support.systemd import Host
from tests.support.waiting import becomes, until

POLICIES = ("no", "on-success", "on-failure", "on-abnormal", "on-watchdog", "on-abort", "always")
# How the main process ends: what it does, in a shell; or what the unit says more.
ENDS = {
    "well": ("exit 0", ""),
    "badly": ("exit 1", ""),
    "well-for-once": ("exit 9", "SuccessExitStatus=9"),
    "of-a-signal-for-once": ("kill -USR1 $$", "SuccessExitStatus=SIGUSR1"),
    "of-term": ("kill -TERM $$", ""),
    "of-kill": ("kill -KILL $$", ""),
    "of-abrt": ("kill -ABRT $$", ""),
    "silent": ("exec sleep 60", "Type=notify\nNotifyAccess=all\nWatchdogSec=200ms\nTimeoutAbortSec=5s"),
    "late": ("exec sleep 60", "Type=notify\nTimeoutStartSec=2s"),
    "prevented": ("exit 8", "RestartPreventExitStatus=8"),
    "prevented-signal": ("kill -KILL $$", "RestartPreventExitStatus=SIGKILL"),
    "forced": ("exit 8", "RestartForceExitStatus=8"),
    "forced-signal": ("kill -TERM $$", "RestartForceExitStatus=SIGTERM"),
    "forced-and-prevented": ("exit 8", "RestartForceExitStatus=8\nRestartPreventExitStatus=8"),
    "before": ("exit 0", "ExecStartPre=/bin/sh -c 'test -e FILE.pre && exit 0; touch FILE.pre; exit 4'"),
    "skipped": ("exit 0", "ExecCondition=/bin/sh -c 'touch FILE.pre; exit 4'"),
    "oneshot": ("exit 3", "Type=oneshot"),
    "oneshot-of-term": ("kill -TERM $$", "Type=oneshot"),
}
SCRIPT = """#!/bin/sh
test -e FILE && { touch FILE.twice; exit 77; }
touch FILE
READY
END
"""
READY = "systemd-notify READY=1 || exit 99"
RUN_ALL = f"""
cd $1
ls *.service |
xargs -P 6 -I NAME sh -c '{FRONT_DOOR_INSIDE} run --init none --restart $0/NAME > $0/NAME.said 2>&1' $1
"""


def units(folder: Path, inside: str) -> list[str]:
    """A unit for each policy and end; their names. Once started anew it ends for good."""
    made = []
    for policy in POLICIES:
        for kind, (end, more) in ENDS.items():
            if kind.startswith("oneshot") and policy in ("always", "on-success"):
                continue  # systemd loads no such unit
            name = f"again-{policy}-{kind}"
            file = f"{inside}/{name}"
            script = folder / f"{name}.sh"
            text = SCRIPT.replace("READY", READY if kind == "silent" else "").replace("END", end).replace("FILE", file)
            script.write_text(text)
            script.chmod(0o755)
            prevented = "" if "RestartPrevent" in more else "RestartPreventExitStatus=77\n"
            prevented = (
                "RestartPreventExitStatus=77 8\n" if kind in ("prevented", "forced-and-prevented") else prevented
            )
            more = more.replace("FILE", file)
            (folder / f"{name}.service").write_text(
                f"[Service]\nExecStart={file}.sh\nRestart={policy}\nRestartSec=50ms\nLimitCORE=0\n{more}\n{prevented}"
            )
            made.append(name)
    return made


def anew(folder: Path, names: list[str]) -> dict[str, tuple[bool, bool]]:
    """Whether each has begun, and was started anew."""
    return {name: ((folder / name).exists(), (folder / f"{name}.twice").exists()) for name in names}


def test_it_is_started_anew_when_systemd_does_so(host: Host) -> None:
    container = host.system.container
    outside = container.root / "run/again"
    theirs, ours = outside / "theirs", outside / "ours"
    for each in (outside, theirs, ours):
        each.mkdir()
        each.chmod(0o777)
    names = units(theirs, "/run/again/theirs")
    units(ours, "/run/again/ours")
    files = [host.system.folder / f"{name}.service" for name in names]
    for file in files:
        file.write_text((theirs / file.name).read_text())
    try:
        host.system.systemctl("daemon-reload")
        host.system.systemctl("start", "--no-block", *(file.name for file in files))

        def busy() -> set[str]:
            shown = host.system.systemctl("show", "--property", "ActiveState,Job", *(file.name for file in files))
            return {line for line in shown.stdout.split() if line not in QUIET}

        becomes(busy, set[str](), 60)
        words = container.enter("sh", "-c", RUN_ALL, "sh", "/run/again/ours")
        subprocess.run(words, env=container.environment(0), check=False, timeout=240)
        assert anew(ours, names) == anew(theirs, names)
    finally:
        host.system.systemctl("stop", *(file.name for file in files), check=False)
        for file in files:
            file.unlink()
        host.system.systemctl("daemon-reload")
        host.system.systemctl("reset-failed", check=False)
        container.run("rm", "-r", "/run/again")


QUIET = ("ActiveState=inactive", "ActiveState=failed", "Job=", "Job=0")


def test_the_delay_grows_as_systemd_has_it() -> None:
    ending = Ending()
    ending.restart_delay, ending.restart_max_delay, ending.restart_steps = SECOND, 16 * SECOND, 4
    assert [round(delay(ending, count), 3) for count in range(1, 8)] == [1, 2, 4, 8, 16, 16, 16]
    ending.restart_steps = 0
    assert delay(ending, 5) == 1


def test_so_many_starts_within_that_time() -> None:
    limit = Limit(3, 10 * SECOND)
    assert [limit.allows(now) for now in (0, 1, 2, 9, 10, 11, 12, 13, 14)] == [
        *(True, True, True, False, False),
        *(True, True, True, False),
    ]
    assert all(Limit(0, 10).allows(0) for _ in range(9))


@contextmanager
def contained(*words: str) -> Iterator["subprocess.Popen[str]"]:
    """cross-init run as process 1 of a PID namespace of its own, which ends with the test."""
    alone = ("unshare", "--mount", "--propagation", "private", "--mount-proc", "--pid", "--fork", "--kill-child")
    process = subprocess.Popen(
        [*alone, str(FRONT_DOOR), "run", *words],
        env={"PATH": PATH},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def asked(port: int) -> str:
    """Redis's own PID, "" while nobody answers."""
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as client:
            client.sendall(b"info server\r\n")
            said = client.recv(10_000).decode()
    except OSError:
        return ""
    return next((line.partition(":")[2] for line in said.splitlines() if line.startswith("process_id:")), "")


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a PID namespace of its own")


@needs_root
def test_a_daemon_that_is_killed_is_started_anew_in_a_container_and_a_stop_ends_it(tmp_path: Path) -> None:
    need("redis-server")
    port = free_port()
    unit = tmp_path / "redis.service"
    unit.write_text(
        f"[Service]\nType=notify\nExecStart=/usr/bin/redis-server --port {port} --supervised systemd --daemonize no "
        f"--save '' --dir {tmp_path}\nRestart=on-failure\nRestartSec=0\nExecStopPost=/bin/sh -c "
        f"'echo $SERVICE_RESULT >> {tmp_path}/ends'\n"
    )
    with contained("--restart", str(unit)) as process:
        until(lambda: asked(port) != "", "it serves")
        first = asked(port)
        (one,) = children(process.pid)
        subprocess.run(
            ["nsenter", "--target", str(one), "--pid", "--mount", "sh", "-c", f"kill -9 {first}"],
            check=True,
            env={"PATH": PATH},
        )
        until(lambda: asked(port) not in ("", first), "it serves again")
        os.kill(one, signal.SIGTERM)
        said, _ = process.communicate(timeout=30)
    assert process.returncode == 0, said
    assert "redis.service has ended (SIGKILL, signal): it is started anew in 0 s (Restart=on-failure)" in said
    assert (tmp_path / "ends").read_text().split() == ["signal", "success"]


@needs_root
@pytest.mark.parametrize("when", ["it waits", "before", "it runs"])
def test_a_stop_ends_it_at_any_moment(tmp_path: Path, when: str) -> None:
    unit = tmp_path / "a.service"
    here = tmp_path / "here"
    last = {"it waits": "exit 1", "before": "exit 1", "it runs": "exec sleep 600"}[when]
    before = f"ExecStartPre=/bin/sh -c 'touch {here}; exec sleep 600'\n" if when == "before" else ""
    unit.write_text(
        f"[Service]\n{before}ExecStart=/bin/sh -c 'touch {here}; {last}'\nRestart=always\nRestartSec=600\n"
        f"RuntimeDirectory=a-{os.getpid()}\nRuntimeDirectoryPreserve=restart\n"
    )
    with contained("--restart", str(unit)) as process:
        until(here.exists, "it has begun")
        if when == "it waits":
            assert process.stdout is not None
            line = process.stdout.readline()
            while "is started anew in 600 s" not in line:
                assert line, "it has ended"
                line = process.stdout.readline()
        (one,) = children(process.pid)
        os.kill(one, signal.SIGTERM)
        process.communicate(timeout=30)
    assert process.returncode == {"it waits": 1, "before": 143, "it runs": 143}[when]
    becomes(Path(f"/run/a-{os.getpid()}").exists, False)


def test_an_init_that_starts_anew_itself_is_not_stood_in_for(tmp_path: Path) -> None:
    unit = tmp_path / "a.service"
    unit.write_text("[Service]\nExecStart=/bin/true\nRestart=always\n")
    words = [str(FRONT_DOOR), "run", "--init", "runit", "--restart", str(unit)]
    ran = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert (ran.returncode, "--restart: " in ran.stderr, ran.stderr.count("\n")) == (125, True, 1), ran
