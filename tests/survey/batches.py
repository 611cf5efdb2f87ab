"""The trees that the daemons are in: one of Debian for all, and above it one folder for each batch of packages.

They are made once and kept, and never written to by what runs in them.
"""

import atexit
import fcntl
import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from tests.support.alone import ALONE
from tests.support.programs import USUAL
from tests.support.real_upstart import checked_prefix
from tests.support.trees import FOLDER, made
from tests.survey.others import Other

WHERE = FOLDER / "daemons"
SUITE = "bookworm"
BASE = ("python3", "s6", "runit", "procps", "ca-certificates")
LONGEST_S = 1800
# $1: the batch's folder, $2: the tree below; then the packages. Nothing that is installed is started: policy-rc.d(8).
INSTALL = """
folder=$1
mkdir -p "$1/upper" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work" overlay "$1/root"
cd "$1/root"
mount -t proc proc proc
mount --rbind /dev dev
printf '#!/bin/sh\\nexit 101\\n' > usr/sbin/policy-rc.d
chmod 755 usr/sbin/policy-rc.d
cp /etc/resolv.conf etc/resolv.conf
shift 2
chroot . apt-get --quiet update
chroot . apt-get --quiet --yes --no-install-recommends install "$@"
chroot . apt-get clean
printf '%s\\n' "$@" > "$folder/packages"
"""


def layers(batch: str, packages: Iterable[str], init: str = "", other: Other | None = None) -> Path:
    """The folders of an overlay's lower layers, as mount(8) has them. Raises RuntimeError.

    other: where the init is from that they are to be run under, which has a layer as well; Upstart is in /opt.
    """
    suite = other.suite if other is not None else ""
    base = made(WHERE / f"base-{suite}", suite, BASE) if suite else made(WHERE / "base", SUITE, BASE)
    found = [_installed(f"{suite}-ten" if suite else batch, packages, base)]
    if init == "upstart":
        found.insert(0, _copied(base, init, "CROSS_INIT_TEST_UPSTART", ("init", "initctl")))
    if other is not None and other.packages:
        found.append(_installed(f"init-{init}", other.packages, base))
    if other is not None and other.modules:
        found.insert(0, _modules(init, other.modules))
    if other is not None and other.variable:
        found.insert(0, _copied(base, init, other.variable, other.programs))
    return Path(":".join(map(str, (*found, base))))


def _installed(batch: str, packages: Iterable[str], base: Path) -> Path:
    """The folder that has these packages, above the base. Raises RuntimeError."""
    folder, wanted = WHERE / batch, sorted(set(packages))
    with (WHERE / f".{batch}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _has(folder, wanted):
            shutil.rmtree(folder / "work", ignore_errors=True)
            ran = subprocess.run(
                [*ALONE, "sh", "-ec", INSTALL, "sh", folder, base, *wanted],
                env={**os.environ, "PATH": USUAL, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=LONGEST_S,
            )
            if ran.returncode:
                last = (ran.stderr.strip().splitlines() or ["no reason given"])[-1]
                raise RuntimeError(f"installing the packages of {batch} failed: {last}")
    return folder / "upper"


@cache
def _modules(name: str, names: tuple[str, ...]) -> Path:
    """A layer with modules of our own Python in /opt, which the tree's own takes if it is of the same version."""
    layer = Path(mkdtemp(prefix="cross-init-test."))
    atexit.register(shutil.rmtree, layer)
    layer.chmod(0o755)
    for each in names:
        shutil.copytree(Path(sysconfig.get_path("platlib"), each), layer / "opt" / name / each)
    return layer


@cache
def _copied(base: Path, name: str, variable: str, names: tuple[str, ...]) -> Path:
    """A layer with an init's programs in /opt, and those of their libraries that the tree has not."""
    prefix = checked_prefix() if name == "upstart" else os.environ[variable]
    layer = Path(mkdtemp(prefix="cross-init-test."))
    atexit.register(shutil.rmtree, layer)
    layer.chmod(0o755)
    programs = layer / "opt" / name
    programs.mkdir(parents=True)
    for each in names:
        shutil.copy(Path(prefix, "sbin", each), programs)
        shown = subprocess.run(["ldd", programs / each], env={"PATH": USUAL}, capture_output=True, text=True).stdout
        for path in re.findall(r"=> (/\S+)", shown):
            place = Path("usr", path.lstrip("/").removeprefix("usr/"))
            if not (base / place).exists():
                (layer / place).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, layer / place)
    return layer


def _has(folder: Path, packages: list[str]) -> bool:
    try:
        return set(packages) <= set((folder / "packages").read_text().split())
    except FileNotFoundError:
        return False
