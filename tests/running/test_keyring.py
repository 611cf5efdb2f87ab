"""A service's keyring where the kernel or a container gives none: as with systemd nothing is said of it."""

import os
import sys
from pathlib import Path

import pytest

from cross_init.running.entering import may_have_keyring
from tests.support import refuse
from tests.support.command import run_unit


def ran(folder: Path, lines: str, *before: str) -> tuple[int, str]:
    """A service that says so when it runs; before: what it is run by."""
    unit = folder / "keyring.service"
    unit.write_text(f"[Service]\n{lines}ExecStart=/bin/echo it runs\n")
    return run_unit(unit, before=before)


@pytest.mark.parametrize("lines", ["", "KeyringMode=shared\n"])
@pytest.mark.parametrize("error", ["EPERM", "EACCES", "ENOSYS", "EDQUOT"])
def test_it_is_done_without(tmp_path: Path, lines: str, error: str) -> None:
    assert ran(tmp_path, lines, sys.executable, refuse.__file__, "keyctl", error) == (0, "it runs\n")


def test_another_failure_is_one(tmp_path: Path) -> None:
    code, said = ran(tmp_path, "KeyringMode=private\n", sys.executable, refuse.__file__, "keyctl", "ENOMEM")
    assert (code, said.endswith("keyring.service:2: KeyringMode=: Cannot allocate memory\n")) == (125, True), said


def test_who_cannot_become_the_user_is_told_that(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    code, said = ran(tmp_path, "User=daemon\n", "unshare", "--user", "--map-root-user")
    assert (code, "its group: Operation not permitted" in said, "Keyring" in said) == (125, True, False), said


# Says which its session keyring is, and its name; with words it then becomes these, in a new one if it is to.
SAY = """
import ctypes, os, sys
call = ctypes.CDLL(None).syscall
if sys.argv[1:2] == ["a login's"]:
    call(250, 1, None)  # KEYCTL_JOIN_SESSION_KEYRING
name = ctypes.create_string_buffer(200)
call(250, 6, -3, name, 200)  # KEYCTL_DESCRIBE
print(call(250, 0, -3, 0), name.value.decode().rpartition(";")[2], flush=True)
if sys.argv[2:]:
    os.execv(sys.argv[2], sys.argv[2:])
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, whose units are the system's")
@pytest.mark.parametrize("whose", ["a login's", "nobody's"])
@pytest.mark.parametrize("lines", ["", "KeyringMode=private\n"])
def test_a_logins_is_left_behind(tmp_path: Path, whose: str, lines: str) -> None:
    program = tmp_path / "say.py"
    program.write_text(SAY)
    lines += f"ExecStartPre=/usr/bin/python3 -IS {program}\n"
    code, said = ran(tmp_path, lines, "/usr/bin/python3", "-IS", str(program), whose)
    assert code == 0, said
    (before, _), (its, name) = (line.split() for line in said.splitlines()[:2])
    assert its != before or (whose, name) == ("nobody's", "_uid_ses.0"), said
    assert name == "_ses" or "Keyring" not in lines


ROWS = """\
0887d89f I------     1 perm 1f030000     0     0 keyring   .dns_resolver: empty
200f5953 I--Q---     2 perm 1f3f0000     0 65534 keyring   _uid.0: empty
241dc137 I--Q---     1 perm 1f3f0000     0 65534 keyring   _uid_ses.0: 1
3b79d624 I--Q---     1 perm 3f010000     0     0 user      invocation_id: 16
"""


@pytest.mark.parametrize(("more", "may"), [("", False), ("_ses: 1", True), ("a name of its own: 3", True)])
def test_none_is_made_for_nothing(more: str, may: bool) -> None:
    assert (
        may_have_keyring(ROWS + f"12345678 I--Q---     3 perm 3f030000     0     0 keyring   {more}\n" * bool(more))
        is may
    )
