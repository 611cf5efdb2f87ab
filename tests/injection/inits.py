"""Stand-ins for the inits of one run, each reduced to how it starts a service, hears that it is ready, and stops it.

They run in the process that is PID 1 of the run's namespaces. The real ones are s6.py and machine.py.
"""

import os
import re
import signal
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from tests.injection.loop import Lines, Loop
from tests.injection.namespaces import inotify
from tests.support.processes import children
from tests.support.programs import PATH

FOLDER = Path("/run/faults")  # what a run itself needs
PLACE = FOLDER / "place"  # where the bridge may leave something; its working directory
DEFAULTED = (signal.SIGPIPE, signal.SIGXFSZ)  # which Python ignores
# Lines that are no word of a failure.
ORDINARY = re.compile(r"^ready$|: status: serving$|: listening on | is ready after ")
NOBODY_TOLD = ": telling that the daemon is ready: "  # ordinary where there is nobody to be told


class Init(ABC):
    """Who starts the service. told: it takes it for ready. main, ended: the main process, and its wait status.

    notes: what it was told and is wrong.
    """

    environ: Mapping[str, str] = MappingProxyType({})
    before: Sequence[str] = ()  # what starts the bridge
    is_deciding = False  # the main process has ended, and it has not said yet what that means
    is_parent = True  # of the main process: its end is seen when that is reaped
    hears = True  # that the service is ready
    own = " "  # how the names of its own short-lived programs begin

    def __init__(self, loop: Loop, others: Callable[[], list[int]]) -> None:
        """others: all processes of the service."""
        self.loop = loop
        self.others = others
        self.told = False
        self.main = 0
        self.ended: int | None = None
        self.notes: list[str] = []
        self.lines: list[str] = []

    @abstractmethod
    def begin(self, words: Sequence[str]) -> None:
        """Start the service."""

    @abstractmethod
    def stop(self, daemon: int) -> None:
        """Stop it, as it would. daemon: its PID, 0 if it is not known."""

    def helpers(self) -> set[int]:
        """Its own processes beside this one."""
        return set()

    def zombies(self) -> list[str]:
        """What has ended and nobody has waited for, though all of them rest."""
        return []

    def is_main(self, pid: int) -> bool:
        """Whether it takes this process for the main one."""
        return pid == self.main

    def said(self) -> str:
        """What was said to people of a failure."""
        lines = [line for line in self.lines if line.strip() and not ORDINARY.search(line)]
        return "\n".join(line for line in lines if self.hears or NOBODY_TOLD not in line)

    @abstractmethod
    def close(self) -> None:
        """Release what it has."""


class StandIn(Init):
    """One that is played by this process, which is PID 1 here. child: what it has started."""

    child = 0

    def zombies(self) -> list[str]:
        found = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                name, _, rest = path.read_text().partition(") ")
            except OSError:
                continue
            if rest.startswith("Z") and rest.split()[1] != "1":  # our own children are about to be waited for
                found.append(f"{name})")
        return found

    def begin(self, words: Sequence[str]) -> None:
        read, write = os.pipe()
        null = os.open(os.devnull, os.O_RDWR)
        actions = [(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, write, 1), (os.POSIX_SPAWN_DUP2, write, 2)]
        actions += [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in self.passed().items()]
        words = [*self.before, *words]
        environ = {"PATH": PATH, **self.environ}
        self.child = self.main = os.posix_spawnp(
            words[0], words, environ, file_actions=actions, setsid=True, setsigdef=DEFAULTED
        )
        os.close(write)
        os.close(null)
        for fd in self.passed().values():
            os.close(fd)
        self.errors = Lines(self.loop, read, self.hear)

    def passed(self) -> dict[int, int]:
        """The descriptors that the service gets, by their numbers there."""
        return {}

    def hear(self, line: str) -> None:
        """What it says on standard output or error."""
        self.lines.append(line)

    def reaped(self, pid: int, status: int) -> None:
        """A child has stopped, or ended."""
        if pid == self.child and not os.WIFSTOPPED(status):
            self.ended = status

    def stop(self, daemon: int) -> None:
        _kill(self.main if self.ended is None else daemon)

    def close(self) -> None:
        self.errors.close()


class Plain(StandIn):
    """A shell: a line says it."""

    hears = False

    def hear(self, line: str) -> None:
        super().hear(line)
        self.told = self.told or " is ready after " in line


