"""Containers under a real Podman, with crun and conmon, on a copy of this machine's own root that is dropped again.

Podman lives in a mount namespace of its own with nothing but control groups of version 2: crun does not take a machine
that has both. Containers get no control group, no network but their own loopback, and end with the test.
"""

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.alone import want_machines
from tests.support.containers import ENVIRONMENT, INSIDE, PROJECT
from tests.support.packages import need
from tests.support.puppet import Stage, stage

ALONE = ("unshare", "--mount", "--propagation", "private", "sh", "-ec")
CGROUPS = 'umount -R /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup; exec "$@"'
# Not more than a machine may have given us.
LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")
PUPPET = ("/usr/bin/python3", "-IS", f"{INSIDE}/tests/daemons/puppet.py", "/stage/stage")
LONGEST_S = 30
# A client inside the container's network.
PROBE = """
import http.client, sys
connection = http.client.HTTPConnection("127.0.0.1", 8080, timeout=10)
connection.request("GET", sys.argv[1])
response = connection.getresponse()
print(response.status, response.read().decode(), end="")
"""


class Podman:
    """One Podman with a storage of its own. stage: where puppets come to."""

    def __init__(self, folder: Path, where: Stage) -> None:
        self.folder = folder
        self.stage = where
        options = [f"--{name}={folder}/{name}" for name in ("root", "runroot", "tmpdir")]
        options += ["--storage-driver=vfs", "--cgroup-manager=cgroupfs", "--events-backend=none", "--runtime=crun"]
        self.podman = [*ALONE, CGROUPS, "sh", "podman", *options]
        self.processes: list[subprocess.Popen[bytes]] = []
        self.names: list[str] = []

    def words(self, *command: str, options: Sequence[str] = ()) -> list[str]:
        """The command line that runs this in a new container, whose name is the last of names."""
        self.names.append(f"test-{len(self.names)}")
        return [
            *(*self.podman, "run", "--name", self.names[-1], "--network=none", "--cgroups=disabled", *LIMITS),
            *("--volume", f"{PROJECT}:{INSIDE}:ro", "--volume", f"{self.folder}/stage:/stage", *options),
            *("--rootfs", "/:O", *command),
        ]

    def begin(
        self,
        *command: str,
        options: Sequence[str] = (),
        environ: dict[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
        stdout: int = subprocess.DEVNULL,
        stderr: int = subprocess.PIPE,
    ) -> "subprocess.Popen[bytes]":
        """Run this in a container, in the foreground."""
        words = self.words(*command, options=options)
        environment = {**ENVIRONMENT, **(environ or {})}
        self.processes.append(subprocess.Popen(words, env=environment, stdin=stdin, stdout=stdout, stderr=stderr))
        return self.processes[-1]

    def tell(self, *words: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Run another command of Podman's until it ends."""
        ran = subprocess.run(
            [*self.podman, *words],
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
            stdin=subprocess.DEVNULL,
        )
        assert not check or ran.returncode == 0, f"{words}: {ran.returncode}\n{ran.stdout}{ran.stderr}"
        return ran

    def inside(self, *words: str, user: str = "") -> "subprocess.CompletedProcess[str]":
        """Run this in the newest container, as an exec probe does."""
        return self.tell("exec", *(("--user", user) if user else ()), self.names[-1], *words, check=False)

    @property
    def pid(self) -> int:
        """The first process of the newest container, as the machine outside numbers it."""
        return int(json.loads(self.tell("inspect", self.names[-1]).stdout)[0]["State"]["Pid"])

    def close(self) -> None:
        """Remove all containers, however they are."""
        for name in self.names:
            self.tell("rm", "--force", "--time", "0", name, check=False)
        for process in self.processes:
            process.kill()
            process.communicate()


def probe(pid: int, path: str) -> str:
    """What a probe over HTTP is answered, from inside the network of this process."""
    words = ["nsenter", "--target", str(pid), "--net", "/usr/bin/python3", "-ISc", PROBE, path]
    return subprocess.run(words, capture_output=True, text=True, timeout=20, check=True).stdout


@contextmanager
def podman() -> Iterator[Podman]:
    """A Podman; skips the test if it does not run containers here."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to run Podman with a root file system of its own")
    want_machines()
    need("podman", "procps", "redis-server")
    with TemporaryDirectory(prefix="cross-init-test.") as folder:
        Path(folder, "stage").mkdir()
        Path(folder).chmod(0o711)
        with stage(Path(folder, "stage", "stage")) as where:
            made = Podman(Path(folder), where)
            try:
                tried = made.begin("/bin/true")
                _, said = tried.communicate(timeout=LONGEST_S)
                if tried.returncode:
                    reason = (said.decode().strip().splitlines() or ["no reason given"])[-1]
                    pytest.skip(f"needs Podman, which cannot run a container here: {reason}")
                yield made
            finally:
                made.close()
