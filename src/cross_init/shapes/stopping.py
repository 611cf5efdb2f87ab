"""How a service that is supervised is told to end, signal by signal, until it has; and why it is, but for a stop.

A unit may say a lot about it (watch/stages.py). Without one: the stop's signal, and SIGKILL after --stop-timeout.
"""

import _signal
import posix

from cross_init.errors import print_error
from cross_init.kernel.pidfds import has_ended, send
from cross_init.kernel.process_stat import process_state
from cross_init.model import CONTROL_GROUP, MIXED, NONE, SUCCESS
from cross_init.watch.leftovers import CRASH_S, stages_of
from cross_init.watch.outcome import names_of
from cross_init.watch.stages import ABORT, KILL, TERMINATE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Protocol

    from cross_init.launch import Start
    from cross_init.watch.event_loop import EventLoop
    from cross_init.watch.leftovers import Rest
    from cross_init.watch.stages import Stage
    from cross_init.watch.watched import Watched

    class Parent(Protocol):
        """Whose service it is; supervisor.Supervisor says what each of these is."""

        loop: EventLoop
        start: Start
        watched: Watched
        rest: Rest
        stop: int
        status: int

        def send_commands(self, numbers: Sequence[int]) -> bool:
            """Send what runs beside the daemon these signals; whether there is anything."""


STOP = "stop"  # the kind of a unit's commands that are run before it is told to end


