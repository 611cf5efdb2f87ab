"""A real Upstart as PID 1 of namespaces of its own, where CROSS_INIT_TEST_UPSTART names the prefix that it is in.

It boots on an overlay of the machine's root, never on the root itself. That the variable names Upstart is asked of the
program first: with an empty prefix its path would be the machine's own init.
"""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.containers import BRIDGE, INSIDE, PROJECT
from tests.support.kept import keep, kept
from tests.support.packages import need
from tests.support.puppet import Puppet, Stage, stage
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
exec chroot . env -i HOME=/ TERM=linux PATH="$PATH" "$2/sbin/init" --no-startup-event --no-dbus --confdir /etc/init
"""
LONGEST_S = 30


class Upstart:
    """One that has booted. pid: its init, as the machine outside numbers it."""

    def __init__(self, prefix: str, pid: int) -> None:
        assert pid > 1
        self.prefix = prefix
        self.pid = pid
        self.root = Path(f"/proc/{pid}/root")

    def enter(self, *words: str) -> list[str]:
        """The command line that runs these words inside: its root is no mount namespace's, so it is named as well."""
        return ["nsenter", "--target", str(self.pid), "--all", "--root", *words]

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
        until(lambda: f"{name} stop/waiting" in self.initctl("status", name), f"init knows {name}")

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


