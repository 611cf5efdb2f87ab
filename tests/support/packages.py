"""Debian packages that tests need: installed where we may, else the test is skipped with the reason.

All are declared in programs.py. Nothing that is installed is started: policy-rc.d(8) forbids it while we are at it.
"""

import fcntl
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support import programs

UNPACKED = Path("/var/cache/cross-init-tests/packages")
POLICY = Path("/usr/sbin/policy-rc.d")
LONGEST_S = 300
_there: set[str] = set()


def need(*packages: str) -> None:
    """Have these packages installed, with what they call, and their programs on PATH; or skip the test."""
    wanted = [each for package in packages for each in (package, *programs.CALLS.get(package, ()))]
    undeclared = set(wanted) - programs.INSTALLED
    assert not undeclared, f"programs.py does not declare {undeclared}"
    _have(wanted)
    programs.link(wanted)


def have_all() -> str:
    """Install what of them is missing, all at once: a test that installs takes long. Returns why that failed, or ""."""
    try:
        _have(sorted(programs.INSTALLED))
    except pytest.skip.Exception as skipped:  # perhaps for one of them; each test says so for its own
        return f"{skipped}\n"
    return ""


def _have(packages: list[str]) -> None:
    missing = [package for package in packages if package not in _there and not _is_installed(package)]
    if missing:
        _install(missing)
    _there.update(packages)


def unpacked(package: str) -> Path:
    """The files of a package that is not to be installed, as it would take the place of another; or skip the test.

    They are kept for later runs. The libraries that the package depends on are installed.
    """
    assert package in programs.UNPACKED, f"programs.py does not declare {package}"
    if os.geteuid() != 0:
        pytest.skip(f"needs {package}, kept in {UNPACKED}, and only root can write there")
    folder = UNPACKED / package
    UNPACKED.mkdir(parents=True, exist_ok=True)
    with (UNPACKED / f".{package}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "DEBIAN").exists():
            shutil.rmtree(folder, ignore_errors=True)
            unfinished = UNPACKED / f".{package}.unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            try:
                said = _apt("download", package, cwd=unfinished)
                if said:
                    said = _apt("update") or _apt("download", package, cwd=unfinished)
                if said:
                    pytest.skip(f"needs {package}: fetching it failed: {said}")
                (archive,) = unfinished.glob("*.deb")
                root = unfinished / "root"
                subprocess.run(["dpkg-deb", "--extract", archive, root], check=True, timeout=LONGEST_S)
                subprocess.run(["dpkg-deb", "--control", archive, root / "DEBIAN"], check=True, timeout=LONGEST_S)
                root.rename(folder)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
    _have(libraries((folder / "DEBIAN/control").read_text()))
    return folder


def libraries(control: str) -> list[str]:
    """The libraries that a package depends on, as its control file has them (deb-control(5)): the first of a choice."""
    depends = re.findall(r"^(?:Pre-)?Depends: (.*)", control, re.MULTILINE)
    names = [choice.split()[0].partition(":")[0] for line in depends for choice in line.split(",")]
    return [name for name in names if name.startswith("lib")]


def _is_installed(package: str) -> bool:
    try:
        asked = subprocess.run(
            ["dpkg-query", "--show", "--showformat=${db:Status-Status}", package], capture_output=True, text=True
        )
    except FileNotFoundError:
        pytest.skip(f"needs {package}, and this is no Debian")
    return asked.stdout in programs.THERE


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


def _apt(*words: str, cwd: Path | None = None) -> str:
    """Run apt-get; returns its last words if it fails, else nothing."""
    environ = {**os.environ, "PATH": programs.USUAL, "DEBIAN_FRONTEND": "noninteractive"}
    ran = subprocess.run(
        ["apt-get", "--quiet", "--option=DPkg::Lock::Timeout=120", *words],
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=LONGEST_S,
    )
    return "" if ran.returncode == 0 else (ran.stderr.strip().splitlines() or ["no reason given"])[-1]
