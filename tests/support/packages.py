"""Debian packages that tests need: installed where we may, else the test is skipped with the reason.

Nothing that is installed is started: policy-rc.d(8) forbids it while we are at it.
"""

import os
import subprocess
from pathlib import Path

import pytest

POLICY = Path("/usr/sbin/policy-rc.d")
LONGEST_S = 300
_there: set[str] = set()


def need(*packages: str) -> None:
    """Have these packages installed, or skip the test."""
    missing = [package for package in packages if package not in _there and not _is_installed(package)]
    if missing:
        _install(missing)
    _there.update(packages)


def _is_installed(package: str) -> bool:
    try:
        asked = subprocess.run(
            ["dpkg-query", "--show", "--showformat=${db:Status-Status}", package], capture_output=True, text=True
        )
    except FileNotFoundError:
        pytest.skip(f"needs {package}, and this is no Debian")
    return asked.stdout == "installed"


def _install(packages: list[str]) -> None:
    names = " ".join(packages)
    if os.geteuid() != 0:
        pytest.skip(f"needs {names}: not installed, and only root can install them")
    forbids = not POLICY.exists()
    if forbids:
        POLICY.write_text("#!/bin/sh\nexit 101\n")
        POLICY.chmod(0o755)
    try:
        said = _apt("install", "--yes", "--no-install-recommends", *packages)
        if said:
            said = _apt("update") or _apt("install", "--yes", "--no-install-recommends", *packages)
    finally:
        if forbids:
            POLICY.unlink()
    if said:
        pytest.skip(f"needs {names}: installing failed: {said}")


def _apt(*words: str) -> str:
    """Run apt-get; returns its last words if it fails, else nothing."""
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    ran = subprocess.run(
        ["apt-get", "--quiet", "--option=DPkg::Lock::Timeout=120", *words],
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
    )
    return "" if ran.returncode == 0 else (ran.stderr.strip().splitlines() or ["no reason given"])[-1]