@pytest.fixture(scope="module")
def upstart() -> Iterator[Upstart]:
    prefix = checked_prefix()
    need("iproute2", "procps", "util-linux")
    with TemporaryDirectory(prefix="cross-init-test.", dir="/var/tmp") as folder:
        boot = subprocess.Popen(
            [
                *("setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private", "--pid"),
                *(
                    "--net",
                    "--ipc",
                    "--uts",
                    "--fork",
                    "--kill-child",
                    "sh",
                    "-ec",
                    BOOT,
                    "sh",
                    folder,
                    prefix,
                    str(PROJECT),
                ),
            ],
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


def test_redis_for_systemd_is_started_stopped_restarted_and_missed(upstart: Upstart) -> None:
    need("redis-server")
    redis = "/usr/bin/redis-server --port 7002 --supervised systemd --daemonize no --save ''"
    upstart.job("redis", f"expect stop\nchdir /tmp\nexec {BRIDGE} -t systemd -N -- {redis}\n")
    assert "redis start/running" in upstart.initctl("start", "redis")
    pid = upstart.main_pid("redis")
    assert "PONG" in upstart.run("redis-cli", "-p", "7002", "ping").stdout
    assert f"process_id:{pid}" in upstart.run("redis-cli", "-p", "7002", "info", "server").stdout
    assert "redis start/running" in upstart.initctl("restart", "redis")
    pid = upstart.main_pid("redis")
    upstart.run("kill", "-KILL", str(pid))
    until(lambda: "redis stop/waiting" in upstart.initctl("status", "redis"), "Upstart sees the crash")
    assert "redis start/running" in upstart.initctl("start", "redis")
    assert "redis stop/waiting" in upstart.initctl("stop", "redis")
    until(lambda: "cross-init-bridge" not in upstart.processes(), "the watcher goes")
    assert list((upstart.root / "run/cross-init").iterdir()) == []


def test_a_start_that_is_cancelled_ends_the_daemon(upstart: Upstart) -> None:
    upstart.job("hang", f"expect stop\nexec {BRIDGE} -t systemd -N -- /bin/sleep 1234\n")
    words = upstart.enter(f"{upstart.prefix}/sbin/initctl", "start", "hang")
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as start:
        until(lambda: "sleep 1234" in upstart.processes(), "the daemon starts")
        assert "hang stop/waiting" in upstart.initctl("stop", "hang")
        start.wait(LONGEST_S)
    until(lambda: "sleep 1234" not in upstart.processes(), "nothing is left")
    until(lambda: "cross-init-bridge" not in upstart.processes(), "the watcher goes")


def test_a_daemon_that_ends_before_it_is_ready_fails_the_start(upstart: Upstart) -> None:
    upstart.job("fails", f"expect stop\nexec {BRIDGE} -t systemd -N -- /bin/sh -c 'exit 7'\n")
    assert "Job failed to start" in upstart.initctl("start", "fails")


def test_a_shell_on_an_upstart_machine_is_no_job(upstart: Upstart) -> None:
    ran = upstart.run(BRIDGE, "-t", "systemd", "--", "/bin/true")
    assert ran.returncode == 125
    assert "UPSTART_JOB is not set" in ran.stderr


@pytest.mark.parametrize(("family", "host"), [("inet", "127.0.0.1"), ("inet6", "::1")])
def test_a_client_starts_the_job_and_is_served(upstart: Upstart, family: str, host: str) -> None:
    if "socket-bridge" not in upstart.processes():
        bridge = f"{upstart.prefix}/sbin/upstart-socket-bridge"
        upstart.job("bridge", f"exec {bridge}\n")
        assert "start/running" in upstart.initctl("start", "bridge")
    port = {"inet": 7701, "inet6": 7702}[family]
    daemon = (
        "import os, socket; s = socket.socket(fileno=3); c, _ = s.accept(); "
        "c.sendall(('%s %s' % (os.environ['LISTEN_FDS'], os.environ['LISTEN_PID'] == str(os.getpid()))).encode())"
    )
    (upstart.root / f"run/{family}.py").write_text(daemon)
    on = f"start on socket PROTO={family} PORT={port} ADDR={host}"
    upstart.job(f"on-{family}", f"{on}\nexec {BRIDGE} -t systemd -- /usr/bin/python3 /run/{family}.py\n")
    client = f"import socket; c = socket.create_connection(({host!r}, {port}), 10); print(c.recv(100).decode())"
    until(lambda: f":{port} " in upstart.run("ss", "-Hltn").stdout, "the socket bridge listens")
    assert upstart.run("/usr/bin/python3", "-c", client).stdout == "1 True\n"


def come(upstart: Upstart, where: Stage, *words: str) -> Puppet:
    """The puppet that comes by itself, or when initctl is given these words, and has said that it is ready."""
    begun = subprocess.Popen(upstart.enter(f"{upstart.prefix}/sbin/initctl", *words), stdout=subprocess.DEVNULL)
    try:
        puppet = where.puppet()
        puppet.send("b'READY=1'")
    finally:
        begun.wait(LONGEST_S)
    return puppet


@pytest.mark.parametrize("ends", ["stop", "crash"])
def test_descriptors_are_kept_over_a_respawn_and_a_restart_and_not_when_the_goal_is_stop(
    upstart: Upstart, ends: str
) -> None:
    puppet_words = f"/usr/bin/python3 -IS {INSIDE}/tests/daemons/puppet.py /run/kept-{ends}"
    bridge = f"exec {BRIDGE} -t systemd -N --fd-store 3 -- {puppet_words}"
    upstart.job(f"kept-{ends}", f"expect stop\n{'respawn' if ends == 'stop' else ''}\n{bridge}\n")
    with stage(upstart.root / f"run/kept-{ends}") as where:
        puppet = come(upstart, where, "start", f"kept-{ends}")
        keep(puppet, "FDSTORE=1", "os.memfd_create('made')")
        if ends == "stop":
            puppet.tell(f"die {signal.SIGKILL}")
            puppet = come(upstart, where, "version")
            assert [name for name, _ in kept(puppet)] == ["stored"]
            with subprocess.Popen(upstart.enter(f"{upstart.prefix}/sbin/initctl", "restart", "kept-stop")) as restart:
                puppet.hear_signal(signal.SIGTERM)
                puppet.tell("exit 0")
                puppet = come(upstart, where, "version")
                assert [name for name, _ in kept(puppet)] == ["stored"]
                restart.wait(LONGEST_S)
            with subprocess.Popen(upstart.enter(f"{upstart.prefix}/sbin/initctl", "stop", "kept-stop")):
                puppet.hear_signal(signal.SIGTERM)
                puppet.tell("exit 0")
        else:
            puppet.tell(f"die {signal.SIGKILL}")
        until(lambda: "cross-init-bridge" not in upstart.processes(), "the holder goes, and waits for no time", 5)
