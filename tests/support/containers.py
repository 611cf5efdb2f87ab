"""A real systemd as PID 1 of a container, with a root of its own: an overlay of a tree that is not written to.

The container lives in PID and mount namespaces of its own that end with one process, and with the test run itself,
however that ends. Nothing is mounted outside.
"""

import os
import select
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.alone import ALONE, want_machines
from tests.support.command import FORM
from tests.support.own_groups import own_groups
from tests.support.packages import need
from tests.support.processes import children, named
from tests.support.programs import PATH, USUAL

PROJECT = Path(__file__).resolve().parents[2]
INSIDE = "/mnt/project"  # where the container has it
BRIDGE = f"{INSIDE}/{FORM}"
FRONT_DOOR = BRIDGE.removesuffix("-bridge")
ENVIRONMENT = {"PATH": PATH, "LANG": "C.UTF-8"}
IN_A_TREE = {**ENVIRONMENT, "PATH": USUAL}  # which has nothing but what it was made with
# What tests run inside, or what they need there.
INSIDE_NEEDED = ("systemd", "dbus", "iproute2", "redis-server", "s6", "runit")
BOOT_S = 30
COMMAND_S = 100  # a package is built by one, beside other tests
# $1: an empty folder, $2: the tree, $3: the project; then the control groups that it is to be in. basic.target: none of
# the services that the tree has enabled.
BOOT = """
below=$1 tree=$2 project=$3; shift 3
for group; do echo 0 >"$group/cgroup.procs"; done
set -- "$below" "$tree" "$project"
mount -t tmpfs -o mode=0755 tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work" overlay "$1/root"
mkdir -p "$1/root/mnt/project"
exec systemd-nspawn --quiet --directory="$1/root" --machine=cross-init --boot --notify-ready=yes --private-network \
  --register=no --keep-unit --link-journal=no --system-call-filter=@keyring \
  --bind-ro="$3:/mnt/project" --bind-ro="$PATH" \
  -- --unit=basic.target
"""


class Container:
    """One that has booted. pid: its PID 1, as the machine outside numbers it. root: its root folder.

    variables: what commands get inside.
    """

    def __init__(self, pid: int, variables: Mapping[str, str] = IN_A_TREE) -> None:
        assert pid > 1
        self.pid = pid
        self.variables = variables
        self.root = Path(f"/proc/{pid}/root")

    def enter(self, *words: str, user: int = 0) -> list[str]:
        """The command line that runs these words inside."""
        become = ["--setuid", str(user), "--setgid", str(user)] if user else []
        return ["nsenter", "--target", str(self.pid), "--all", *become, *words]

    def environment(self, user: int) -> dict[str, str]:
        """The variables that a command inside gets."""
        return {**self.variables, **({"XDG_RUNTIME_DIR": f"/run/user/{user}"} if user else {})}

    def run(self, *words: str, user: int = 0, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command inside until it ends."""
        ran = subprocess.run(
            self.enter(*words, user=user),
            env=self.environment(user),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
        )
        assert not check or ran.returncode == 0, f"{' '.join(words)}: {ran.returncode}\n{ran.stdout}{ran.stderr}"
        return ran


@contextmanager
def booted(tree: Path) -> Iterator[Container]:
    """Boot systemd on a copy of this tree; skips the test if that cannot be done here."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to boot systemd in a container")
    want_machines()
    # The daemons too, and before the tree is overlaid: what changes below a mounted overlay may not be seen in it.
    need("systemd-container", *INSIDE_NEEDED)
    with (
        TemporaryDirectory(prefix="cross-init-test.") as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as said,
        own_groups(Path(folder).name) as groups,
    ):
        below, address, log = Path(folder, "below"), f"{folder}/notify", Path(folder, "log")
        below.mkdir()
        said.bind(address)
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*ALONE, "sh", "-ec", BOOT, "sh", str(below), str(tree), str(PROJECT), *map(str, groups)],
                env={**ENVIRONMENT, "NOTIFY_SOCKET": address, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            is_up = _is_up(process, said)
            said.close()  # the container goes on to tell, and would wait for us once nobody reads
            if not is_up:
                reason = (log.read_text(errors="replace").strip().splitlines() or ["no reason given"])[-1]
                pytest.skip(f"needs systemd in a container, which did not boot: {reason}")
            nspawn = children(process.pid)[0]
            pid = next(pid for pid in children(nspawn) if named(pid) == "systemd")
            yield Container(pid, ENVIRONMENT if tree == Path("/") else IN_A_TREE)
        finally:
            process.kill()
            process.wait()


def _is_up(process: subprocess.Popen[bytes], said: socket.socket) -> bool:
    """Wait for the container's systemd to say that it has booted; False if it ends instead."""
    ended = os.pidfd_open(process.pid)
    try:
        while True:
            ready = select.select([said.fileno(), ended], [], [], BOOT_S)[0]
            if said.fileno() not in ready:
                return False
            if b"READY=1" in said.recv(65536).splitlines():
                return True
    finally:
        os.close(ended)


def systemd_version(tree: Path) -> str:
    """The version of systemd in this tree, "" if there is none to be asked."""
    if not (tree / "usr/bin/systemctl").exists() or (tree != Path("/") and os.geteuid() != 0):
        return ""
    chroot = [] if tree == Path("/") else ["chroot", str(tree)]
    asked = subprocess.run(
        [*chroot, "/usr/bin/systemctl", "--version"],
        env={"PATH": USUAL},
        capture_output=True,
        text=True,
        timeout=COMMAND_S,
    )
    return asked.stdout.split()[1] if asked.returncode == 0 else ""
