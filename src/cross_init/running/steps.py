"""What a unit has run before and after its main process: ExecCondition=, ExecStartPre=, ExecStopPost= and so on.

Before there is a daemon and when it is gone this process has nothing else to do: it starts one command after another
and waits for each by signals, so that a stop that comes meanwhile is heard: before there is one. A service that ends is
not to be stopped any more, and what comes at its end is run whole (service.c, service_stop()).
"""

import _signal
import posix
from time import monotonic

from cross_init.definitions.definition import INFINITY
from cross_init.errors import FAILED, Failure, Stopped, print_error, print_unexpected, why
from cross_init.kernel.linux import fork, open_null
from cross_init.launch import cannot_run
from cross_init.model import STOPS, SUCCESS, TIMEOUT
from cross_init.running.command import programs, words_of
from cross_init.running.entering import Process
from cross_init.running.result import result
from cross_init.shapes.stops import heed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cross_init.definitions.definition import Command, Definition
    from cross_init.kernel.control_group import Group
    from cross_init.kernel.linux import Environment
    from cross_init.running.enclosure import Enclosure
    from cross_init.running.identity import Identity

SECOND = 1e6
WITH_INPUT = ("ExecCondition", "ExecStartPre", "ExecStart")  # what comes later leaves a terminal to the main process
WITHOUT_CREDENTIALS = ("ExecReload", "ExecReloadPost", "ExecStop", "ExecStopPost")


class Step:
    """One command of a unit's beside the main one. key: as ExecStartPre."""

    def __init__(self, key: str, command: "Command", definition: "Definition", identity: "Identity") -> None:
        self.key = key
        self.command = command
        self.definition = definition
        self.identity = identity
        self.may_fail = command.may_fail
        self.group: Group | None = None  # that it is to be in
        self.enclosure: Enclosure | None = None  # likewise
        self.keep: tuple[int, ...] = ()  # descriptors that stay open
        self.status: int | None = None  # how it has ended, once it has
        file, line = command.origin
        self.text = f"{file}:{line}: {key}={command.path}"

    def result(self, status: int) -> str:
        """What its end means for the service, in systemd's word: it is no daemon, which may end of a signal."""
        if self.may_fail or not status:
            return SUCCESS
        if self.definition.target == "upstart":
            return "exit-code"  # whatever "normal exit" says of the main process
        return result(status, self.definition.ending, True)

    def become(self, environ: "Environment") -> None:
        """Run it in this new process. Does not return; raises Failure, OSError."""
        process = Process(self.definition, self.identity, self.command.privileges, False)
        process.group, process.enclosure = self.group, self.enclosure
        process.has_input = self.key in WITH_INPUT
        if self.key in WITHOUT_CREDENTIALS:
            environ.pop(b"CREDENTIALS_DIRECTORY", None)
        words = words_of(self.command, environ)
        places = programs(self.command, environ, self.definition)
        process.enter(environ, self.keep)
        pipe = _signal.SIG_IGN if self.definition.context.ignore_sigpipe else _signal.SIG_DFL
        _signal.signal(_signal.SIGPIPE, pipe)
        _signal.signal(_signal.SIGXFSZ, _signal.SIG_DFL)
        process.confine()
        error: OSError | None = None
        for path in places:
            try:
                posix.execve(path, words, environ)
            except OSError as each:
                error = each
        assert error is not None
        raise cannot_run(self.command.path, error)


def run_at_end(run: "Callable[..., tuple[Step, int] | None]", *words: object) -> str:
    """Have this run commands at a service's end, where that one fails is said, and stops nothing.

    Returns what has become of them, in systemd's word.
    """
    try:
        failed = run(*words)
    except Failure as failure:
        print_error(str(failure), 0)
        return TIMEOUT
    if failed is None:
        return SUCCESS
    from cross_init.watch.outcome import in_words

    print_error(f"{failed[0].text}: it failed ({in_words(failed[1])})", 0)
    return failed[0].result(failed[1])


