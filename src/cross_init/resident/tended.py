"""One daemon that was handed over, watched as a watcher does it, in a process that watches others as well.

What it has come to is noted in the deposit before anything else happens, so that the next resident goes on there. What
may take its time, its last words and the end of what it leaves, is done by a process of its own.
"""

import _signal
import _socket
import errno
import posix
from time import monotonic

from cross_init import errors
from cross_init.errors import print_error, print_unexpected
from cross_init.kernel.linux import reason
from cross_init.kernel.pidfds import has_ended
from cross_init.kernel.procfs import process_of
from cross_init.model import STARTING
from cross_init.readiness.notify_socket import NotifyChannel
from cross_init.readiness.worker import keep_only, workers_of
from cross_init.resident.description import INIT, LINE, VERDICT
from cross_init.resident.loop import Facet
from cross_init.resident.observer import Elsewhere
from cross_init.watch.detach import ignore_stop_signals
from cross_init.watch.outcome import is_ours_to_explain
from cross_init.watch.predecessor import forget, note
from cross_init.watch.status_socket import describe
from cross_init.watch.untrusted import turn_away
from cross_init.watch.watcher import Watcher
from cross_init.watch.wire import Malformed, Value, decode, encode
from cross_init.watch.witness import end_daemon

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from cross_init.resident.keeping import Deposit
    from cross_init.resident.kept import Kept, Message
    from cross_init.resident.rebuilt import Handed
    from cross_init.resident.serve import Resident

SHAPE = "resident"
NOT_YET, TELLING, TOLD = 0, 1, 2  # how far the init has been told
STATE: "dict[str, type]" = {
    **dict.fromkeys(("state", "status"), str),
    "since": float,
    **dict.fromkeys(("failure", "told"), int),
    **dict.fromkeys(("access", "waits"), str),
    "spoke": int,
    "deadline": float,
    "started": str,
}
UNTIL_TOLD = (VERDICT, INIT, LINE)  # what is needed until the init was told
ALONE = b"cross-init-end"  # as ps(1) shows the process that ends what is left