class Stopping:
    """The end of one service. left: the stages that are still to come; None: it was not told to end yet.

    cause: what has become of it, as systemd has it: timeout. is_left: all was in vain. ran_too_long: so it was ended.
    """

    def __init__(self, supervisor: "Parent") -> None:
        self.supervisor = supervisor
        self.watched = watched = supervisor.watched
        unit = supervisor.start.unit
        self.manner = manner = unit.manner if unit is not None else None
        self.left: list[Stage] | None = None
        self.cause = ""
        self.is_left = self.ran_too_long = False
        if manner is not None:
            watched.end_by = lambda: self._begin_by(manner.start_mode)
            watched.abort = self._abort

    def begin(self) -> None:
        """Tell the service to end: once, if its unit says how; else as often as the init does."""
        unit = self.supervisor.start.unit
        if unit is not None and unit.is_oneshot:  # the others of it are told behind that (Unit.after())
            send(self.watched.pidfd, _signal.SIGTERM)
            return
        if self.manner is not None:
            self._begin_by(TERMINATE)
            return
        request = self.supervisor.start.request
        wanted = request.instead.get(_signal.SIGTERM, _signal.SIGTERM)
        is_timed = "--stop-timeout" in request.given and request.kill_mode != NONE and not self.watched.is_on_its_way
        self._send(((wanted,), None, TERMINATE))
        if is_timed and self.left is None:
            self.left = [((_signal.SIGKILL,), None, KILL)]
            self.watched.loop.after(request.stop_timeout, lambda: self._late(request.stop_timeout))

    def _abort(self) -> str:
        """It gives no sign of life; returns what it is sent, in words."""
        assert self.manner is not None
        self._begin_by(ABORT)
        return names_of((self.manner.abort,))

    def _begin_by(self, first: str) -> None:
        """The same, once, and by another signal than the stop's perhaps."""
        if self.left is not None:
            return
        assert self.manner is not None
        stages = self.manner.whole(first)
        self.left = stages if self.supervisor.start.request.kill_mode != NONE else stages[:1]
        if self.watched.watchdog is not None:
            self.watched.watchdog.stop()
        self._next()

    def _next(self) -> None:
        """Send what comes next, and wait; what reaches nobody is not waited for."""
        while self.left:
            stage = self.left.pop(0)
            if self._send(stage):
                self._wait(stage)
                return
        if self.manner is not None:
            self._give_up()

    def _wait(self, stage: "Stage") -> None:
        watched, seconds = self.watched, stage[1]
        is_bound = stage[2] != TERMINATE or "--stop-timeout" in self.supervisor.start.request.given or self.cause
        watched.loop.cancel(watched.deadline)
        watched.deadline = None
        if seconds is not None and self.manner is not None and is_bound:
            watched.late = lambda: self._late(seconds)
            watched.extend(seconds)

    def _late(self, seconds: float) -> None:
        """It has not ended in time."""
        watched = self.watched
        self.cause, watched.deadline = "timeout", None
        following = self.left[:1] if self.left else []
        self._next()
        for numbers, _, _ in following:
            print_error(
                f"{watched.service} (PID {watched.pid}) has not ended within {seconds:g} s of being told to: sending "
                f"{names_of(numbers)} (--stop-timeout)",
                0,
            )

    def _send(self, stage: "Stage") -> bool:
        """Whether there was somebody to send it to."""
        numbers, _, why = stage
        watched, supervisor = self.watched, self.supervisor
        if watched.is_on_its_way:
            for number in numbers:
                watched.send_all(number)
            return True
        is_there = not has_ended(watched.pidfd)
        for number in numbers:
            send(watched.pidfd, number)
        if self.manner is not None:
            if process_state(watched.pid) == "T":
                send(watched.pidfd, _signal.SIGCONT)
            is_there |= supervisor.send_commands(numbers)
        if why == TERMINATE:
            supervisor.stop = numbers[0]
        mode = supervisor.start.request.kill_mode
        if mode == CONTROL_GROUP or (mode == MIXED and why == KILL):
            is_there |= supervisor.rest.send(numbers, watched.pid)
        return is_there

    def _give_up(self) -> None:
        """All was in vain, or nobody was to be told: the service ends, and leaves what there is."""
        self.is_left = True
        self.supervisor.loop.stop()
        if self.cause:
            watched = self.watched
            print_error(f"{watched.service} (PID {watched.pid}) has not ended of that either, and is left as it is", 0)

    # What there is to know of it behind its end.

    def note(self, why: str) -> None:
        """This has come of what its unit has run beside it, in systemd's word: the first that is no success stays."""
        if not self.cause and why != SUCCESS:
            self.cause = why

    def of_rest(self, crashed: bool, is_last: bool) -> "Sequence[Stage]":
        """What those get that the main process has left. is_last: see Supervisor.end_rest()."""
        request = self.supervisor.start.request
        if self.manner is None:
            return stages_of(request, crashed)
        if crashed and "--stop-timeout" not in request.given:
            self.manner.stop_s = CRASH_S
        return self.manner.of_rest(request.kill_mode, is_last)

    @property
    def result(self) -> str:
        """Why it was ended, or what came of that, in systemd's word; "" if it has ended by itself, or of a stop."""
        watched = self.watched
        if watched.timed_out:
            return "timeout"
        return "watchdog" if watched.watchdog is not None and watched.watchdog.is_over else self.cause

    @property
    def was_told(self) -> bool:
        """Whether it was told to end, by its init or by us."""
        return self.watched.is_told_to_stop or self.left is not None or bool(self.result)

    @property
    def has_failed(self) -> bool:
        """Whether that is a failure, however its main process has ended."""
        is_ours = self.ran_too_long or (self.is_left and bool(self.cause))
        is_aborted = self.manner is not None and self.result == "watchdog" and self.supervisor.status == 0
        return self.watched.timed_out or is_ours or is_aborted

    @property
    def has_main(self) -> bool:
        """Whether the end of a main process counts."""
        return self.manner is None or self.manner.has_main

    @property
    def waits_for_all(self) -> bool:
        """Whether it ends with its last process, and not with its main one."""
        return self.manner is not None and self.manner.waits_for_all

    # How long it may take, or run.

    def limit_of(self, kind: str) -> "tuple[float | None, Callable[[], None] | None]":
        """For commands of a kind: how many seconds each may take, and what is done then, if it is not just killed."""
        manner = self.manner
        if manner is None:
            return self.supervisor.start.request.stop_timeout, None
        if kind == STOP:
            return manner.stop_s, lambda: self._command_is_late(manner.stop_mode)
        late = (lambda: self._command_is_late(manner.start_mode)) if kind == "start_post" else None
        return manner.start_s, late

    def _command_is_late(self, first: str) -> None:
        self.cause = "timeout"
        self._begin_by(first)
        print_error(f"{self.watched.service}: a command of its unit takes too long: the service is ended", 0)

    def count(self) -> None:
        """It runs from now on: for how long at most?"""
        watched = self.watched
        if self.manner is None or self.manner.runtime_s is None or watched.late is not None:
            return
        watched.late = self._ran_too_long
        watched.extend(self.manner.runtime_s)

    def _ran_too_long(self) -> None:
        self.cause, self.ran_too_long, self.watched.deadline = "timeout", True, None
        posix.kill(posix.getpid(), _signal.SIGTERM)  # a stop, as with systemd
        print_error(f"{self.watched.service} has run for as long as it may: stopping it (RuntimeMaxSec=)", 0)
