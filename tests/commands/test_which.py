"""cross-init which: the init that started whoever asks, as its scripts and its daemons ask; on real inits."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.command import FRONT_DOOR, PATH, script
from tests.support.containers import BRIDGE as INSIDE_BRIDGE
from tests.support.packages import need
from tests.support.supervised import supervised
from tests.support.systemd import Manager
from tests.support.waiting import until

PROGRAMS = {"s6-supervise": ("s6", "s6"), "runsv": ("runit", "runit"), "supervise": ("daemontools", "daemontools")}
# How it is asked, with %s for the command.
ASKING = {
    "the script itself": "exec %s >>out",
    "a line of a script": "%s >>out",
    "in the middle of a line": 'echo "$(%s)" >>out',
    "a daemon": "exec /usr/bin/python3 -ISc \"import os; os.system('%s >>out')\"",
    "a daemon without a shell": "exec /usr/bin/python3 -Ic \"import subprocess as s; s.run('%s'.split())\" >>out",
}
INSIDE = INSIDE_BRIDGE.replace("cross-init-bridge", "cross-init")


# Who asks is twice below the suite, which may be process 1 itself, or its child, as a service of an init is.
ASKED_BY = ("/usr/bin/python3", "-Ic", "import subprocess, sys; sys.exit(subprocess.run(sys.argv[1:]).returncode)")


def which(*words: str, environ: Mapping[str, str] | None = None) -> tuple[int, str, str]:
    ran = subprocess.run(
        [*ASKED_BY, *ASKED_BY, FRONT_DOOR, "which", *words],
        env={"PATH": PATH, **(environ or {})},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return ran.returncode, ran.stdout, ran.stderr


@pytest.mark.parametrize("asking", ASKING)
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_supervisors_service_asks(tmp_path: Path, program: str, asking: str) -> None:
    name, package = PROGRAMS[program]
    need(package)
    with supervised(program, tmp_path / "web") as made:
        line = ASKING[asking].replace("%s", f"{FRONT_DOOR} which --json")
        script(made.folder, "run", f"#!/bin/sh\nexport NOTIFY_SOCKET=@nobody-is-here\n{line}\nexec sleep 60\n")
        (made.folder / "down").touch()  # asked once is enough
        made.start()
        made.tell({"runsv": "sv", "supervise": "svc", "s6-supervise": "s6-svc"}[program], *once(program))
        out = made.folder / "out"
        until(lambda: out.exists() and out.read_text().rstrip().endswith("}"), "it has answered")
        facts = json.loads(out.read_text())
        assert (facts["init"], facts["service"], facts["direct"]) == (name, "web", True)
        assert program in facts["evidence"]
        assert facts["others"] == [{"init": "systemd", "evidence": "NOTIFY_SOCKET is set"}]


def once(program: str) -> tuple[str, ...]:
    return ("once",) if program == "runsv" else ("-o",)


@pytest.mark.parametrize("asking", ["exec", "a line", "a daemon"])
def test_a_service_of_systemds_asks(manager: Manager, asking: str) -> None:
    line = {
        "exec": f"exec {INSIDE} which",
        "a line": f"{INSIDE} which; true",
        "a daemon": f"exec /usr/bin/python3 -ISc \"import os; os.system('{INSIDE} which')\"",
    }[asking].replace('"', '\\"')
    # Not by the journal, which does not know any more whose line it was when a process has ended at once.
    out = f"/tmp/which-{asking.replace(' ', '-')}-{manager.user}"
    with manager.unit(f'Type=oneshot\nStandardOutput=truncate:{out}\nExecStart=/bin/sh -c "{line}"') as unit:
        assert unit.start() == 0
        init, because, *_ = (manager.container.root / out.lstrip("/")).read_text().splitlines()
        assert init == "systemd"
        assert because.strip().startswith("because ")


def test_the_first_process_of_a_container_asks() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, for a PID namespace")
    words = ["unshare", "--pid", "--fork", "--mount-proc", "/bin/sh", "-c", f"{FRONT_DOOR} which; true"]
    ran = subprocess.run(words, env={"PATH": PATH}, capture_output=True, text=True, timeout=60)
    assert ran.stdout.splitlines()[:1] == ["container"], ran


def test_a_shell_asks_and_is_told_what_leads_nowhere() -> None:
    code, out, err = which(environ={"NOTIFY_SOCKET": "/nonexistent/x", "SYSTEMD_EXEC_PID": "1", "DINIT_SERVICE": "web"})
    assert (code, err) == (1, "")
    assert out.splitlines()[0] == "none"
    assert "  not systemd, though NOTIFY_SOCKET=/nonexistent/x leads to nobody: No such file or directory" in out
    assert "  not dinit, though DINIT_SERVICE is set, and means another process" in out
    code, out, err = which("--json", environ={"UPSTART_JOB": "web", "UPSTART_INSTANCE": "x"})
    facts = json.loads(out)
    assert (code, err, facts["init"], facts["service"], facts["instance"]) == (0, "", "upstart", "web", "x")
    assert (facts["direct"], facts["others"]) == (False, [])


@pytest.mark.parametrize(
    ("names", "code"), [(("none",), 0), (("s6", "none"), 0), (("s6",), 1), (("systemd", "upstart"), 1)]
)
def test_a_script_asks_whether_it_is_one_of_these(names: tuple[str, ...], code: int) -> None:
    assert which(*names) == (code, "", "")
    assert json.loads(which("--json", *names)[1])["init"] == "none"


@pytest.mark.parametrize("words", [("systemdd",), ("--jsno",)])
def test_a_slip_is_one_line(words: tuple[str, ...]) -> None:
    code, out, err = which(*words)
    assert (code, out) == (125, "")
    assert err.startswith(f"cross-init: which {words[0]}: ")
    assert err.count("\n") == 1


def test_evidence_that_contradicts_itself_is_one_line() -> None:
    line = f"export SYSTEMD_EXEC_PID=$$ UPSTART_JOB=web; exec {FRONT_DOOR} which"
    ran = subprocess.run(["/bin/sh", "-c", line], env={"PATH": PATH}, capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stdout) == (125, "")
    assert "but UPSTART_JOB is set as only upstart does: remove UPSTART_JOB" in ran.stderr
