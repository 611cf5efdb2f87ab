"""Who watches a daemon, as those need it who see when it is ready: what they may ask it, and no more. Types only."""

from collections.abc import Callable
from typing import Protocol

from cross_init.bounds import Identity, Pid
from cross_init.readiness.condition import Condition
from cross_init.readiness.sd_notify import Assignments
from cross_init.readiness.worker import Workers
from cross_init.sockets.passed import Passed
from cross_init.watch.event_loop import EventLoop, Timer
from cross_init.watch.log import Reporter


class Watchdog(Protocol):
    """Counts signs of life."""

    def heed(self, message: Assignments) -> None:
        """What the daemon says about it."""


class DescriptorStore(Protocol):
    """Keeps descriptors for the daemon. pidfd: of the process that the init tracks."""

    pidfd: int

    def heed(self, message: Assignments) -> None:
        """Do what this message says, which gives nothing to keep."""

    def prepare(self, tell: Callable[[bytes, str], None]) -> None:
        """Be ready to be given some. In a worker, as is the next."""

    def let_rest(self) -> None:
        """Who keeps them does not answer: ask it nothing for a while."""

    def store(self, message: Assignments, descriptors: list[int], tell: Callable[[bytes, str], None]) -> None:
        """Keep these; they stay the caller's."""


class Subject(Protocol):
    """One daemon under watch; watch.watched.Watched says what each of these is."""

    loop: EventLoop
    reporter: Reporter
    pid: int
    pidfd: int
    ready: bool
    has_spoken: bool
    unheard: int
    state: str
    status: str
    failure: int
    outstanding: list[str]
    deadline: Timer | None
    helpers: dict[int, int | None]
    reaped: dict[int, int] | None
    follow: Callable[[Pid | None, Identity | None, str], None] | None
    pass_on: Callable[[Assignments, list[int], int], None] | None
    workers: Workers | None

    @property
    def watchdog(self) -> Watchdog | None:
        """Who counts its signs of life."""

    @property
    def keeping(self) -> DescriptorStore | None:
        """Who keeps its descriptors."""

    @property
    def passed_inodes(self) -> list[int]:
        """Of the sockets that it was passed."""

    @property
    def passed_sockets(self) -> list[Passed]:
        """These, as they were before the start."""

    def observe_as_well(self, condition: Condition) -> None:
        """Attend to this one with the others, and stop it with them."""

    @property
    def says_ready(self) -> bool:
        """Whether its readiness is what it says, and not that it forks away, or only what is observed."""

    @property
    def notify_access(self) -> str:
        """Whose messages count."""

    def expect(self, condition: str) -> Callable[[], None]:
        """One more condition, in words; the daemon is ready when for each the returned function was called."""

    def enter(self, state: str) -> None:
        """The daemon is in this state from now on."""

    def extend(self, seconds: float) -> None:
        """Give the start at least these seconds from now on."""

    def terminate(self) -> None:
        """End the daemon."""

    def belongs(self, pid: int) -> bool:
        """Whether this process is the service's."""

    def remember(self) -> None:
        """What is known of it has changed."""

    def family(self) -> list[Pid]:
        """All processes of the service."""