class S6(StandIn):
    """s6: a newline on descriptor 3."""

    def begin(self, words: Sequence[str]) -> None:
        (PLACE / "notification-fd").write_text("3\n")
        self.news, self.end = os.pipe()
        super().begin(words)
        self.heard = Lines(self.loop, self.news, self._hear)

    def passed(self) -> dict[int, int]:
        return {3: self.end}

    def _hear(self, line: str) -> None:
        self.told = self.told or not self.heard.has_ended

    def close(self) -> None:
        super().close()
        self.heard.close()


class Upstart(StandIn):
    """Upstart, "expect stop": the main process stops itself, and is continued."""

    environ = MappingProxyType({"UPSTART_JOB": "faults", "UPSTART_INSTANCE": ""})

    def reaped(self, pid: int, status: int) -> None:
        if pid == self.child and os.WIFSTOPPED(status):
            self.told = True
            os.kill(pid, signal.SIGCONT)
        super().reaped(pid, status)


class Front(StandIn):
    """Who waits for the command to end, and takes its exit code 0 for "ready"; the PID file then names the daemon."""

    def reaped(self, pid: int, status: int) -> None:
        super().reaped(pid, status)
        if pid == self.child and status == 0 and not self.told:
            self.told = True
            try:
                self.main = int((PLACE / "pid").read_text())
            except (OSError, ValueError) as error:
                self.notes.append(f"exit code 0, and the PID file: {error}")

    def stop(self, daemon: int) -> None:
        _kill(self.child if self.ended is None else daemon)


class Systemd(StandIn):
    """systemd, Type=notify: messages, which count if the main process sends them."""

    environ = MappingProxyType({"NOTIFY_SOCKET": str(FOLDER / "notify")})

    def begin(self, words: Sequence[str]) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        (FOLDER / "notify").unlink(missing_ok=True)
        self.socket.bind(str(FOLDER / "notify"))
        super().begin(words)
        self.loop.watch(self.socket.fileno(), self._hear)

    def reaped(self, pid: int, status: int) -> None:
        super().reaped(pid, status)
        if pid == self.main and not os.WIFSTOPPED(status):
            self.stop(0)

    def stop(self, daemon: int) -> None:
        for number in (signal.SIGTERM, signal.SIGCONT):  # systemd.kill(5), KillMode=control-group
            for each in self.others():
                _kill(each, number)

    def _hear(self) -> None:
        room = socket.CMSG_SPACE(12) + socket.CMSG_SPACE(4 * 16)
        body, extra, _, _ = self.socket.recvmsg(65536, room)
        sender = 0
        for _, kind, data in extra:
            if kind == socket.SCM_CREDENTIALS:
                sender = int.from_bytes(data[:4], "little")
            else:
                for at in range(0, len(data) - 3, 4):
                    os.close(int.from_bytes(data[at : at + 4], "little"))
        words = dict(line.partition("=")[::2] for line in body.decode().splitlines())
        if "BARRIER" in words:
            return
        if sender != self.main:
            self.notes.append(f"a message from process {sender}, which is not the main one")
            return
        if "MAINPID" in words:
            self.main = int(words["MAINPID"])
        self.told = self.told or words.get("READY") == "1"

    def close(self) -> None:
        super().close()
        self.loop.forget(self.socket.fileno())
        self.socket.close()


class Container(StandIn):
    """A container: the bridge is its process 1, and the state file is what is looked at."""

    before = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")

    def begin(self, words: Sequence[str]) -> None:
        self.old = self._state()  # of one that was killed: it tells of no process that lives
        self.changes = inotify(str(PLACE))
        self.loop.watch(self.changes, self._look)
        super().begin(words)

    def _look(self) -> None:
        os.read(self.changes, 65536)
        text = self._state()
        self.told = self.told or (text != self.old and re.search(r"\bready\b", text) is not None)

    def _state(self) -> str:
        try:
            return (PLACE / "state").read_text()
        except OSError:
            return ""

    def stop(self, daemon: int) -> None:
        if self.ended is None:
            for pid in children(self.child):
                _kill(pid)

    def close(self) -> None:
        super().close()
        self.loop.forget(self.changes)
        os.close(self.changes)


def _kill(pid: int, number: int = signal.SIGTERM) -> None:
    """Send it a signal, if it is known and still there."""
    if pid > 1:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


STAND_INS: dict[str, type[StandIn]] = {
    "none": Plain,
    "s6": S6,
    "upstart": Upstart,
    "front": Front,
    "systemd": Systemd,
    "container": Container,
}
# What the bridge is told of who started it; nothing where it finds that out as easily here as anywhere.
NAMES = {"front": ("--init", "none"), "container": (), "s6-supervise": (), "systemd-manager": ()}


def options(kind: str) -> tuple[str, ...]:
    """The option that names this init."""
    return NAMES.get(kind, ("--init", kind))
