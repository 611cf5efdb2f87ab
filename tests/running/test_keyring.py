"""A service's keyring where the kernel or a container gives none: as with systemd nothing is said of it."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import refuse
from tests.support.command import FRONT_DOOR


def ran(folder: Path, lines: str, *before: str) -> tuple[int, str]:
    """A service that says so when it runs; before: what it is run by."""
    unit = folder / "keyring.service"
    unit.write_text(f"[Service]\n{lines}ExecStart=/bin/echo it runs\n")
    done = subprocess.run(
        [*before, FRONT_DOOR, "run", "--init", "none", unit],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout


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
