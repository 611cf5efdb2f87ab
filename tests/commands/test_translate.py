"""cross-init translate: an Upstart job as a unit, on standard output and as files."""

import subprocess
from pathlib import Path

import pytest

from cross_init.writers.names import WRITERS
from tests.support.command import FORM

FRONT_DOOR = [str(Path(__file__).resolve().parents[2] / FORM.removesuffix("-bridge"))]
JOB = """description "Web, 100%"
start on runlevel [2345] or socket PROTO=inet PORT=80
respawn
setuid www-data
setgid www-data
expect stop
exec /bin/cat --log "$LOG"
"""
UNIT = """[Unit]
Description=Web, 100%%
StartLimitIntervalSec=5
StartLimitBurst=11

[Service]
Type=notify
User=www-data
Group=www-data
ExecStart=:/usr/bin/cross-init-bridge -t upstart -N -- /bin/sh -e -c 'exec /bin/cat --log "$LOG"' /bin/sh
ExecReload=+/bin/kill -HUP $MAINPID
Restart=always
TimeoutStartSec=infinity
TimeoutStopSec=5
IgnoreSIGPIPE=no
SyslogIdentifier=web

[Install]
WantedBy=multi-user.target
"""


def translate(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*FRONT_DOOR, "translate", *words], capture_output=True, text=True, timeout=60)


def test_a_job_becomes_files(tmp_path: Path) -> None:
    (tmp_path / "web.conf").write_text(JOB)
    for _ in range(2):  # again, over those that are there
        done = translate(str(tmp_path / "web.conf"), "--to", "systemd", "-o", str(tmp_path))
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == f"{tmp_path}/web.service\n{tmp_path}/web.socket\n"
    assert (tmp_path / "web.service").read_text() == UNIT
    assert "ListenStream=0.0.0.0:80\n" in (tmp_path / "web.socket").read_text()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["web.conf", "web.service", "web.socket"]


def test_what_is_lost_is_said_twice(tmp_path: Path) -> None:
    (tmp_path / "web.conf").write_text("start on a-thing\nexec /bin/cat\n")
    done = translate(str(tmp_path / "web.conf"), "--to=systemd")
    line = f"{tmp_path}/web.conf:1: start on: a-thing: no unit is started by this"
    assert done.stderr == f"cross-init: translate: {line}\n"
    assert done.stdout.startswith(f"# web.service\n# {line}\n[Service]\nType=exec\nExecStart=/bin/cat\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "translate takes one unit: its name, as redis-server.service, or its file's path"),
        (["x.conf"], "translate --to INIT: INIT may be " + ", ".join(WRITERS)),
        (
            ["x.conf", "--to", "sytemd"],
            f"translate --to sytemd: INIT may be {', '.join(WRITERS)}; did you mean systemd?",
        ),
        (["x.conf", "--to"], "translate --to: an init is missing"),
        (["x.conf", "--two"], "translate --two: no such option; there are --to, -o, --expand, --unit-path, --user"),
        (["/nowhere/x.conf", "--to", "systemd"], "/nowhere/x.conf: there is no such file"),
        (["JOB", "--to", "systemd", "-o", "/nowhere"], "writing /nowhere/web.service: No such file or directory"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, words: list[str], said: str) -> None:
    job = tmp_path / "web.conf"
    job.write_text("exec a\n")
    done = translate(*(str(job) if word == "JOB" else word for word in words))
    assert (done.returncode, done.stdout, done.stderr) == (125, "", f"cross-init: {said}\n")


def test_programs_can_be_run_and_stand_in_folders(tmp_path: Path) -> None:
    unit = tmp_path / "web.service"
    unit.write_text("[Service]\nType=notify\nExecStart=/bin/cat\n")
    for _ in range(2):
        done = translate(str(unit), "--to", "s6", "-o", str(tmp_path))
        assert done.returncode == 0
    assert done.stdout.splitlines()[0] == f"{tmp_path}/web/run"
    assert (tmp_path / "web/run").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "web/notification-fd").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "web/run").read_text().endswith(f"exec cross-init run {unit}\n")
