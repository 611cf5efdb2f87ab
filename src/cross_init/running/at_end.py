"""The end of a unit's service: what is run then, what is told to end, and what goes with it.

In systemd's order (service.c): what was told to end is not waited for before ExecStopPost= has been run.
"""

import _signal
import posix

from cross_init.model import CONTROL_GROUP, MIXED, SUCCESS, TIMEOUT
from cross_init.running.environment import remove_made
from cross_init.running.result import PROTOCOL, RESOURCES, result, say
from cross_init.running.steps import run_all, run_at_end
from cross_init.shapes.stops import block, unblock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cross_init.running.unit import Unit


def after(
    unit: "Unit",
    status: int | None,
    told: bool,
    cause: str,
    end_rest: "Callable[[bool], bool] | None",
    had_main: bool,
    was_ready: bool,
) -> str:
    """The main process has ended: see Unit.after()."""
    end_rest = end_rest or (lambda is_last: end_left(unit, is_last))
    outcome = unit.outcome
    if not unit.has_begun:
        end_sockets(unit)
        return outcome.why
    if unit.is_oneshot and status is not None:
        status = 0  # it has ended long ago; what has been stopped was there for nothing but that
    elif had_main:
        outcome.status = status
    outcome.note(cause or _result(unit, status))
    if status == 0 and not (was_ready or told) and unit.definition.readiness.type in ("notify", "notify-reload"):
        outcome.note(PROTOCOL)
    before = block()
    try:
        if status is not None and not told and outcome.why == SUCCESS:
            _run(unit, "stop")
        is_waited_for = not told or unit.is_oneshot
        if is_waited_for and end_rest(False):
            outcome.note(TIMEOUT)
        has_run = _run(unit, "stop_post")
        if (has_run or not is_waited_for) and end_rest(True):
            outcome.note(TIMEOUT)
        _leave(unit)
    finally:
        unblock(before)
    return outcome.why


def after_nothing(unit: "Unit", why: str) -> None:
    """The service was not started, or not all of a Type=oneshot."""
    unit.has_begun = False
    unit.outcome.note(why)
    before = block()
    try:
        end_left(unit, False)
        _run(unit, "stop_post")
        end_left(unit, True)
        _leave(unit)
    finally:
        unblock(before)


def end_left(unit: "Unit", is_last: bool) -> bool:
    """End what commands have left, if there was no main process; whether that took too long."""
    ending = unit.definition.ending
    if not unit.began or ending.kill_mode not in (CONTROL_GROUP, MIXED):
        return False
    from cross_init.running.manner import manner_of
    from cross_init.watch.leftovers import Rest, end, reap_all

    rest = Rest(posix.getpid(), posix.getpid(), unit.group, unit.began)
    stages = manner_of(unit.definition).of_rest(ending.kill_mode, is_last)
    return end(rest, unit.definition.name, "a command has", stages, reap_all)


def _result(unit: "Unit", status: int | None) -> str:
    if status is None:
        return RESOURCES
    return SUCCESS if unit.command.may_fail else result(status, unit.definition.ending, unit.is_oneshot)


def _leave(unit: "Unit") -> None:
    """All has been run: nothing of it is to be left, and who starts it anew is told."""
    if unit.definition.context.has_terminal and unit.definition.target == "systemd":
        from cross_init.running.terminals import leave

        leave(unit.definition.context)
    remove_folders(unit)
    end_sockets(unit)
    say(unit.tell, unit.outcome.status, unit.outcome.why)


def end_sockets(unit: "Unit") -> None:
    """What its sockets' units have run at their end is run, once."""
    if unit.of_sockets is not None:
        unit.of_sockets.end()
        unit.of_sockets = None


def _run(unit: "Unit", kind: str) -> bool:
    """Run these; that one fails is said, and noted. Returns whether there were any."""
    steps = unit.steps(kind)
    if not steps:
        return False
    stop = unit.definition.ending.timeout_stop
    unit.outcome.note(run_at_end(run_all, steps, {**unit.environ, **unit.outcome.variables}, stop, stop, ()))
    return True


def remove_folders(unit: "Unit") -> None:
    """Its control group, its sandbox, what it leaves of IPC, its folders: nothing of it is to be left."""
    if unit.group is not None:
        ending = unit.definition.ending
        is_killed = ending.send_sigkill and ending.final_kill_signal == _signal.SIGKILL
        if is_killed:
            unit.group.kill()  # what is left was told to end, and has had its time
        unit.group.remove(is_killed)
        unit.group = None
    if unit.enclosure is not None:
        unit.enclosure.remove()
    if unit.definition.context.remove_ipc:
        from cross_init.kernel.ipc_objects import remove_all_of

        remove_all_of(unit.identity.user, unit.identity.group)
    remove_made(unit.definition)