class Tended(Watcher):
    """One service of a resident's. told: NOT_YET, TELLING or TOLD."""

    tidies = False  # the resident does, for all

    def __init__(self, resident: "Resident", name: str, handed: "Handed") -> None:
        self.resident = resident
        self.id = name
        self.handed = handed
        self.told = NOT_YET
        self.noted_state: tuple[object, ...] = ()
        self.is_over = False
        self.facet = Facet(resident.loop, handed.errors, self._give_up)
        try:
            self.facet.call(self._begin)
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        """It cannot be watched, and was taken: end the daemon, so that its init sees a service that fails."""
        self.is_over = True
        self.facet.let_go()
        handed = self.handed
        child = posix.fork()
        if child == 0:
            try:
                keep_only({2, handed.errors, handed.pidfd})
                errors.standard_error = handed.errors
                what = f"watching {handed.start.service} (PID {handed.pid})"
                end_daemon(handed.pid, handed.pidfd, f"{what}: {reason(error)}")
            finally:
                posix._exit(0)
        handed.disown()
        for fd in handed.fds:
            if fd >= 0:
                posix.close(fd)
        self.resident.bury(self, child)

    def _begin(self) -> None:
        handed = self.handed
        super().__init__(self.facet, handed.start, handed.pid, handed.pidfd, handed.channel, handed.began, -1)
        if self.rest is not None:
            self.rest.since = handed.since
        self.watched.remember = self.remember  # type: ignore[method-assign] # its own, from now on

    def _serve(self) -> None:
        self.watched.serve_health()

    def describe(self) -> "dict[str, Value]":
        """For "cross-init status"."""
        return describe(self.watched, SHAPE)

    # What the next resident has to know.

    def remember(self, gone: "list[int] | None" = None) -> None:
        """Note how it is, if that has changed. gone: the places of descriptors that are needed no longer."""
        watched = self.watched
        if watched.ready and self.told == NOT_YET and not gone:
            return  # its init is told at once, which is noted; who is killed before that hears the daemon again
        listener = self.channel.listener if isinstance(self.channel, NotifyChannel) else None
        known = (
            *(watched.state, watched.status, watched.since, watched.failure, self.told),
            *(listener.access if listener is not None else "", "\0".join(watched.outstanding), watched.has_spoken),
            watched.deadline.when if watched.deadline is not None else 0.0,
            self.rest.began if self.rest is not None else "",
        )
        if known != self.noted_state and not self.is_over:
            self.noted_state = known
            values: tuple[Value, ...] = (*known[:7], int(known[7]), *known[8:])
            state = encode(dict(zip(STATE, values, strict=True)))
            if gone:
                self.resident.close(self.id, self.handed, gone, state)
            else:
                self.resident.note(self.id, state)

    def resume(self, state: bytes, said: "list[Message]") -> None:
        """Go on where an earlier resident was. said: what the daemon has said meanwhile."""
        self.facet.call(lambda: self._resume(state, said))

    def _resume(self, state: bytes, said: "list[Message]") -> None:
        watched = self.watched
        known = understood(state)
        if known is not None:
            listener = self.channel.listener if isinstance(self.channel, NotifyChannel) else None
            watched.state, watched.status, watched.since = known["state"], known["status"], known["since"]
            watched.failure, self.told, watched.has_spoken = known["failure"], known["told"], bool(known["spoke"])
            if self.rest is not None and self.rest.began != known["started"]:  # it has ended meanwhile
                self.rest.began = known["started"]  # its number may be another's by now
                self._note_anew(self.rest.began)
            if listener is not None:
                listener.access = known["access"]
            still = known["waits"].split("\0") if known["waits"] else []
            watched.outstanding[:] = [each for each in watched.outstanding if each in still]
            if known["deadline"] and not watched.ready and watched.deadline is not None:
                watched.loop.cancel(watched.deadline)
                watched.deadline = watched.loop.after(max(known["deadline"] - monotonic(), 0), watched.too_late)
            if not watched.outstanding and watched.start.request.waits:
                watched.has_got_ready()
                if self.told == TELLING:
                    self._tell_again()
                elif self.told == NOT_YET:
                    self._tell()
        if self.channel_listens() and said:
            assert isinstance(self.channel, NotifyChannel)
            assert self.channel.listener is not None
            self.channel.listener.resume(said)
        self.remember()

    def _note_anew(self, started: str) -> None:
        """As the one before us has noted it, who may have been this very process (a reload)."""
        if self.noted:
            forget(self.noted)
            self.noted = note(self.handed.start, self.handed.pid, started, self.tidies)

    def channel_listens(self) -> bool:
        """Whether there is a notification socket."""
        return isinstance(self.channel, NotifyChannel) and self.channel.listener is not None

    def deposit_anew(self, deposit: "Deposit") -> None:
        """Another deposit is there, which has nothing. Raises OSError."""
        handed = self.handed
        gone = self._told_by() if self.told == TOLD else []
        deposit.put(self.id, handed.data, [handed.errors if at in gone else fd for at, fd in enumerate(handed.fds)])
        self.noted_state = ()
        self.remember(gone)

    # Telling the init.

    def _tell(self) -> None:
        if has_ended(self.watched.pidfd):
            return  # its init sees that itself
        self.told = TELLING
        self.remember()
        before = [(fd, identity(fd)) for fd in self.watched.init.descriptors]
        if self.watched.init.takes_time:
            self._have_told()
        else:
            super()._tell()
        if self.told == TOLD:  # some close what they were told by, and some do not
            for fd, known in before:
                if identity(fd) == known:
                    posix.close(fd)

    def _have_told(self) -> None:
        """Have a process of its own tell it, as who hears it may let that one wait. Raises OSError."""
        watched = self.watched
        child = posix.fork()
        if child == 0:
            code = errno.EIO
            try:
                keep_only({2, self.handed.errors, watched.pidfd, *watched.init.descriptors})
                errors.standard_error = self.handed.errors
                watched.init.ready(watched.service, watched.pid, watched.pidfd, watched.seconds)
                code = 0
            except OSError as error:
                code = error.errno or code
            finally:
                posix._exit(code)
        self.resident.reap(child, self._have_heard)

    def _have_heard(self, status: int) -> None:
        """That process has ended."""
        code = posix.waitstatus_to_exitcode(status)
        if self.is_over or code == errno.ESRCH:
            return
        if code:
            code = max(code, errno.EPERM)  # of one that was killed, it is the number of a signal
            self.facet.call(lambda: self._told_in_vain(OSError(code, posix.strerror(code))))
        else:
            fds = self.watched.init.descriptors
            self.facet.call(self._has_told)
            if self.told == TOLD:
                for fd in fds:
                    posix.close(fd)

    def _tell_again(self) -> None:
        """The one before us was about to: once more does no harm, and not at all does."""
        watched = self.watched
        try:
            watched.init.ready(watched.service, watched.pid, watched.pidfd, watched.seconds)
        except OSError:
            pass  # it was told, and listens no longer
        self._let_witness_go()

    def _let_witness_go(self) -> None:
        """It was told: whoever reads there sees who else has it open."""
        self.told = TOLD
        self.remember(self._told_by())
        self._hang_up()
        if self.handed.verdict >= 0:
            posix.close(self.handed.verdict)
            self.handed.verdict = -1

    def _told_by(self) -> list[int]:
        """The places of those of its descriptors that are needed until the init was told."""
        return [at for at, role in enumerate(self.handed.roles) if role in UNTIL_TOLD]

    def _hang_up(self) -> None:
        """Nobody looks any more whether it is ready."""
        for condition in self.handed.start.conditions:
            if isinstance(condition, Elsewhere) and condition.fd >= 0:
                posix.close(condition.fd)
                condition.fd, condition.descriptors = -1, ()

    # Its end.

    def _leave(self) -> None:
        self._part(self.channel.leave)

    def _bury(self) -> None:
        self._part(self._bury_alone)

    def _bury_alone(self) -> None:
        """In a process of its own."""
        try:
            self.channel.close()
        except OSError:
            pass  # its last words cannot be had
        is_to_explain = is_ours_to_explain(self.watched)
        self.watched.init.ended()
        self._end_rest(self.watched.pidfd, is_to_explain)

    def _give_up(self, error: BaseException) -> None:
        """A mistake of ours, five times in a row: end the daemon, so that its init sees a service that fails."""
        errors.standard_error = self.handed.errors
        print_unexpected(error, 0)
        watched = self.watched
        self._part(
            lambda: end_daemon(watched.pid, watched.pidfd, f"watching {watched.service} (PID {watched.pid}) has failed")
        )

    def _part(self, last: "Callable[[], None]") -> None:
        """Have the last thing that is to be done for it done by a process of its own. Raises OSError."""
        child = posix.fork()
        if child == 0:
            self._live_alone(last)
        self.is_over = True
        self.facet.let_go()
        if last == self.channel.leave:
            forget(self.noted)
        self.watched.close()
        if self.told != TOLD:
            self.watched.init.let_go()
        self.channel.let_go()
        self._close_rest()
        self.resident.bury(self, child)

    def _close_rest(self) -> None:
        """What nobody else has closed."""
        self._hang_up()
        start = self.handed.start
        fds = [self.handed.errors, self.handed.verdict, *(removal.folder for removal in start.removals)]
        if start.endpoint is not None:
            fds.append(start.endpoint.folder)
            if self.watched.health is not None and self.watched.health.is_by_path:  # else it is closed
                turn_away(self.resident.loop, _socket.socket(fileno=start.endpoint.fd))
        for fd in fds:
            if fd >= 0:
                posix.close(fd)

    def _live_alone(self, last: "Callable[[], None]") -> None:
        """The whole life of that process. Does not return."""
        try:
            watched = self.watched
            keep = {2, self.handed.errors, watched.pidfd, *self.handed.start.descriptors(self.channel)}
            keep_only({fd for fd in keep if fd >= 0})
            errors.standard_error = self.handed.errors
            self.mine_no_more = (watched.workers, watched.reporter.log, watched.cancellation)  # not to be closed again
            self.resident.be_as_before()
            self.facet.leave()
            watched.workers = watched.reporter.log = None
            watched.status_socket = watched.health = watched.cancellation = None
            _signal.set_wakeup_fd(-1)
            ignore_stop_signals(ALONE)
            _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
            if isinstance(self.channel, NotifyChannel) and self.channel.listener is not None:
                self.channel.listener.workers = workers_of(watched)
            last()
            watched.reporter.close()
        except Exception as error:
            print_error(f"ending {self.handed.start.service} (PID {self.handed.pid}): {reason(error)}", 0)
        finally:
            posix._exit(0)


