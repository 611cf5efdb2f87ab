"""Upstart's jobs: refused with the line; and read as a real Upstart reads them, where there is one."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cross_init.definitions.jobs import load
from tests.definitions.test_refused import refusal, show
from tests.support.real_upstart import Upstart, upstart_booted

REFUSED = {
    "nothing": ("", ": it runs nothing"),
    "unknown": ("exec /bin/true\nwhat 1", ":2: what: there is no such stanza"),
    "an open quotation mark": ("description 'a\nexec /bin/true", ":1: the quotation mark ' has no end"),
    "no end": ("script\n true", ":1: script: there is no end script"),
    "no word": ("exec /bin/true\n\nnice", ":3: nice: a word is missing"),
    "a bad number": ("nice 30\nexec /bin/true", ":1: nice 30: it is not from -20 to 19"),
    "a bad limit": ("limit what 1 2\nexec /bin/true", ":1: limit what 1 2: it may be as, core"),
    "open parentheses": ("start on (a and\nb\nexec /bin/true", ":1: the parentheses do not match"),
    "half a process": ("pre-start what\nexec /bin/true", ":1: pre-start: it is followed by exec or script"),
}
# Says what it can see of itself. PROBE in a job is how it is called, as the job's last process.
PROBE = """
import json, os, resource, sys
seen = {"argv": sys.argv[2:], "cwd": os.getcwd(), "umask": os.umask(0), "nice": os.nice(0)}
seen["environ"] = {name: os.environ.get(name) for name in ("A", "B", "C")}
seen["oom"] = int(open("/proc/self/oom_score_adj").read())
seen["limit"] = list(resource.getrlimit(resource.RLIMIT_NOFILE))
seen["user"], seen["group"] = os.getuid(), os.getgid()
open(sys.argv[1], "w").write(json.dumps(seen))
"""
JOBS = {
    "plain": "exec PROBE a b  c",
    "quoted": 'exec PROBE \'a  b\' "c d" e\\ f "\\$A"',
    "comment": "exec PROBE a # b",
    "hash": "exec PROBE 'a # b'",
    "continued": "exec PROBE a \\\n   b",
    "variables": 'env A=1\nenv B=\'b  c\'\nenv C="d # e"\nexec PROBE $A "$B" ${C}',
    "again": "env A=1\nenv A=2\nnice 3\nnice 5\nexec PROBE",
    "script": "script\n  set -- a 'b  c'\n    PROBE \"$@\" # d\nend script # e",
    "script of a line": "script\nPROBE x\nend script",
    "no script": 'script\nPROBE "end script"\n  # end script\n end  script',
    "settings": "umask 027\nnice 5\noom score 300\nlimit nofile 100 200\nchdir /usr\nexec PROBE",
    "old oom": "oom 5\nexec PROBE",
    "unlimited": "limit nofile 100 1000\nlimit core unlimited unlimited\nexec PROBE",
    "identity": "setuid daemon\nsetgid daemon\nexec PROBE",
    "words in quotes": 'nice "5"\nchdir "/usr/bin"\nexec PROBE',
    "over lines": 'description "a\n  b"\nenv A="x\n  y"\nexec PROBE',
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_said_where(tmp_path: Path, name: str) -> None:
    text, said = REFUSED[name]
    job = tmp_path / "a.conf"
    job.write_text(f"{text}\n")
    assert refusal(str(job)).startswith(f"{job}{said}")


def test_it_is_shown(tmp_path: Path) -> None:
    job = tmp_path / "a.conf"
    job.write_text("expect daemon\nstart on (a\n  or socket PROTO=inet PORT=80)\nexec /bin/true a\n")
    (tmp_path / "a.override").write_text("manual\nkill timeout 20\n")
    lines = show(str(job)).stdout.splitlines()
    assert lines[:4] == [
        "a: a",
        "  runs     /bin/true a",
        "  ready    when the first process has ended",
        "  sockets  0.0.0.0:80",
    ]
    assert "    2  the init's  start on ( a or socket PROTO=inet PORT=80 )  (when it is started)" in lines
    assert str(tmp_path / "a.override") in lines
    assert json.loads(show("--json", str(job)).stdout)["ending"]["timeout_stop"] == 20_000_000


@pytest.fixture(scope="module")
def upstart() -> Iterator[Upstart]:
    with upstart_booted() as booted:
        yield booted


def test_a_real_upstart_refuses_the_same(upstart: Upstart) -> None:
    for name, (text, _) in REFUSED.items():
        (upstart.root / f"etc/init/refused-{name.replace(' ', '-')}.conf").write_text(f"{text}\n")
    upstart.job("accepted", "exec /bin/true\n")
    known = {line.split()[0] for line in upstart.initctl("list").splitlines()}
    # One that runs nothing is a state that others wait for.
    assert {name for name in known if name.startswith("refused")} == {"refused-nothing"}


@pytest.mark.parametrize("name", JOBS)
def test_a_real_upstart_reads_the_same(upstart: Upstart, tmp_path: Path, name: str) -> None:
    (upstart.root / "tmp/probe.py").write_text(PROBE)
    job = f"probe-{list(JOBS).index(name)}"
    out = f"/tmp/{job}"
    probe = f"/usr/bin/python3 -I /tmp/probe.py {out}"
    text = f"task\n{JOBS[name].replace('PROBE', probe)}\n"
    upstart.job(job, text)
    (tmp_path / f"{job}.conf").write_text(text)
    definition = load(str(tmp_path / f"{job}.conf")).definition
    assert "stop/waiting" in upstart.initctl("start", job)
    theirs = json.loads((upstart.root / out[1:]).read_text())
    context = definition.context
    variables = [f"{name}={value}" for name, value in context.environment]
    ran = upstart.run("env", "--chdir=/", "-i", *variables, *definition.commands.start[0].argv)
    assert ran.returncode == 0, ran.stderr
    ours = json.loads((upstart.root / out[1:]).read_text())
    assert theirs["argv"] == ours["argv"]
    assert theirs["environ"] == {name: dict(context.environment).get(name) for name in "ABC"}
    assert theirs["umask"] == context.umask
    assert theirs["nice"] == (context.nice or 0)
    assert theirs["cwd"] == (context.working_directory or "/")
    assert theirs["oom"] == (context.oom_score_adjust or 0)
    if "NOFILE" in context.limits:
        assert theirs["limit"] == list(context.limits["NOFILE"])
    assert (theirs["user"] != 0) == bool(context.user)
    assert (theirs["group"] != 0) == bool(context.group)
