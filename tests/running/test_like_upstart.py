"""The same job under a real Upstart and under cross-init run, in one tree: what a process sees of itself.

Ours is started by that Upstart as well, so that both begin alike; it is told that no init is there (--init none).
"""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.running.test_like_systemd import comparable
from tests.support.containers import FRONT_DOOR, INSIDE
from tests.support.real_upstart import Upstart, upstart_booted
from tests.support.waiting import until

PROBE = f"/usr/bin/python3 -IS {INSIDE}/tests/support/self_seen.py OUTPUT"
RUN = FRONT_DOOR
MAIN = f"exec {PROBE} one two"
CASES = {
    "nothing": MAIN,
    "variables": f"env A=1\nenv B='x y'\nenv A=2\nexec {PROBE} $A \"$B\" *",
    "user": f"setuid daemon\n{MAIN}",
    "user and group": f"setuid daemon\nsetgid mail\n{MAIN}",
    "group": f"setgid mail\n{MAIN}",
    "folder": f"chdir /usr/share\n{MAIN}",
    "limits": f"limit nofile 100 200\nlimit core 0 0\nlimit stack 4194304 8388608\nlimit nproc 300 300\n{MAIN}",
    "umask": f"umask 0027\n{MAIN}",
    "nice": f"nice 5\noom score 123\n{MAIN}",
    "oom": f"oom 7\n{MAIN}",
    "script": f"script\n  A='in the script'\n  export A\n  exec {PROBE} \"$A\" $#\nend script",
    "console": f"console none\n{MAIN}",
    "root": f"chroot /\n{MAIN}",
    "script of stop": f"expect stop\nscript\n  kill -STOP $$\n  exec {PROBE} stopped\nend script",
    "fork": f"expect fork\nscript\n  {PROBE} forked &\nend script",
    "daemon": f"expect daemon\nscript\n  ({PROBE} forked twice &) &\nend script",
    "before": "pre-start script\n  echo $UPSTART_JOB:$(pwd):$(umask) > OUTPUT.before\nend script\n" + MAIN,
    "before as a user": "setuid daemon\npre-start exec id -un > OUTPUT.before\n" + MAIN,
}
# Of a start; or of another parent, for a shell, which leaves what it has been told of its own folder.
OWN = ("environment PWD", "environment OLDPWD", "environment SHLVL", "environment _")
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def upstart() -> Iterator[Upstart]:
    """One that has booted."""
    with upstart_booted() as booted:
        yield booted


def seen(file: Path, upstart: Upstart, job: str) -> dict[str, Any]:
    """What the probe has written; removed, so that the next one's can be waited for."""
    try:
        until(lambda: file.exists() and file.read_text().endswith("}"), "the probe has written", 20)
    except AssertionError:
        log = upstart.root / f"var/log/upstart/{job}.log"
        raise AssertionError(f"{job}: {log.read_text() if log.exists() else 'no log'}") from None
    found = comparable(json.loads(file.read_text()))
    file.unlink()
    for key, value in found.items():
        if isinstance(value, str) and value.startswith("/dev/pts/"):
            found[key] = "a terminal"
    beside = file.with_name("seen.before")
    if beside.exists():
        found["before"] = beside.read_text()
        beside.unlink()
    return {key: value for key, value in found.items() if key not in OWN}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("shape", ["", "--supervise"])
def test_a_process_sees_the_same(upstart: Upstart, case: str, shape: str) -> None:
    name = f"probe{next(_numbers)}"
    folder = upstart.root / f"run/{name}"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    text = CASES[case].replace("OUTPUT", f"/run/{name}/seen")
    upstart.job(name, f"{text}\n")
    (folder / f"{name}.conf").write_text(f"{text}\n")
    upstart.job(f"ours-{name}", f"exec {RUN} run --init none {shape} /run/{name}/{name}.conf\n")
    try:
        upstart.initctl("start", name)
        theirs = seen(folder / "seen", upstart, name)
        upstart.initctl("stop", name)
        upstart.initctl("start", f"ours-{name}")
        ours = seen(folder / "seen", upstart, f"ours-{name}")
    except AssertionError:
        print(upstart.initctl("start", name), upstart.initctl("start", f"ours-{name}"))
        raise
    finally:
        for job in (name, f"ours-{name}"):
            upstart.initctl("stop", job)
            (upstart.root / f"etc/init/{job}.conf").unlink()
    different = [
        f"{key}: Upstart {theirs.get(key)!r}, here {ours.get(key)!r}"
        for key in {**theirs, **ours}
        if theirs.get(key) != ours.get(key)
    ]
    if "setuid" in text and "setgid" not in text:  # Upstart leaves the group root with it
        different = [each for each in different if not each.startswith("Groups:")]
    assert different == []
