"""Restart= where no init starts a service anew, as in a container (--restart): when, how soon, and how often.

As systemd decides it (systemd.service(5), systemd.unit(5); service.c, service_shall_restart() and
service_restart_usec_next(); ratelimit.c). Who stays for that is the parent of all else, process 1 in a container.
"""

import _signal
import posix
from time import monotonic

from cross_init.definitions.definition import INFINITY, SECOND
from cross_init.errors import print_error
from cross_init.kernel.linux import fork
from cross_init.running.result import UNSAID, result
from cross_init.shapes.pid1 import reap, serve
from cross_init.shapes.processes import block, end_like
from cross_init.watch.outcome import in_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cross_init.definitions.definition import Definition, Ending

STOPS = (_signal.SIGTERM, _signal.SIGINT, _signal.SIGQUIT)
UNCLEAN = {  # Restart=: the results after which it is started anew
    "on-success": ("success",),
    "on-failure": ("exit-code", "signal", "core-dump", "timeout", "watchdog", "resources", "protocol"),
    "on-abnormal": ("signal", "core-dump", "timeout", "watchdog", "resources", "protocol"),
    "on-watchdog": ("watchdog",),
    "on-abort": ("signal", "core-dump"),
}
FD = 100  # from which on our end of the pipe stands: below it are a daemon's own
SAID_MOST = 100  # bytes


def is_due(ending: "Ending", why: str, status: int) -> bool:
    """Whether a service that was not told to stop is started anew. status: UNSAID if there was no main process."""
    if _is_among(status, ending.restart_prevent_exit_status) or ending.restart_delay == INFINITY:
        return False
    if _is_among(status, ending.restart_force_exit_status):
        return True
    if ending.restart == "always":
        return why != "exec-condition"
    return why in UNCLEAN.get(ending.restart, ())


def _is_among(status: int, among: tuple[tuple[int, ...], tuple[int, ...]]) -> bool:
    if status == UNSAID:
        return False
    return posix.WTERMSIG(status) in among[1] if posix.WIFSIGNALED(status) else posix.WEXITSTATUS(status) in among[0]


def delay(ending: "Ending", count: int) -> float:
    """Seconds before it is started anew for this time, from 1 on: more and more, if RestartSteps= says so."""
    first, last, steps = ending.restart_delay, ending.restart_max_delay, ending.restart_steps
    if count <= 1 or not steps or last == INFINITY or first >= last:
        usec = float(first)
    elif count > steps:
        usec = float(last)
    else:
        usec = float(first * (last / first) ** ((count - 1) / steps)) if first else 0.0
    if ending.restart_randomized_delay:
        usec += ending.restart_randomized_delay * int.from_bytes(posix.urandom(4)) / (1 << 32)
    return usec / SECOND


class Limit:
    """So many starts in that time (StartLimitBurst=, StartLimitIntervalSec=)."""

    def __init__(self, burst: int, interval_usec: int) -> None:
        self.burst = burst
        self.interval = interval_usec / SECOND
        self.since: float | None = None
        self.count = 0

    def allows(self, now: float) -> bool:
        """Whether it may be started once more, which counts as a start."""
        if not self.burst or not self.interval:
            return True
        if self.since is None or now - self.since > self.interval:
            self.since, self.count = now, 0
        self.count += 1
        return self.count <= self.burst


def stay(definition: "Definition", rest: "Callable[[], None]") -> int:
    """Fork, again and again: returns in each child the descriptor by which it says how it ended.

    rest: what there is to do at the very end. Raises Failure.
    """
    ending, name = definition.ending, definition.name
    given = block()
    leads_session = posix.getsid(0) == posix.getpid() and not posix.isatty(0)
    limit = Limit(ending.start_limit_burst, ending.start_limit_interval)
    count, status = 0, 0
    while True:
        if not limit.allows(monotonic()):
            print_error(
                f"{name}: it was started {ending.start_limit_burst} times within "
                f"{ending.start_limit_interval / SECOND:g} s, so it is left as it is (StartLimitBurst=)",
                0,
            )
            break
        heard, say = _pipe()
        pid = fork("starting the service")
        if not pid:
            posix.close(heard)
            if leads_session:
                posix.setsid()
            given.restore()
            return say
        posix.close(say)
        gone = serve(pid)
        status = gone.status
        real, why = _said(heard, status, definition)
        if {*STOPS} & gone.signals or not is_due(ending, why, real):
            break
        count += 1
        seconds = delay(ending, count)
        print_error(
            f"{name} has ended ({in_words(status if real == UNSAID else real)}, {why}): it is started anew in "
            f"{round(seconds, 3):g} s (Restart={ending.restart})",
            0,
        )
        if _is_stopped_within(seconds):
            break
    rest()
    is_signal = posix.WIFSIGNALED(status)
    # No signal's default ends process 1, not even sent by itself: so as a shell has it.
    posix._exit(128 + posix.WTERMSIG(status) if is_signal and posix.getpid() == 1 else end_like(status))


def _pipe() -> tuple[int, int]:
    from fcntl import F_DUPFD_CLOEXEC, fcntl

    heard, say = posix.pipe2(posix.O_CLOEXEC | posix.O_NONBLOCK)
    ends = [fcntl(fd, F_DUPFD_CLOEXEC, FD) for fd in (heard, say)]
    posix.close(heard)
    posix.close(say)
    return ends[0], ends[1]


def _said(heard: int, status: int, definition: "Definition") -> tuple[int, str]:
    """The main process's wait status, and the result, as the child said it; else as it ended itself."""
    try:
        words = posix.read(heard, SAID_MOST).decode().split()
    except OSError:  # nothing, and the daemon's watcher is still there
        words = []
    posix.close(heard)
    if words:
        return int(words[0]), words[1]
    return status, result(status, definition.ending, definition.readiness.type == "oneshot")


def _is_stopped_within(seconds: float) -> bool:
    """Wait for so long; whether a stop has come. What else comes is for nobody."""
    until = monotonic() + seconds
    while (left := until - monotonic()) > 0:
        got = _signal.sigtimedwait((*STOPS, _signal.SIGHUP, _signal.SIGCHLD), min(left, 3600.0))
        if got is not None and got.si_signo in STOPS:
            return True
        reap(0)
    return bool(_signal.sigpending() & {*STOPS})
