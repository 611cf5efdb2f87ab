"""A machine's /run, network and processes of one's own, in which several users can act; it ends with the test."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.alone import A_MACHINE
from tests.support.command import BRIDGE, FRONT_DOOR, PATH
from tests.support.waiting import until

LONGEST_S = 60
BEGIN = 'mount -t proc proc /proc && mount -t tmpfs -o mode=755 tmpfs /run && echo up && exec "$@"'
PYTHON = ("/usr/bin/python3", "-ISc")
# A daemon that says this, then that it has, and stays until its standard input is closed.
SAY = """
import os, socket, sys
path = os.environ["NOTIFY_SOCKET"]
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
    sender.sendto(sys.argv[1].encode("utf-8", "surrogateescape"), "\\0" + path[1:] if path[0] == "@" else path)
print("said", flush=True)
sys.stdin.read()
"""


class Ended:
    """How a command ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err


class PrivateRun:
    """Commands in these namespaces; what is left running ends with them."""

    def __init__(self, first: int) -> None:
        self.enter = ("nsenter", "--target", str(first), "--pid", "--mount", "--net")
        self.root = Path(f"/proc/{first}/root")
        self.begun: list[subprocess.Popen[bytes]] = []

    def command(self, words: Sequence[str | bytes], user: int, nofile: int) -> list[str | bytes]:
        """The whole command line to run these words there, as this user and with so many open files."""
        who = ("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups") if user else ()
        return [*self.enter, "prlimit", f"--nofile={nofile}", *who, *words]

    def run(
        self, *words: str | bytes, user: int = 0, nofile: int = 1024, environ: dict[str, str] | None = None
    ) -> Ended:
        """Run this until it ends."""
        ran = subprocess.run(
            self.command(words, user, nofile),
            env={"PATH": PATH, **(environ or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd="/",
            timeout=LONGEST_S,
        )
        return Ended(ran.returncode, ran.stdout, ran.stderr)

    def begin(
        self, *words: str | bytes, user: int = 0, nofile: int = 1024, environ: dict[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start this, and return when it has written its first line."""
        process = subprocess.Popen(
            self.command(words, user, nofile),
            env={"PATH": PATH, **(environ or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd="/",
        )
        self.begun.append(process)
        assert process.stdout is not None
        assert process.stdout.readline(), "it has ended"
        return process

    def bridge(
        self, message: bytes, *options: str, user: int = 0, environ: dict[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """A daemon under the bridge that is ready, as it says in this; it ends when its standard input is closed."""
        words: list[str | bytes] = [str(BRIDGE), *options, "-t", "systemd", "-N", "--", *PYTHON, SAY, message]
        process = self.begin(*words, user=user, environ=environ)
        until(lambda: " ready " in self.ask("status", "python3", user=user, environ=environ).out, "it is ready")
        return process

    def ask(self, *words: str, user: int = 0, nofile: int = 1024, environ: dict[str, str] | None = None) -> Ended:
        """Run cross-init there."""
        return self.run(str(FRONT_DOOR), *words, user=user, nofile=nofile, environ=environ)


@contextmanager
def private_run() -> Iterator[PrivateRun]:
    """Begin such a machine, and end it and all in it."""
    words = [*A_MACHINE, "sh", "-c", BEGIN, "sh", "sleep", "infinity"]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as machine:
        made = None
        try:
            assert machine.stdout is not None
            assert machine.stdout.readline() == b"up\n"
            (first,) = Path(f"/proc/{machine.pid}/task/{machine.pid}/children").read_text().split()
            made = PrivateRun(int(first))
            yield made
        finally:
            machine.kill()
            for process in made.begun if made else ():
                process.kill()  # nsenter(1), which stops with what it has started
                process.communicate()