def give_up(kept: "Kept", text: str) -> int:
    """An earlier resident's service that cannot be watched, for this reason: say so, and where it is not known to be
    past its start, end it: its init would wait for ever. Returns the PID of a child of ours that does so, 0 if none.
    """
    pidfd, standard_error = (*kept.fds[1:3], -1, -1)[:2]  # in the order of every version (description.py)
    pid = process_of(pidfd) if pidfd >= 0 and not has_ended(pidfd) else None
    if pid is None:
        return 0
    child = posix.fork()
    if child == 0:
        try:
            keep_only({2, standard_error, pidfd} - {-1})
            errors.standard_error = standard_error if standard_error >= 0 else 2
            known = understood(kept.state)
            what = f"watching process {pid}: {text}"
            if known is None or known["state"] == STARTING:
                end_daemon(pid, pidfd, what)
            else:
                print_error(f"{what}; nobody does from now on, so start it anew", 0)
        finally:
            posix._exit(0)
    return child


def identity(fd: int) -> tuple[int, int] | None:
    """Which open file this is; None if it is closed."""
    try:
        status = posix.fstat(fd)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def understood(state: bytes) -> "dict[str, Any] | None":
    """What was noted; None if nothing was, or by another version."""
    try:
        known = decode(state)
    except Malformed:
        return None
    return known if all(type(known.get(name)) is kind for name, kind in STATE.items()) else None
