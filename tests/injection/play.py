"""One start of one service, from its beginning to the end of all of it, with a fault or without, and what was seen.

Everything is waited for as an event. The limits are for what hangs; they are long, as many runs share a machine.
"""

import os
import select
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.injection.calls import Call, Fault
from tests.injection.inits import Init, options
from tests.injection.loop import Lines, Loop
from tests.injection.programs import MARK, Kit
from tests.injection.shapes import Shape

HANG_S = 12.0  # for a start to come to something: longer than every time that the bridge grants others
GONE_S = 6.0  # for the daemon to end when who supervised it has
STOP_S = 12.0  # for all to end that was stopped
SETTLE_S = 2.0
ASK_S = 1.0
FACTS = ("State", "TracerPid", "PPid", "SigPnd", "ShdPnd", "SigBlk", "SigIgn")


@dataclass
class Seen:
    """What happened. status: the main process's before anybody stopped it, None if it went on.

    hit: the fault was made; hit_first: that call's first argument. became: the main process became the daemon.
    started, said: the daemon was, and said that it is ready. told: so was the init; early: before the daemon had said
    so; dead: the daemon is not alive then, or stands still, and the init sees no failure. left_alone: how the daemon is
    that outlived who supervised it. processes: what was left after the stop; zombies: what nobody has waited for.
    notes: what the init was told and is wrong. text: what people were told of failures.
    """

    hit: bool = False
    hit_first: int = -1
    became: bool = False
    started: bool = False
    said: bool = False
    told: bool = False
    early: bool = False
    dead: bool = False
    status: int | None = None
    left_alone: str = ""
    processes: list[str] = field(default_factory=list)
    zombies: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    text: str = ""

    def trouble(self, waits: bool) -> str:
        """What was wrong with a start without any fault, "" if nothing. waits: its init was to be told."""
        signs = {"not told": waits and not self.told, "early": self.early, "dead": self.dead}
        found = [sign for sign, holds in signs.items() if holds] + self.processes
        return f"{', '.join(found)}; said: {self.text or 'nothing'}" if found else ""


class Daemon:
    """One that has come: who it is, as the kernel says."""

    def __init__(self, connection: socket.socket) -> None:
        data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        self.connection = connection
        self.pid: int = struct.unpack("3i", data)[0]
        self.is_told = self.is_here = False
        try:
            self.pidfd = os.pidfd_open(self.pid)
        except OSError:
            self.pidfd = -1

    @property
    def lives(self) -> bool:
        return self.pidfd >= 0 and not _is_readable(self.pidfd)

    def close(self) -> None:
        self.connection.close()
        if self.pidfd >= 0:
            os.close(self.pidfd)


