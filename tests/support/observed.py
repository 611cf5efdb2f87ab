"""Daemons that the bridge watches from beside them, or as their parent, without any init; and what it says of them."""

import os
import select
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support.command import BRIDGE, PATH
from tests.support.processes import end, watcher_among
from tests.support.puppet import Puppet, Stage, stage
from tests.support.upstart import reap
from tests.support.waiting import until

PUPPET = str(Path(__file__).resolve().parents[1] / "daemons" / "puppet.py")
PYTHON = ("/usr/bin/python3", "-IS")
LONGEST_S = 20
SHAPES: dict[str, tuple[str, ...]] = {"watch": (), "supervise": ("--supervise",)}


def children() -> set[int]:
    return {int(word) for word in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()}


def wakeups(pid: int) -> int:
    """How often this process has begun to wait for something."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("voluntary_ctxt_switches:"):
            return int(line.split()[1])
    raise AssertionError(f"no process {pid}")


class Reader:
    """Reads a descriptor, and waits for words in it."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.text = b""

    def read(self, seconds: float) -> bool:
        """Take in what comes next in this time; False at the end, or if nothing comes."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return False
        part = os.read(self.fd, 65536)
        self.text += part
        return bool(part)

    def hears(self, text: str) -> None:
        """Wait for this."""
        end = time.monotonic() + LONGEST_S
        while text.encode() not in self.text:
            assert self.read(max(0.0, end - time.monotonic())), f"waited in vain for {text!r} in {self.text!r}"

    def rest(self) -> str:
        """All that it says until its end."""
        end = time.monotonic() + LONGEST_S
        while self.read(max(0.0, end - time.monotonic())):
            pass
        assert time.monotonic() < end, f"no end after {self.text!r}"
        return self.text.decode("utf-8", "backslashreplace")


class Run:
    """One bridge. puppet: its daemon, if that is one."""

    def __init__(self, process: subprocess.Popen[bytes], place: "Place") -> None:
        self.process = process
        self.place = place
        assert process.stderr is not None
        self.err = Reader(process.stderr.fileno())
        self.puppet: Puppet

    def is_ready(self) -> bool:
        while self.err.read(0):
            pass
        return b"is ready after" in self.err.text

    def becomes_ready(self) -> None:
        self.err.hears("is ready after")

    @property
    def observer(self) -> int:
        """The process that observes: the watcher beside the daemon, or the bridge as its parent."""
        if self.puppet.pid != self.process.pid:
            return self.process.pid
        return watcher_among(self.place.orphans)

    def is_not_ready_yet(self, nudge: Callable[[], object] = lambda: None) -> None:
        """It has looked at least twice from now on, and says nothing. nudge: what makes it look, if not time."""
        observer = self.observer
        before = wakeups(observer)

        def looked() -> bool:
            nudge()
            return wakeups(observer) >= before + 2

        until(looked, "it looks again")
        assert not self.is_ready()

    def ends(self) -> int:
        """How it ends: its exit code, or minus the signal."""
        return self.process.wait(LONGEST_S)


class Place:
    """Where bridges run; all that they leave is ended with it."""

    def __init__(self, folder: Path, where: Stage) -> None:
        self.folder = folder
        self.stage = where
        self.runs: list[Run] = []
        self.others = children()

    def orphans(self) -> set[int]:
        """Our children other than the bridges: what lost its parent."""
        return children() - self.others - {run.process.pid for run in self.runs}

    def spawn(
        self,
        *options: str,
        command: tuple[str, ...],
        bridge: Path = BRIDGE,
        environ: Mapping[str, str] | None = None,
        pass_fds: tuple[int, ...] = (),
        stdout: int = subprocess.DEVNULL,
        stderr: int = subprocess.PIPE,
        wrapper: tuple[str, ...] = (),
        session: bool = False,
    ) -> Run:
        """Start a bridge, without an init unless the options name one."""
        words = (*wrapper, str(bridge), *(() if "--init" in options else ("--init", "none")), *options, "--", *command)
        process = subprocess.Popen(
            words,
            env={"PATH": PATH, **(environ or {})},
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            pass_fds=pass_fds,
            cwd=self.folder,
            start_new_session=session,
        )
        if process.stderr is None:
            process.stderr = open(os.devnull, "rb")  # noqa: SIM115 (closed with the others)
        self.runs.append(Run(process, self))
        return self.runs[-1]

    def begin(
        self,
        *options: str,
        bridge: Path = BRIDGE,
        environ: Mapping[str, str] | None = None,
        pass_fds: tuple[int, ...] = (),
        stdout: int = subprocess.DEVNULL,
        stderr: int = subprocess.PIPE,
        wrapper: tuple[str, ...] = (),
        session: bool = False,
    ) -> Run:
        """The same with a puppet, which has come; a daemon without any protocol, unless the options say more."""
        if "-t" not in options:
            options = ("-t", "plain", *options)
        run = self.spawn(
            *options,
            command=(*PYTHON, PUPPET, str(self.folder / "stage")),
            bridge=bridge,
            environ=environ,
            pass_fds=pass_fds,
            stdout=stdout,
            stderr=stderr,
            wrapper=wrapper,
            session=session,
        )
        run.puppet = self.stage.puppet()
        return run

    def nothing_remains(self) -> None:
        """All that was orphaned to us ends by itself."""
        until(lambda: not [pid for pid in self.orphans() if not os.waitpid(pid, os.WNOHANG)[0]], "all of it ends")

    def clear(self) -> None:
        """End what is left, by the PIDs of our own children."""
        for run in self.runs:
            run.process.kill()
            run.process.wait()
            for stream in (run.process.stdout, run.process.stderr):
                if stream is not None:
                    stream.close()
        while left := self.orphans():  # what they leave becomes ours in turn
            end(left)


@contextmanager
def observed(folder: Path) -> Iterator[Place]:
    """A place of one's own in this folder."""
    reap(True)
    try:
        with stage(folder / "stage") as where:
            place = Place(folder, where)
            try:
                yield place
            finally:
                place.clear()
    finally:
        reap(False)
