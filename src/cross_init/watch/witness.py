"""A witness: a process that sees another one of ours killed, and does then what must not be left undone.

A process that is killed can do nothing any more, and nobody is told but its parent, which is not ours. So where that
would leave a daemon that nobody watches, or one that stands still for ever, a second process stands beside it, holds
the other end of a pipe, and waits for it to hang up. What has been said on it before says how far the other one came:

    nothing   the init was not told: end the daemon, so that the init sees a service that fails
    TELLING   perhaps it was told: tell it once more, which does no harm, as nobody else can any more
    TOLD      it was told, but there is more to do for the other process
    DONE      go at once: there is nothing more to be done

Both being killed, nobody is left. The watcher has one while the daemon starts (watch.py), the hand over has one from
the moment when the daemon loses its parent (hand_over.py).
"""

import _signal
import posix
from select import POLLIN, poll

from cross_init.errors import print_error, print_unexpected, why
from cross_init.kernel.linux import reason, retry_transient
from cross_init.kernel.pidfds import has_ended, send, send_group
from cross_init.model import HEARD_S
from cross_init.watch.detach import detach, ignore_stop_signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.launch import Start

TELLING, TOLD, DONE = b"t", b"T", b"d"
UP = b"u"  # the watcher is; before that the witness does nothing at all, see watch.py
NAME = b"cross-init-wit"  # as ps(1) shows it; 15 bytes at most
KILL_S = 5.0  # the time to end of a daemon that is told to, in seconds


def say(pipe: int, word: bytes) -> None:
    """Tell the witness how far we are; that it was killed is no error here."""
    try:
        posix.write(pipe, word)
    except OSError:
        pass


def hear(pipe: int, *until: bytes) -> bytes:
    """Wait until the other process says one of these, or hangs up: the last that it said, b"" if it said nothing.

    A witness that cannot hear says so and sees nothing: DONE.
    """
    last = b""
    try:
        while last not in until and (word := retry_transient(posix.read, pipe, 1)):
            last = word
    except (OSError, MemoryError) as error:
        print_error(f"seeing that no process beside the daemon is killed: {reason(error)}; nobody does from now on", 0)
        return DONE
    return last


def see_hand_over(start: "Start", pid: int, pidfd: int, pipe: int, stops: bool) -> None:
    """See the bridge hand the daemon over. stops: the daemon has stopped itself, and only the bridge continues it."""
    last = hear(pipe, DONE)
    if last == DONE:
        return
    if not last:
        send(pidfd, _signal.SIGKILL)
        return
    if last == TELLING and not start.init.ends_all:  # one that does ends the daemon itself, if it was not told
        try:
            start.init.hand_over(start.original, pid, lambda: None)
        except OSError:
            pass  # it was told, and is there no more
    if stops:
        send(pidfd, _signal.SIGCONT)


def be_beside_watcher(start: "Start", pid: int, pidfd: int, pipe: int, began: float) -> None:
    """See the watcher through the daemon's start, or, if it counts signs of life, through the daemon's life.

    Runs in the witness's process; does not return.
    """
    try:
        detach({pidfd, pipe, *start.init.descriptors})
        ignore_stop_signals(NAME)
        last = hear(pipe, TOLD, DONE)
        lost = "nobody would hear that it is ready"
        if last == TOLD:
            for fd in start.init.descriptors:  # whoever reads there sees who else has it open
                posix.close(fd)
            last = hear(pipe, DONE)
            lost = "nobody counts its signs of life (--watchdog)"
        if last == DONE or has_ended(pidfd):
            return
        if last == TELLING:
            _tell_again(start, pid, pidfd, began)
        else:
            end_daemon(pid, pidfd, f"watching {start.service} (PID {pid}): the process that did was killed, so {lost}")
    except Exception as error:
        send_group(pid, pidfd, _signal.SIGKILL)
        print_unexpected(error)
    finally:
        posix._exit(0)


def end_daemon(pid: int, pidfd: int, reason: str) -> None:
    """End the daemon as an init would, and say why."""
    send_group(pid, pidfd, _signal.SIGTERM)
    send(pidfd, _signal.SIGCONT)
    print_error(f"{reason}; the daemon was told to end", 0)
    ended = poll()
    ended.register(pidfd, POLLIN)
    if not ended.poll(KILL_S * 1000):
        send_group(pid, pidfd, _signal.SIGKILL)


def _tell_again(start: "Start", pid: int, pidfd: int, began: float) -> None:
    """Tell the init what the watcher was about to tell it."""
    from time import monotonic

    init = start.init
    try:
        init.ready(start.service, pid, pidfd, monotonic() - began)
    except BrokenPipeError:
        return  # it was told, and listens no longer
    except OSError as error:
        print_error(f"telling {init.called} that the daemon (PID {pid}) is ready failed: {why(error)}", 0)
        return
    ended = poll()
    ended.register(pidfd, POLLIN)
    if init.may_miss_readiness and not ended.poll(HEARD_S * 1000):
        init.check_heard(start.service, pid, pidfd)
