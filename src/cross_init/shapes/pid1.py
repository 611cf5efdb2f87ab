"""Process 1 of a PID namespace, as a container's first process is: what the kernel asks of that one.

    process 1  reaps whatever loses its parent, passes signals on, and ends as its child does
      bridge   from here on everything is as below any other init, whatever the shape

The two are kept apart because process 1 gets every orphan of the namespace, also those of a "podman exec": below the
bridge there is only what belongs to the service. With the end of process 1 the kernel ends all (pid_namespaces(7)).
"""

import _signal
import posix
from time import monotonic

from cross_init.errors import print_error
from cross_init.kernel.linux import fork
from cross_init.kernel.process_stat import process_state
from cross_init.model import MIXED
from cross_init.shapes.processes import PASSED_ON, block
from cross_init.watch.detach import detach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.request import Request

LOOK_S = 0.1  # after which it is looked again for what is no child of ours
SI_KERNEL = 0x80  # si_code of what a terminal's driver sends to the group in its foreground


def split(request: "Request") -> None:
    """Fork: return in the child; as process 1, end when that has. Raises Failure."""
    given = block()  # unblocked and without a handler, a signal to process 1 would be lost
    leads_session = posix.getsid(0) == posix.getpid() and not posix.isatty(0)
    pid = fork("leaving process 1")
    if pid == 0:
        if leads_session:
            posix.setsid()
        given.restore()
        return
    detach(set())
    status = serve(pid).status
    if request.ends_rest:
        end_others(request)
    # No signal's default ends process 1, not even sent by itself: so as a shell has it.
    posix._exit(128 + posix.WTERMSIG(status) if posix.WIFSIGNALED(status) else posix.WEXITSTATUS(status))


class Gone:
    """Our child has ended, with this wait status. signals: those that came meanwhile."""

    def __init__(self, status: int, signals: set[int]) -> None:
        self.status = status
        self.signals = signals


def serve(child: int) -> Gone:
    """Reap and pass signals on until the child ends."""
    signals: set[int] = set()
    while True:
        got = _signal.sigwaitinfo((*PASSED_ON, _signal.SIGCHLD))
        number = got.si_signo
        if got.si_pid == posix.getpid():
            continue  # SIGPIPE, which a write of ours brings where nobody reads what we say
        if number == _signal.SIGCHLD:
            status = reap(child)
            if status is not None:
                return Gone(status, signals)
        else:
            signals.add(number)
        is_about_ours = number == _signal.SIGCHLD and got.si_code > 0  # CLD_EXITED and so on, sigaction(2)
        # A terminal's keys go to the group; only that it hung up is told to process 1 alone, as the session's leader.
        has_it = got.si_code == SI_KERNEL and number != _signal.SIGHUP and _shares_group(child)
        if not is_about_ours and not has_it:
            posix.kill(child, number)  # not waited for yet: the PID is still its own


def end_others(request: "Request") -> None:
    """The service has ended: have all else that runs here end, and wait for that, as long as was asked for.

    The kernel ends the rest with us. Whoever was started from outside ("podman exec") is not our child.
    """
    until = monotonic() + (request.stop_timeout if request.kill_mode != MIXED else 0.0)
    told: set[int] = set()
    while (others := _others()) and (left := until - monotonic()) > 0:
        for pid in others - told:
            for number in (_signal.SIGTERM, _signal.SIGCONT):
                try:
                    posix.kill(pid, number)
                except OSError:
                    pass  # it has ended
        told |= others
        _signal.sigtimedwait((_signal.SIGCHLD,), min(left, LOOK_S))
        reap(0)
    if others and request.kill_mode != MIXED:
        print_error(
            f"{len(others)} other process{'es' * (len(others) > 1)} did not end within {request.stop_timeout:g} s, and "
            f"{'end' if len(others) > 1 else 'ends'} with this container (--stop-timeout)",
            0,
        )


def _others() -> set[int]:
    """All that live here, as far as /proc shows it."""
    try:
        names = posix.listdir("/proc")
    except OSError:
        return set()
    found = {int(name) for name in names if name.isdigit()} - {posix.getpid()}
    return {pid for pid in found if process_state(pid) not in ("Z", "X", "")}


def reap(child: int) -> int | None:
    """Take in all that has ended; the child's wait status if that has."""
    while True:
        try:
            pid, status = posix.waitpid(-1, posix.WNOHANG)
        except ChildProcessError:
            return None
        if pid in (0, child):
            return status if pid else None


def _shares_group(child: int) -> bool:
    return posix.getpgid(child) == posix.getpgrp()
