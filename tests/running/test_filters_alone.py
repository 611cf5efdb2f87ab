"""Filters of system calls where there is no libseccomp, or no filter may be set; and which groups there are."""

import os
import subprocess
from pathlib import Path

import pytest

from cross_init.sandbox.libseccomp import EQ, ERRNO, FILE
from tests.definitions.test_against_systemd import version_of
from tests.running.test_filters import flat, flat_ours
from tests.support.command import FRONT_DOOR, IS_STATIC, ROOT
from tests.support.systemd import Host
from tools.make_system_calls import groups, text

UNIT = "[Service]\nSystemCallFilter=@system-service\nRestrictRealtime=yes\nNice=1\nExecStart=/bin/echo started\n"
LACKING = "RestrictRealtime=, SystemCallFilter="
HIDE = 'for each in /lib/*/$1 /usr/lib/*/$1; do mount --bind /dev/null "$each" || exit; done; shift; exec "$@"'
# Becomes the rest of its words, where no filter can be set.
FORBID = f"""
import os, sys
sys.path.append({str(ROOT / "src")!r})
from cross_init.sandbox.libseccomp import ALLOW, Filter, local
made = Filter(local()[-1:], ALLOW)
made.let_others()
made.add([("prctl", {ERRNO | 22}, ((0, {EQ}, 22, 0),)), ("seccomp", {ERRNO | 38}, ())])
made.set()
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    if os.geteuid() != 0:
        pytest.skip("needs root, to hide a library")
    unit = tmp_path / "web.service"
    unit.write_text(UNIT)
    return [str(FRONT_DOOR), "run", "--init", "none", str(unit)]


def said(*words: str) -> tuple[int, str, str]:
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout, done.stderr


LIBRARY = pytest.param("library", marks=pytest.mark.skipif(IS_STATIC, reason="a static program has libseccomp in it"))


@pytest.mark.parametrize("case", [LIBRARY, "kernel"])
def test_a_service_starts_without_filters_and_a_line_says_so(command: list[str], case: str) -> None:
    without: tuple[str, ...]
    if case == "library":
        without = ("unshare", "--mount", "sh", "-c", HIDE, "sh", FILE)
        reason = f"there is no {FILE}: install libseccomp2"
    else:
        without = ("/usr/bin/python3", "-IS", "-c", FORBID)
        reason = "this kernel or container has no filters of system calls (seccomp: Invalid argument)"
    line = f"cross-init-bridge: web.service: weaker, without {LACKING}: {reason}\n"
    assert said(*without, *command) == (0, "started\n", line)
    strict = f"cross-init-bridge: web.service: --strict: without {LACKING}: {reason}\n"
    assert said(*without, *command, "--strict") == (125, "", strict)


def test_nothing_is_said_where_they_can_be_set(command: list[str]) -> None:
    assert said(*command, "--strict") == (0, "started\n", "")


def test_the_groups_are_systemds(host: Host) -> None:
    """Those of the newest, and in each of an older one's groups all that was in there, but for what was moved."""
    version = version_of(host.system)
    theirs = groups(host.system.container.run("/usr/bin/systemd-analyze", "syscall-filter").stdout)
    if version >= 262:
        assert (ROOT / "src/cross_init/sandbox/groups.py").read_text() == text(str(version), theirs)
    ours, moved = flat_ours(), {("@mount", "open_tree")}
    assert {(group, name) for group, names in flat(theirs).items() for name in names - ours[group]} <= moved
