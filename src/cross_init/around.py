"""What a unit has around its main process: as types alone, which nobody imports at run time."""

from collections.abc import Callable, Sequence
from typing import Protocol

from cross_init.kernel.control_group import Group
from cross_init.kernel.linux import Environment
from cross_init.launch import Start
from cross_init.sockets.passed import Passed
from cross_init.watch.stages import Manner


class Step(Protocol):
    """A command that is run beside the daemon. text: what it is."""

    text: str

    def result(self, status: int) -> str:
        """What its end means for the service, in systemd's word: "success" if it is no matter."""

    def become(self, environ: Environment) -> None:
        """Run it in this new process. Does not return; raises Failure, OSError."""


class Around(Protocol):
    """All of it, as running/unit.py has it. programs: where that may be. environ: its own.

    began: since when what its commands leave is known, in ticks since boot; 0 if it is not.
    is_oneshot: all was run before, and its main process does nothing but to be there until it is stopped. not_run: the
    exit code if its program cannot be run. group: the control group that all of it is in, if there is one.
    """

    is_oneshot: bool
    not_run: int
    began: int
    programs: list[bytes]
    environ: Environment
    group: Group | None

    @property
    def any_end_is_good(self) -> bool:
        """Whether it is no failure if its main process fails."""

    @property
    def manner(self) -> Manner | None:
        """How it is ended, if the unit has it otherwise than we."""

    def stay(self) -> None:
        """This process is there to the service's end: have such a group, if there can be one."""

    def has_started(self) -> None:
        """Its main process was forked, and nobody waits for this one."""

    def listening(self, start: Start, open_sockets: Callable[[Start], None]) -> None:
        """Open the sockets, with what is to be run around that. Raises Failure."""

    def before(self, start: Start) -> None:
        """Run what comes first. Raises Failure."""

    def enter(self, start: Start) -> Callable[[], None]:
        """In the process that becomes the daemon: be what the unit says. Raises Failure.

        Returns what is to be done last of all, after which nothing but exec may be possible. Raises Failure.
        """

    def opened(self) -> list[Passed]:
        """What is opened for it, and passed behind its sockets. Raises Failure."""

    def steps(self, kind: str) -> Sequence[Step]:
        """The commands of a kind: start_post, reload, reload_post, stop."""

    def after(
        self,
        status: int | None,
        told: bool,
        cause: str = "",
        end_rest: Callable[[bool], bool] | None = None,
        had_main: bool = True,
        was_ready: bool = True,
    ) -> str:
        """The main process has ended: see Unit.after()."""
