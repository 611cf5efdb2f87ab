"""A real Upstart as PID 1 of namespaces of its own, where CROSS_INIT_TEST_UPSTART names the prefix that it is in.

It boots on an overlay of the machine's root, never on the root itself. That the variable names Upstart is asked of the
program first: with an empty prefix its path would be the machine's own init. The overlay is its root as a machine's is,
and no chroot: in a chroot nobody may make a user namespace, which PrivateUsers= of a job's unit wants.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.alone import A_MACHINE, want_machines
from tests.support.containers import PROJECT
from tests.support.packages import need
from tests.support.waiting import until

PROGRAMS = ("sbin/init", "sbin/initctl", "sbin/upstart-socket-bridge")
BOOT = """
mount -t tmpfs -o mode=0755 tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" overlay "$1/root"
mount -t proc proc "$1/root/proc"
mount -t sysfs sysfs "$1/root/sys" || true
mount -t tmpfs -o mode=0755 tmpfs "$1/root/run"
mount -t tmpfs -o mode=1777 tmpfs "$1/root/tmp"
mount --rbind /dev "$1/root/dev"
mkdir -p "$1/root/mnt/project"
mount --rbind "$3" "$1/root/mnt/project"
ip link set lo up
mkdir -p "$1/root/etc/init"
rm -f "$1/root"/etc/init/*.conf
cd "$1/root"
mkdir -p mnt/old
pivot_root . mnt/old
umount -l mnt/old
exec env -i HOME=/ TERM=linux PATH="$PATH" "$2/sbin/init" --no-startup-event --no-dbus --confdir /etc/init
"""
LONGEST_S = 30
DAEMONS = ("redis-server", "nginx", "haproxy", "memcached", "dnsmasq-base")  # before the root is overlaid


class Upstart:
    """One that has booted. pid: its init, as the machine outside numbers it."""

    def __init__(self, prefix: str, pid: int) -> None:
        assert pid > 1
        self.prefix = prefix
        self.pid = pid
        self.root = Path(f"/proc/{pid}/root")

    def enter(self, *words: str) -> list[str]:
        """The command line that runs these words inside."""
        return ["nsenter", "--target", str(self.pid), "--all", *words]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command inside until it ends."""
        return subprocess.run(self.enter(*words), capture_output=True, text=True, timeout=LONGEST_S)

    def initctl(self, *words: str) -> str:
        """What initctl says to these words."""
        ran = self.run(f"{self.prefix}/sbin/initctl", *words)
        return ran.stdout + ran.stderr

    def job(self, name: str, text: str) -> None:
        """Have this job, and return when init knows it."""
        (self.root / f"etc/init/{name}.new").write_text(text)
        (self.root / f"etc/init/{name}.new").rename(self.root / f"etc/init/{name}.conf")
        until(lambda: self.initctl("show-config", name).startswith(f"{name}\n"), f"init knows {name}")

    def main_pid(self, name: str) -> int:
        """The job's main process, as it is numbered inside."""
        return int(self.initctl("status", name).rpartition("process ")[2])

    def processes(self) -> str:
        """All command lines inside."""
        return self.run("ps", "-eo", "args").stdout


def checked_prefix() -> str:
    """The prefix, if it is Upstart's; skips the test otherwise."""
    prefix = os.environ.get("CROSS_INIT_TEST_UPSTART", "")
    if not prefix.startswith("/") or prefix.rstrip("/") in ("", "/usr"):
        pytest.skip("needs CROSS_INIT_TEST_UPSTART=PREFIX of an installed Upstart, not / or /usr")
    if os.geteuid() != 0:
        pytest.skip("needs root, to boot Upstart in namespaces")
    for program in PROGRAMS:
        if not os.access(f"{prefix}/{program}", os.X_OK):
            pytest.skip(f"CROSS_INIT_TEST_UPSTART={prefix}: there is no {program}")
    asked = subprocess.run([f"{prefix}/sbin/initctl", "--version"], capture_output=True, text=True, timeout=LONGEST_S)
    if "upstart" not in asked.stdout.lower() or "upstart" not in Path(f"{prefix}/sbin/init").read_bytes().decode(
        "latin-1"
    ):
        pytest.skip(f"CROSS_INIT_TEST_UPSTART={prefix}: that is no Upstart")
    return prefix


@contextmanager
def upstart_booted() -> Iterator[Upstart]:
    """One that has booted, with no job; skips the test if there is none to be had."""
    prefix = checked_prefix()
    want_machines()
    need("iproute2", "procps", *DAEMONS)
    with TemporaryDirectory(prefix="cross-init-test.", dir="/var/tmp") as folder:
        boot = subprocess.Popen(
            [*A_MACHINE, "sh", "-ec", BOOT, "sh", folder, prefix, str(PROJECT)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            children = Path(f"/proc/{boot.pid}/task/{boot.pid}/children")
            until(lambda: boot.poll() is not None or children.read_text().strip() != "", "unshare forks")
            init = int(children.read_text().split()[0])
            until(lambda: Path(f"/proc/{init}/exe").resolve().name == "init", "init is executed")
            booted = Upstart(prefix, init)
            until(lambda: "init (upstart" in booted.initctl("version"), "init answers")
            yield booted
        finally:
            boot.kill()
            boot.wait()
