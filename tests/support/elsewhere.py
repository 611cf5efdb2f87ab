"""make test on other Debians, each new: trees that have make and Python beside what debootstrap's minbase has.

A copy of the checkout is tested in an overlay of each tree, by its own Python and with what its own make test installs,
under the kernel of this machine. Machines inside of that are left out (CROSS_INIT_TEST_MACHINES=no), unless --machines
asks for them. What a new machine lacks shows here, and what another Python or another Debian has changed.

usage: python -m tests.support.elsewhere [--machines] [TREE...] [-- WORDS OF PYTEST]
"""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.alone import ALONE
from tests.support.beginning import ROOT, begin
from tests.support.programs import USUAL, close_path, open_path
from tests.support.trees import FOLDER, made

# The tree: its Debian suite.
TREES = {"debian-12": "bookworm", "debian-13": "trixie", "debian-sid": "sid"}
PACKAGES = ("make", "python3")
UNWANTED = (".git", ".venv", "build", "dist", "__pycache__", "*.egg-info", ".*_cache", ".hypothesis")
HERE = "/usr/src/cross-init-tools"
# How this machine reaches Debian and PyPI, where it says so.
SETTINGS = ("/etc/resolv.conf", "/etc/hosts", "/etc/pip.conf", "/etc/apt/apt.conf")
TRUSTED = "/etc/ssl/certs/ca-certificates.crt"  # who signs for PyPI: by another path there, as that file is remade
# $1: an empty folder, $2: the tree, $3: the checkout; then what is run inside.
ENTER = f"""
mount -t tmpfs -o mode=0755 tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work" overlay "$1/root"
mkdir -p "$1/root{HERE}"
mount --bind "$3" "$1/root{HERE}"
for file in {" ".join(SETTINGS)}; do
  [ ! -e "$file" ] || install -D -m 0644 "$file" "$1/root$file"
done
[ ! -e {TRUSTED} ] || install -D -m 0644 {TRUSTED} "$1/root$PIP_CERT"
cd "$1/root"
mount -t proc proc proc
mount --rbind /sys sys
mount --rbind /dev dev
mount -t tmpfs -o mode=0755 tmpfs run
mkdir run/lock
mount -t tmpfs -o mode=1777 tmpfs tmp
mkdir mnt/old
pivot_root . mnt/old
umount -l mnt/old
shift 3
exec "$@" < /dev/null
"""


def tested(tree: Path, words: list[str], machines: bool) -> int:
    """Run make test there; returns its exit code."""
    with TemporaryDirectory(prefix="cross-init-test.", dir="/var/tmp") as folder:
        below, checkout = Path(folder, "below"), Path(folder, "checkout")
        below.mkdir()
        shutil.copytree(ROOT, checkout, symlinks=True, ignore=shutil.ignore_patterns(*UNWANTED))
        for place in (Path(folder), checkout):
            place.chmod(0o755)
        environ = {"PATH": USUAL, "HOME": "/root", "LANG": "C.UTF-8"}
        if Path(TRUSTED).exists():
            environ["PIP_CERT"] = "/etc/trusted.pem"
        if not machines:
            environ["CROSS_INIT_TEST_MACHINES"] = "no"
        inside = ["make", "-C", HERE, "test", "PYTHON=/usr/bin/python3", f"PYTEST_ARGS={' '.join(words)}"]
        return subprocess.run(
            [*ALONE, "sh", "-ec", ENTER, "sh", str(below), str(tree), str(checkout), *inside],
            env=environ,
            stdin=subprocess.DEVNULL,
        ).returncode


def main(words: list[str]) -> int:
    """Test on the trees that are named, or on all; 0 if all are green."""
    at = words.index("--") if "--" in words else len(words)
    machines = "--machines" in words[:at]
    names = [word for word in words[:at] if word != "--machines"] or list(TREES)
    if os.geteuid() != 0 or not set(names) <= TREES.keys():
        print(f"elsewhere: needs root, and as trees any of: {', '.join(TREES)}", file=sys.stderr)
        return 2
    begin()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # and so leave nothing
    open_path()
    failed = []
    try:
        for name in names:
            print(f"=== {name}", flush=True)
            try:
                tree = made(FOLDER / name, TREES[name], PACKAGES)
            except pytest.skip.Exception as skipped:
                failed.append(f"{name} ({skipped})")
                continue
            if code := tested(tree, words[at + 1 :], machines):
                failed.append(f"{name} (make test ended with {code})")
    finally:
        close_path()
    print(f"=== not green: {', '.join(failed)}" if failed else f"=== green: {', '.join(names)}")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
