"""What the init sends to the main process, while that is a bridge that supervises: passed on to the daemon, once.

At a stop all processes of the service are told (--kill-mode control-group), or the main one alone.
"""

import _signal
import posix
from time import CLOCK_MONOTONIC, clock_gettime_ns

from cross_init.kernel.pidfds import send
from cross_init.model import STOPPING
from cross_init.shapes.processes import is_leader
from cross_init.shapes.signals import SI_KERNEL, Signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.shapes.control import Control
    from cross_init.shapes.supervisor import Supervisor

OF_UNIT = {_signal.SIGTERM: "stop", _signal.SIGHUP: "reload"}
GROUP_S = 0.01  # the kernel gives a group's signal to one process after the other


class Passing:
    """The signals to one supervising bridge. instead: what the daemon gets in the place of one, 0: nothing."""

    def __init__(self, supervisor: "Supervisor") -> None:
        self.supervisor = supervisor
        self.watched, self.guard, self.loop = supervisor.watched, supervisor.guard, supervisor.loop
        request = supervisor.start.request
        self.instead = request.instead
        commands = (
            (_signal.SIGTERM, "--stop-command", request.stop_command),
            (_signal.SIGHUP, "--reload-command", request.reload_command),
        )
        self.controls: dict[int, Control] = {}
        unit = supervisor.start.unit
        of_unit = {number: unit.steps(kind) for number, kind in OF_UNIT.items()} if unit is not None else {}
        for number, option, words in commands:
            if words or of_unit.get(number):
                from cross_init.shapes import control

                steps = [control.Words(option, words)] if words else of_unit[number]
                limit = supervisor.stopping.limit_of(OF_UNIT[number])
                self.controls[number] = made = control.Control(supervisor, steps, *limit)
                made.tells_result = number == _signal.SIGTERM and not words
        self.reload_post = supervisor.control_of("reload_post")
        self.signals = Signals(self.loop, self._signalled)

    def _signalled(self, number: int, code: int) -> None:
        if self.instead.get(number) == 0:
            return  # nobody is to get it
        self.watched.is_told_to_stop |= number == _signal.SIGTERM
        is_about_ours = number == _signal.SIGCHLD and code > 0  # from the kernel: CLD_EXITED and so on, sigaction(2)
        if number == _signal.SIGCHLD:
            self.supervisor.reap()
        if is_about_ours:
            pass
        elif code == SI_KERNEL and self._shares_group() and not (number == _signal.SIGHUP and is_leader()):
            pass  # a terminal's, which the daemon has as well; but its hanging up is told to the session's leader alone
        elif self.guard is None or not (self.watched.init.signals_all or self._shares_group()):
            self._pass_signal(number)
        else:
            self._settle()
            if not self.guard.has(number):
                self.loop.after(GROUP_S, lambda: self._pass_unless_all(number))

    def _pass_unless_all(self, number: int) -> None:
        """Pass it on if it was sent to us alone."""
        if self.guard is None or not self.guard.has(number):
            self._pass_signal(number)

    def stop_at_once(self) -> None:
        """A stop of a service whose start is over before it was started: a unit's commands for a stop are not run."""
        self.watched.is_told_to_stop = self.supervisor.was_signalled = True
        self._announce(_signal.SIGTERM)
        self._deliver(_signal.SIGTERM)

    def _is_for(self, number: int) -> bool:
        """Whether what a unit has run for this signal is for a service as it is (systemd.service(5), ExecStop=)."""
        supervisor = self.supervisor
        return number != _signal.SIGTERM or supervisor.is_started or bool(supervisor.start.request.stop_command)

    def _pass_signal(self, number: int) -> None:
        self.supervisor.was_signalled = True
        is_reload = self._announce(number)
        control = self.controls.get(number)
        if control is not None and self._is_for(number):
            control.run(lambda: self._commanded(number, is_reload))
            return
        self._deliver(number)
        if number == _signal.SIGHUP:
            self._heard(is_reload)

    def _commanded(self, number: int, is_reload: bool) -> None:
        """The command for this signal has ended."""
        if number == _signal.SIGHUP:
            manner, has_failed = self.supervisor.stopping.manner, self.controls[number].failed
            if manner is not None and manner.says_reloaded and not (has_failed or self.supervisor.is_over):
                self._deliver(number)  # behind its command, as systemd does
                self._heard(is_reload)
            else:
                self._reloaded(is_reload, has_failed)
            return
        if number == _signal.SIGTERM and self.controls[number].tells_result:
            self.supervisor.stopping.note(self.controls[number].result)
        if self.supervisor.is_over:
            self.supervisor.end()
        elif number == _signal.SIGTERM:
            self._deliver(number)  # what it has not ended, as systemd does
            send(self.watched.pidfd, _signal.SIGCONT)  # the command may have stopped it

    def _heard(self, is_reload: bool) -> None:
        """The daemon has been sent the signal by which it reloads: some say when they have."""
        manner = self.supervisor.stopping.manner
        if self.reload_post is None or manner is None or not manner.says_reloaded:
            self._reloaded(is_reload, False)
            return
        self.watched.reloaded = lambda: self._reloaded(is_reload, False)
        if manner.start_s is not None:
            self.loop.after(manner.start_s, self._forget_reload)

    def _forget_reload(self) -> None:
        """It was not said in time, so nothing comes of it."""
        self.watched.reloaded = None

    def _reloaded(self, is_reload: bool, has_failed: bool) -> None:
        """The reload itself is over."""
        if self.reload_post is not None and not (has_failed or self.supervisor.is_over):
            self.reload_post.run(lambda: self._has_reloaded(is_reload))
        else:
            self._has_reloaded(is_reload)

    def _has_reloaded(self, is_reload: bool) -> None:
        if is_reload:
            self.supervisor.pass_on((("READY", "1"),), [])
        if self.supervisor.is_over:
            self.supervisor.end()

    @property
    def is_busy(self) -> bool:
        """Whether a command runs."""
        return any(control.pid for control in self.all_controls)

    @property
    def all_controls(self) -> "list[Control]":
        """Whatever may run beside the daemon."""
        others = (self.reload_post, self.supervisor.post)
        return [*self.controls.values(), *(each for each in others if each is not None)]

    def _deliver(self, number: int) -> None:
        if number == _signal.SIGTERM:
            self.supervisor.stopping.begin()
            return
        wanted = self.instead.get(number, number)
        if self.watched.is_on_its_way:
            self.watched.send_all(wanted)
        else:
            send(self.watched.pidfd, wanted)

    def _announce(self, number: int) -> bool:
        """Tell an init that listens what it has begun, for a daemon that does not say so itself.

        Returns whether it is a reload, of whose end the init has to be told as well: a unit with
        Type=notify-reload waits for both messages (systemd.service(5)).
        """
        hears, says = self.watched.init.news, self.supervisor.start.target.news
        if number == _signal.SIGTERM:
            self.watched.enter(STOPPING)
            if "stopping" in hears and "stopping" not in says:
                self.supervisor.pass_on((("STOPPING", "1"),), [])
        elif number == _signal.SIGHUP and "reloading" in hears and "reloading" not in says and self.watched.ready:
            usec = clock_gettime_ns(CLOCK_MONOTONIC) // 1000
            self.supervisor.pass_on((("RELOADING", "1"), ("MONOTONIC_USEC", str(usec))), [])
            return True
        return False

    def _settle(self) -> None:
        try:
            self.watched.init.barrier(self.supervisor.start.original)
        except OSError:
            pass  # then the daemon may get it twice, which is better than never

    def _shares_group(self) -> bool:
        try:
            return posix.getpgid(self.supervisor.main or self.supervisor.first) == posix.getpgrp()
        except OSError:
            return False
