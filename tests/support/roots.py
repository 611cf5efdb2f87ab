"""A process as PID 1 of namespaces with a root of their own: an init that is no systemd, or one that only reaps.

The root is an overlay of a tree that is not written to. All of it ends with that process, and with the test run itself.
"""

import os
import select
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.alone import A_MACHINE
from tests.support.containers import ENVIRONMENT, INSIDE, PROJECT, Container
from tests.support.processes import children
from tests.support.programs import USUAL
from tests.support.puppet import Stage, stage

PUPPET = f"/usr/bin/python3 -IS {INSIDE}/tests/daemons/puppet.py /run/puppets/stage"
BOOT_S = 30
# $1: an empty folder, $2: the tree, $3: the project, $4: a folder of files that the root has beside those of the tree,
# then what becomes PID 1.
BOOT = f"""
mount -t tmpfs -o mode=0755 tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work" overlay "$1/root"
cd "$1/root"
cp -a "$4/." .
mkdir -p mnt/project mnt/old
mount --bind "$3" mnt/project
mount -o remount,bind,ro mnt/project
mount -t proc proc proc
mount -t tmpfs -o mode=0755 tmpfs dev
for name in null zero full random urandom; do : > dev/$name; mount --bind /dev/$name dev/$name; done
ln -s null dev/console
mount -t tmpfs -o mode=0755 tmpfs run
mkdir run/puppets run/lock
pivot_root . mnt/old
PATH={USUAL}
umount -l mnt/old
shift 4
echo up
read -r go
exec "$@" < /dev/null > /dev/null
"""
# Reaps what loses its parent, as the kernel does it for who ignores SIGCHLD. A shell's trap is none: dash catches it.
REAPER = ("/usr/bin/env", "--ignore-signal=CHLD", "sleep", "infinity")


class Root(Container):
    """One that is up. stage: where its puppets come to. log: what its PID 1 says, and whoever inherits that."""

    def __init__(self, pid: int, where: Stage, log: Path) -> None:
        super().__init__(pid)
        self.stage = where
        self.log = log

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """A file inside."""
        file = self.root / path.lstrip("/")
        file.write_text(text)
        file.chmod(mode)

    def read(self, path: str) -> str:
        """What stands in a file inside."""
        return (self.root / path.lstrip("/")).read_text()

    def exists(self, path: str) -> bool:
        """Whether there is such a file inside."""
        return os.path.lexists(self.root / path.lstrip("/"))

    def processes(self) -> dict[int, list[str]]:
        """All that run inside, by their PIDs there, with their command lines."""
        listed = self.run("/bin/ps", "-eww", "-o", "pid=,args=").stdout.splitlines()
        found = {int(line.split()[0]): line.split()[1:] for line in listed}
        return {pid: words for pid, words in found.items() if words[:1] != ["/bin/ps"]}


@contextmanager
def rooted(tree: Path, pid_1: Sequence[str] = REAPER, files: Mapping[str, str] | None = None) -> Iterator[Root]:
    """Run this as PID 1 on a copy of the tree; skips the test if that cannot be done here.

    files: what the root has beside the tree's own; what begins with #! is executable.
    """
    with TemporaryDirectory(prefix="cross-init-test.") as folder:
        below, beside, log = (Path(folder, name) for name in ("below", "files", "log"))
        below.mkdir()
        beside.mkdir()
        for path, text in (files or {}).items():
            file = beside / path.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            file.chmod(0o755 if text.startswith("#!") else 0o644)
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*A_MACHINE, "sh", "-ec", BOOT, "sh", *map(str, (below, tree, PROJECT, beside)), *pid_1],
                env=ENVIRONMENT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                start_new_session=True,
            )
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            if not select.select([process.stdout], [], [], BOOT_S)[0] or process.stdout.readline() != b"up\n":
                reason = (log.read_text(errors="replace").strip().splitlines() or ["no reason given"])[-1]
                pytest.skip(f"needs a root of its own in namespaces: {reason}")
            (pid,) = children(process.pid)
            with stage(Path(f"/proc/{pid}/root/run/puppets/stage")) as where:
                process.stdin.write(b"go\n")  # now that there is something for the first puppet to come to
                process.stdin.close()
                yield Root(pid, where, log)
        finally:
            process.kill()
            process.wait()
            for end in (process.stdin, process.stdout):
                assert end is not None
                end.close()