def run_all(
    steps: list[Step], environ: "Environment", limit_usec: int, stop_usec: int, stops: tuple[int, ...] = STOPS
) -> tuple[Step, int] | None:
    """Run them in turn until one fails; returns that, and its wait status. SIGCHLD and STOPS are blocked.

    limit_usec: how long each may take; stop_usec: from SIGTERM to SIGKILL. stops: what ends one; at the end of a
    service there is nothing that does. Raises Failure, Stopped.
    """
    for step in steps:
        status = run(step, environ, limit_usec, stop_usec, stops)
        heed(stops)  # it may have ended of one as well
        if step.result(status) != SUCCESS:
            return step, status
    return None


def run(step: Step, environ: "Environment", limit_usec: int, stop_usec: int, stops: tuple[int, ...]) -> int:
    """Run one; returns its wait status. Raises Failure, Stopped."""
    pid = fork(f"running {step.key}=")
    if pid == 0:
        in_new_process(step, environ)
    until = monotonic() + limit_usec / SECOND if limit_usec != INFINITY else None
    status, stopped = _wait(pid, until, stops)
    step.status = status
    if status is None:
        step.status = _end(step, pid, limit_usec, stop_usec, bool(stopped))
        if stopped:
            raise Stopped(stopped)
        raise Failure(f"{step.text}: it took too long (TimeoutStartSec=, TimeoutStopSec=)")
    return status


def in_new_process(step: Step, environ: "Environment") -> None:
    """Become it. Does not return."""
    code = FAILED
    try:
        posix.setsid()
        null = open_null()
        posix.dup2(null, 0)
        step.become(dict(environ))
    except Failure as failure:
        code = print_error(str(failure), failure.code)
    except OSError as error:
        print_error(f"{step.text}: {why(error)}", 0)
    except Exception as error:
        print_unexpected(error)
    finally:
        posix._exit(code)


def _wait(pid: int, until: float | None, stops: tuple[int, ...]) -> tuple[int | None, int]:
    """Its wait status, and 0; or None, and the signal by which we were told to stop (0: it takes too long)."""
    while True:
        ended, status = posix.waitpid(pid, posix.WNOHANG)
        if ended:
            return status, 0
        left = 3600.0 if until is None else until - monotonic()
        if left <= 0:
            return None, 0
        got = _signal.sigtimedwait((*stops, _signal.SIGCHLD), left)
        if got is not None and got.si_signo in stops and got.si_signo != _signal.SIGHUP:
            return None, got.si_signo


def _end(step: Step, pid: int, limit_usec: int, stop_usec: int, is_stop: bool) -> int | None:
    """Have it end, with all of its session: as its unit says. is_stop: not because it takes too long.

    Returns its wait status; None if all was in vain.
    """
    from cross_init.running.manner import manner_of, seconds
    from cross_init.watch.outcome import names_of
    from cross_init.watch.stages import TERMINATE

    manner = manner_of(step.definition)
    manner.stop_s = seconds(stop_usec)
    late = manner.stop_mode if step.key.startswith("ExecStop") else manner.start_mode
    for at, (numbers, wait_s, _) in enumerate(manner.whole(TERMINATE if is_stop else late)):
        for number in numbers:
            _send(pid, number)
        if not (at or is_stop):
            sent = names_of(numbers)
            print_error(f"{step.text}: it has not ended within {limit_usec / SECOND:g} s: sending {sent}", 0)
        until = monotonic() + wait_s if wait_s is not None else None
        while True:
            ended, status = posix.waitpid(pid, posix.WNOHANG)
            if ended:
                return status
            left = 3600.0 if until is None else until - monotonic()
            if left <= 0:
                break
            _signal.sigtimedwait((_signal.SIGCHLD,), left)
    return None


def _send(pid: int, number: int) -> None:
    """To the group that it leads; a moment after its start it leads none yet. It is our child, not waited for."""
    for send in (posix.killpg, posix.kill):
        try:
            send(pid, number)
            return
        except OSError:
            continue