class Play:
    """One start. inside: the folder of the run as the bridge has it; outside: as this process has it.

    left: what there is beside this process and the init's own, which should be nothing when all was stopped.
    """

    def __init__(
        self, loop: Loop, init: Init, shape: Shape, kit: Kit, inside: Path, outside: Path, left: Callable[[], list[str]]
    ) -> None:
        self.loop = loop
        self.init = init
        self.shape = shape
        self.kit = kit
        self.inside = inside
        self.outside = outside
        self.left = left
        self.seen = Seen()
        self.daemons: list[Daemon] = []
        self.calls: list[list[str]] = []
        self.tracer: Lines | None = None
        self.tracer_pid = self.main = 0
        self.is_quiet = True  # none of ours is about to do anything
        self.quiets = 0
        self.is_listening = False
        self.main_pidfd = -1
        self.is_gone = False
        self.traced_end: int | None = None
        self.client: socket.socket | None = None
        stage = outside / "stage"
        stage.unlink(missing_ok=True)
        self.stage = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.stage.bind(str(stage))
        stage.chmod(0o777)
        self.stage.listen()
        loop.watch(self.stage.fileno(), self._let_in)

    def run(self, fault: Fault | None = None, numbers: dict[str, int] | None = None) -> Seen:
        """Play it, traced if the numbers of the system calls are given: with this fault, or to list the calls."""
        place = str(self.inside / "place")
        words = [self.kit.bridge, *options(self.shape.init), *self.shape.options]
        words += ["--", self.kit.daemon, str(self.inside / "stage"), *self.shape.daemon]
        words = [word.replace("PLACE", place) for word in words]
        if numbers is not None:
            self._trace(fault, numbers)
            words = [self.kit.injector, "--join", str(self.inside / "join"), *words]
        self.init.begin(words)
        self.loop.until(self._has_come_to_something, HANG_S)
        self._look()
        self._stop()
        return self.seen

    # What happens.

    def _trace(self, fault: Fault | None, numbers: dict[str, int]) -> None:
        (self.outside / "join").unlink(missing_ok=True)  # nobody has joined the last one
        read, write = os.pipe()
        words = ["injector", str(self.outside / "join"), MARK]
        if fault is not None:
            words += [fault.role, str(numbers[fault.call]), str(fault.count), fault.at, str(fault.error)]
        actions = [(os.POSIX_SPAWN_DUP2, write, 1)]
        self.tracer_pid = os.posix_spawn(self.kit.injector, words, {}, file_actions=actions)
        os.close(write)
        self.tracer = Lines(self.loop, read, self._hear_tracer)
        assert self.loop.until(lambda: self.is_listening, HANG_S), "the tracer does not come up"
        self.is_quiet = False

    def _hear_tracer(self, line: str) -> None:
        word, *rest = line.split() or ["quiet"]  # nothing is traced any more
        self.is_quiet = word == "quiet"
        if word == "quiet":
            self.quiets += 1
            self._let_go()
        elif word == "listening":
            self.is_listening = True
        elif word == "main":
            self.main = self.init.main = int(rest[0])
            try:
                self.main_pidfd = os.pidfd_open(self.main)
                self.loop.watch(self.main_pidfd, lambda: self.loop.forget(self.main_pidfd))
            except ProcessLookupError:
                self.is_gone = True  # and somebody has waited for it
        elif word == "call":
            self.calls.append(rest)
        elif word == "hit":
            self.seen.hit, self.seen.hit_first = True, int(rest[1])
        elif word == "end" and rest[0] == "main":
            self.traced_end = int(rest[1])
        elif word == "exec" and rest[0] == "main":
            self.seen.became = True

    def _let_in(self) -> None:
        daemon = Daemon(self.stage.accept()[0])
        self.daemons.append(daemon)
        self.seen.started = True
        self.loop.watch(daemon.connection.fileno(), lambda: self._hear_daemon(daemon))
        if daemon.pidfd >= 0:
            self.loop.watch(daemon.pidfd, lambda: self.loop.forget(daemon.pidfd))
        if self.is_quiet:
            self._let_go()

    def _hear_daemon(self, daemon: Daemon) -> None:
        """Hear all that it has said: behind "alive" may be "ready", of which its init has been told already."""
        while True:
            try:
                said = daemon.connection.recv(64, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except ConnectionResetError:
                said = b""
            if not said:
                self.loop.forget(daemon.connection.fileno())
                return
            self.seen.said = self.seen.said or said == b"ready"
            daemon.is_here = said == b"here"

    def _let_go(self) -> None:
        """All of ours wait for something: now the daemon is to say that it is ready."""
        for daemon in self.daemons:
            if not daemon.is_told and daemon.lives:
                daemon.is_told = True
                if not self.seen.said and self._health_says_ready():
                    self.seen.early = True
                try:
                    daemon.connection.send(b"go")
                except OSError:
                    pass  # it has ended

    def _health_says_ready(self) -> bool:
        """Whether HTTP says so; False if nobody answers."""
        if not self.shape.health:
            return False
        where = self.shape.health.replace("PLACE", str(self.outside / "place"))
        host, colon, port = where.partition(":")
        try:
            with socket.socket(socket.AF_INET if colon else socket.AF_UNIX) as asker:
                asker.settimeout(ASK_S)
                asker.connect((host, int(port)) if colon else where)
                asker.send(b"GET /readyz HTTP/1.1\r\n\r\n")
                return asker.recv(4096).startswith(b"HTTP/1.1 200 ")
        except OSError:
            return False

    # What is to be seen of it.

    def _tracer_is_gone(self) -> bool:
        return self.tracer is None or self.tracer.has_ended

    def _has_ended(self) -> bool:
        """Whether the main process has."""
        if self.init.is_parent:
            return self.init.ended is not None
        is_gone = self.is_gone or (self.main_pidfd >= 0 and _is_readable(self.main_pidfd))
        return is_gone and not self.init.is_deciding

    def _status(self) -> int:
        return next((status for status in (self.init.ended, self.traced_end) if status is not None), 0)

    def _has_come_to_something(self) -> bool:
        return self.init.told or self._has_ended() or (not self.shape.waits and self.seen.said)

    def _live(self) -> list[Daemon]:
        return [daemon for daemon in self.daemons if daemon.lives]

    def _look(self) -> None:
        """It has come to something, or hangs."""
        seen, shape = self.seen, self.shape
        self.loop.catch_up()  # what the daemon has said before its init was told is there
        alive = self._live()
        seen.told = self.init.told
        if seen.told and not shape.serves:
            seen.early = seen.early or not seen.said
            before = self.quiets
            self.loop.until(lambda: self.quiets > before or self._tracer_is_gone() or self._has_ended(), SETTLE_S)
            if shape.hands_over and (self.init.is_parent or self.main_pidfd >= 0):
                self.loop.until(self._has_ended, HANG_S)
                self.loop.catch_up()
            alive = [daemon for daemon in alive if self._answers(daemon)]
            if not alive:  # as process 1 ends, its daemon is dead for a moment before the kernel tells of that end
                self.loop.until(self._has_ended, SETTLE_S)
            if self.quiets > before and not self._has_ended():
                self.loop.until(lambda: not self.init.zombies(), SETTLE_S)  # not of who is just about to be waited for
                seen.zombies = self.init.zombies()
            self._health_says_ready()  # so that it is asked while faults are made
            fails = self._has_ended() and self._status() != 0
            seen.dead = not alive and not fails and (not self._has_ended() or shape.hands_over)
            if shape.hands_over and self._has_ended() and alive and not any(map(self._is_main, alive)):
                self.init.notes.append(f"the main process is {self.init.main}, the daemon {alive[-1].pid}")
        elif seen.told:
            self._be_a_client()
        seen.status = self._status() if self._has_ended() else None
        if self._has_ended() and not (shape.hands_over and seen.told):
            if not self.loop.until(lambda: not self._live(), GONE_S):
                seen.left_alone = "; ".join(_facts(daemon.pid) for daemon in self._live())
            self.loop.catch_up()
            seen.status = self._status()

    def _is_main(self, daemon: Daemon) -> bool:
        return self.init.is_main(daemon.pid)

    def _answers(self, daemon: Daemon) -> bool:
        """Whether it lives and goes on: one that was just sent a signal that ends it, or stands still, does not."""
        daemon.is_here = False
        try:
            daemon.connection.send(b"there?")
        except OSError:
            return False
        return self.loop.until(lambda: daemon.is_here or not daemon.lives, SETTLE_S) and daemon.is_here

    def _be_a_client(self) -> None:
        """A service that is ready lets clients in."""
        self.client = socket.socket(socket.AF_UNIX)
        self.client.settimeout(ASK_S)
        try:
            self.client.connect(self.shape.serves.replace("PLACE", str(self.outside / "place")))
        except OSError:
            self.loop.catch_up()
            self.seen.early = not self._has_ended()
            return
        self.loop.until(lambda: bool(self.daemons) or self._has_ended(), SETTLE_S)

    def _stop(self) -> None:
        """End it as its init would, and wait for all to go."""
        seen = self.seen
        if self.client is not None:
            self.client.close()
        live = self._live()
        self.init.stop(live[-1].pid if live else 0)
        if not self.loop.until(self._all_is_gone, STOP_S):
            seen.processes = self.left()
        self.loop.catch_up()
        seen.notes = self.init.notes
        seen.text = self.init.said()

    def _all_is_gone(self) -> bool:
        return self._tracer_is_gone() and not self._live() and not self.left()

    def listed(self, numbers: dict[str, int]) -> list[Call]:
        """The calls that were made, by their names."""
        names = {str(number): name for name, number in numbers.items()}
        found = []
        for role, number, *arguments, kind, nonblocking in self.calls:
            words = tuple(int(argument) for argument in arguments)
            found.append(Call(role, names.get(number, number), words, kind, nonblocking == "0"))
        return found

    def close(self) -> None:
        """Release all of it; what is left is the caller's to end."""
        for daemon in self.daemons:
            self.loop.forget(daemon.connection.fileno())
            self.loop.forget(daemon.pidfd)
            daemon.close()
        self.loop.forget(self.stage.fileno())
        self.stage.close()
        if self.main_pidfd >= 0:
            self.loop.forget(self.main_pidfd)
            os.close(self.main_pidfd)
        if self.tracer is not None:
            self.tracer.close()
        self.init.close()


def _facts(pid: int) -> str:
    """What tells why a process is still there."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return "it has just ended"
    return ", ".join(" ".join(line.split()) for line in lines if line.startswith(FACTS))


def _is_readable(fd: int) -> bool:
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    return bool(poller.poll(0))
