"""The shape "supervise": this process stays the main process, with the daemon as a descendant.

It adopts what loses its parent among the daemon's processes, so it can follow a main process that changes (MAINPID=, a
PID file) and a daemon that forks away, with their exit status. It passes signals on, tells the init of readiness
itself, and ends as the main process ends: with its exit code, or of its signal.

All that is supervisor.py, which is imported when the daemon has been forked, so it delays no start.
"""

import _signal
import posix
from time import monotonic

from cross_init.errors import FAILED, Failure
from cross_init.model import SUCCESS
from cross_init.shapes.guard import MARK, Guard
from cross_init.shapes.processes import block, end_like, fork_daemon, is_leader

MAIN_PID = "main PID"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.launch import Start


def run(start: "Start") -> int:
    """Run the daemon as a descendant until it ends; returns the exit code to end with. Raises Failure, OSError."""
    began = monotonic()
    start.shared = posix.pidfd_open(posix.getpid())
    given = block()
    channel = start.channel(False)
    leads_session = lead_session()
    may_leave = may_leave_its_parent(start)
    try:
        if may_leave:
            adopt(start)  # before there is a daemon, whose first act it may be; behind a fork it takes thrice as long
        guard = None
        if start.init.signals_all or not start.init.ends_all:
            guard = Guard(start, leads_session or start.target.forks)
        enrol, begin = (guard.enrol, guard.begin) if guard is not None else (None, None)
        pid = fork_daemon(start, given, channel, leads_session, enrol, begin)
    except BaseException:
        channel.discard()
        raise
    start.close_sockets()
    try:
        if not may_leave:
            adopt(start)  # only now, as it takes time: the daemon has started meanwhile
        from cross_init.shapes.supervisor import Supervisor
        from cross_init.watch.event_loop import EventLoop
        from cross_init.watch.leftovers import is_clean
        from cross_init.watch.outcome import explain, is_ours_to_explain

        if start.unit is not None:
            start.unit.has_started()
        loop = EventLoop()
        supervisor = Supervisor(loop, start, pid, channel, began, guard)
        if guard is not None:
            guard.wake()
    except BaseException:  # the limit on open files; a daemon that nobody supervises must not remain
        posix.kill(pid, _signal.SIGKILL)  # our child, not waited for: the PID is still its own
        channel.discard()
        raise
    loop.run()
    try:
        channel.close()
    except OSError:
        pass  # its last words cannot be had
    to_explain = is_ours_to_explain(supervisor.watched)
    supervisor.watched.close()
    why, watched = SUCCESS, supervisor.watched
    if start.unit is None:
        supervisor.end_rest(True)
    else:
        supervisor.guard_rest()
        supervisor.passing.signals.close()  # what is run now is waited for by this thread
        status = None if supervisor.stopping.is_left and supervisor.main else supervisor.status
        stopping = supervisor.stopping
        had_main = stopping.has_main and (not start.target.forks or watched.pid != supervisor.first)
        cause = stopping.result or ("" if stopping.has_main else SUCCESS)
        was_ready = watched.ready or not start.request.waits
        why = start.unit.after(status, stopping.was_told, cause, supervisor.end_rest, had_main, was_ready)
    start.init.ended()
    for condition in start.conditions:
        condition.outlive()
    if to_explain:  # behind its own last words
        explain(supervisor.watched, supervisor.status)
    if guard is not None:
        guard.dismiss()
    if supervisor.stopping.has_failed or (why != SUCCESS and is_clean(supervisor.status)):
        return FAILED
    if why == SUCCESS and start.unit is not None and (start.unit.any_end_is_good or not supervisor.stopping.has_main):
        return 0
    return 0 if is_success(supervisor.status, start.request.success) else end_like(supervisor.status)


def is_success(status: int, codes: set[int]) -> bool:
    """Whether this wait status is one of these exit codes; a signal's is 128 and its number."""
    return (128 + posix.WTERMSIG(status) if posix.WIFSIGNALED(status) else posix.WEXITSTATUS(status)) in codes


def may_leave_its_parent(start: "Start") -> bool:
    """Whether another process than the first may count: it forks away, or says so, or is observed to be there."""
    request, target = start.request, start.target
    return target.forks or bool(request.pid_file or request.ready_when) or MAIN_PID in target.news


def mark(start: "Start") -> None:
    """Let the guard know by a variable what the daemon has left as it was forking away, if it is one that may do so."""
    if not start.init.ends_all and may_leave_its_parent(start):
        mark = posix.urandom(16).hex().encode()
        start.environ.pop(MARK, None)
        start.environ = {MARK: mark, **start.environ}  # at the beginning (kernel/procfs.py, variables())


def adopt(start: "Start") -> None:
    """Adopt orphans, so that a main process that changes can be followed. Raises Failure if that is all there is."""
    try:
        from cross_init.kernel.orphans import adopt_orphans

        adopt_orphans()
    except (Failure, OSError, ImportError) as error:
        if start.target.forks:
            raise Failure(f"following a daemon that forks away: {error}") from None


def lead_session() -> bool:
    """Whether the daemon is to lead a session: if we do, and so it would without us, unless we have a terminal."""
    return is_leader() and not posix.isatty(0)
