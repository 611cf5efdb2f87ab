"""What the shapes have in common: block signals, fork the daemon, end as it ended."""

import _signal
import posix

from cross_init.errors import Failure, print_error, print_unexpected, why
from cross_init.kernel.linux import fork
from cross_init.model import Channel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cross_init.launch import Start

# Waited for apart: the kernel does not let them be caught, or they may be about our own children. A fault of our own,
# say SIGSEGV, ends us although it is blocked; one that somebody sends is passed on like the rest.
KEPT = (_signal.SIGKILL, _signal.SIGSTOP, _signal.SIGCHLD)
PASSED_ON = tuple(number for number in sorted(_signal.valid_signals()) if number not in KEPT)
GO = b"g"  # to the new process: all is there that has to be, before it becomes the daemon


class Given:
    """What this process was given and changes for itself: its signal mask, and whether SIGCHLD is ignored."""

    __slots__ = ("children", "mask")

    def __init__(self, mask: set[int], children: object) -> None:
        self.mask = mask
        self.children = children

    def restore(self) -> None:
        """Give it to the daemon as well."""
        assert isinstance(self.children, int)
        _signal.signal(_signal.SIGCHLD, self.children)
        _signal.pthread_sigmask(_signal.SIG_SETMASK, self.mask)


def block() -> Given:
    """Block what is passed on, and news of children, to be waited for; returns what was given before."""
    children = _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)  # ignored, it would take the exit status away from us
    return Given(_signal.pthread_sigmask(_signal.SIG_BLOCK, (*PASSED_ON, _signal.SIGCHLD)), children)


def fork_daemon(
    start: "Start",
    given: Given,
    channel: Channel,
    leads_session: bool = False,
    enrol: "Callable[[], None] | None" = None,
    beside: "Callable[[], None] | None" = None,
    laid_out: bool = False,
) -> int:
    """Fork the daemon, with a channel to say that it is ready; returns its PID. Raises Failure.

    To be called while this process has one thread. enrol: how the new process makes itself known, before it becomes the
    daemon, to whoever ends it if we are killed: a daemon must not run unknown for a moment. beside: what has to be done
    by then, by this process while the new one prepares itself; if that raises anything there is no daemon.
    laid_out: whether start.lay_out() was done before.
    """
    may_go, let_go = posix.pipe2(posix.O_CLOEXEC) if beside is not None else (-1, -1)
    pid = fork("starting the daemon")
    if pid:
        if beside is not None:
            posix.close(may_go)
            try:
                beside()
                posix.write(let_go, GO)
            except BrokenPipeError:
                pass  # it was killed, which is seen as with any daemon
            except BaseException:
                posix.close(let_go)  # without a word, so it ends
                posix.waitpid(pid, 0)
                raise
            posix.close(let_go)
        posix.sched_yield()  # on a busy machine it would wait behind us, and we import our own modules next
        return pid
    code = 125
    try:
        try:
            if leads_session:
                posix.setsid()
            if not laid_out:
                start.lay_out()
            start.expose(channel)
            given.restore()
            start.let_stops()
            if beside is not None:
                posix.close(let_go)
                if posix.read(may_go, 1) != GO:
                    posix._exit(code)  # whoever started us says why, or was killed
            if enrol is not None:
                enrol()  # at last: who hears it would compete with us for the processor
            start.execute()
        except Failure as failure:
            code = print_error(str(failure), failure.code)
            start.note_failure()
        except OSError as error:
            start.note_failure()
            code = print_error(f"preparing the daemon's descriptors: {why(error)}", 125)
        except Exception as error:
            code = print_unexpected(error)
    finally:
        posix._exit(code)


def end_like(status: int) -> int:
    """End as the process with this wait status did: returns the exit code, or dies of its signal."""
    if posix.WIFEXITED(status):
        return posix.WEXITSTATUS(status)
    number = posix.WTERMSIG(status)
    try:
        from resource import RLIMIT_CORE, setrlimit

        # The daemon's core tells what went wrong; one of ours would tell nothing. 1 means "none" even where cores go to
        # a program, which 0 does not (core(5): the limit is not enforced there).
        setrlimit(RLIMIT_CORE, (1, 1))
        can_limit = True
    except ImportError:  # Debian's python3-minimal
        can_limit = False
    except (ValueError, OSError):
        can_limit = True  # a core too many is better than a wrong status
    try:
        _signal.signal(number, _signal.SIG_DFL)
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, (number,))
    except (ValueError, OSError):
        pass  # SIGKILL, and the two that the C library keeps for itself, are never caught or blocked
    if not can_limit:
        try:
            posix.execve("/bin/sh", ["sh", "-c", f"ulimit -c 0; kill -{number} $$"], {})
        except OSError:
            pass
    _signal.raise_signal(number)  # to this thread: another one may be waiting for signals to the process
    return 128 + number  # not reached: the signal's default is to end us


def is_leader() -> bool:
    """Whether we lead the session that we are in."""
    return posix.getsid(0) == posix.getpid()
