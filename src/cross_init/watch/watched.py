"""One daemon under watch: what has to hold before it counts as ready, and who is told then.

Used by whichever process watches: the watcher beside the daemon, or the bridge as its parent.
"""

import _signal
import posix
from time import monotonic, time_ns

from cross_init.bounds import as_pid
from cross_init.errors import print_error, why
from cross_init.kernel.linux import is_transient
from cross_init.kernel.pidfds import send_group
from cross_init.kernel.procfs import is_descendant
from cross_init.model import READY, RELOADING, STARTING, STOPPING, TEXT, Init, Service
from cross_init.readiness.silence import Silence
from cross_init.watch.event_loop import EventLoop, Timer, pause
from cross_init.watch.log import Reporter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cross_init.bounds import Identity, Pid
    from cross_init.launch import Start
    from cross_init.readiness.condition import Condition
    from cross_init.readiness.sd_notify import Assignments
    from cross_init.readiness.worker import Workers
    from cross_init.sockets.passed import Passed
    from cross_init.store.client import HolderClient
    from cross_init.store.keeping import Keeping
    from cross_init.watch.health import Health
    from cross_init.watch.status_socket import StatusSocket
    from cross_init.watch.watchdog import Watchdog

REAPED_MAX = 1024  # processes whose last words may still be waiting
KILL_S = 5.0  # a cancelled start's time to end, in seconds: Upstart's own default (init(5), kill timeout)


class Watched:
    """A daemon, and the conditions of its readiness.

    began: when its start began, in seconds of the monotonic clock. ready: all conditions hold; then tell was called.
    has_spoken: a message of its has counted; unheard: the process that has sent one that does not, 0 if none has.
    failure: the error that it has said to have failed of (ERRNO=, errno(3)), 0 if none.
    state, since, status: for who asks: what it is doing, since when, and what it says of it. state_file: where that is
    noted, "" if nowhere.
    watchdog: who counts its signs of life, if that was asked for. keeping: who keeps its descriptors, likewise.
    workers: who does what could hold us up, once there is such a thing.
    root: the process whose descendants belong to the service. follow: what to call when the daemon names another main
    process (its PID, None if it has ended; the identity of its pidfd, None if any will do; when it was started, ""
    likewise); pass_on: what to call with news that the init has an ear for, descriptors, and
    the process that the init knows if this is another one (0: it is not); both None where that cannot be done.
    end_by, abort: what to call when its start takes too long, or its signs of life, if a unit has it its own way; the
    second returns what is sent.
    deadline: of what it has to do in time, to be ready at first; late: what to call then, None for that. reloaded: what
    to call when it is ready again after a reload.
    is_told_to_stop: its init has told it. is_given_up: we end it before it is ready, so it is not to become that.
    is_held_back: something is done when it is ready, and whoever asks is told behind that.
    is_on_its_way: it forks away, and nobody knows yet which process it will be. helpers: processes of our own, with
    their wait status if somebody else reaped them. reaped: those of the service that we have waited for, each with the
    time (nanoseconds of the real clock), until what they have said before was heard; None where they say nothing.
    """

    # What many have none of stands here: a resident has thousands of these.
    watchdog: "Watchdog | None" = None
    keeping: "Keeping | None" = None
    workers: "Workers | None" = None
    follow: "Callable[[Pid | None, Identity | None, str], None] | None" = None
    pass_on: "Callable[[Assignments, list[int], int], None] | None" = None
    end_by: "Callable[[], None] | None" = None
    abort: "Callable[[], str] | None" = None
    reloaded: "Callable[[], None] | None" = None
    late: "Callable[[], None] | None" = None
    reaped: dict[int, int] | None = None
    timed_out: bool = False
    is_given_up: bool = False
    is_told_to_stop: bool = False
    told_in_vain: int = 0
    telling: "Timer | None" = None
    timer: "Timer | None" = None
    is_held_back: bool = False
    is_on_its_way: bool = False
    deadline: "Timer | None" = None
    state: str = STARTING
    status: str = ""
    status_socket: "StatusSocket | None" = None
    health: "Health | None" = None
    failure: int = 0
    ready: bool = False
    has_spoken: bool = False
    unheard: int = 0
    noted: tuple[str, int] = ("", 0)

    def __init__(
        self, loop: EventLoop, start: "Start", pid: int, pidfd: int, began: float, tell: "Callable[[], None]"
    ) -> None:
        self.root = pid
        self.helpers: dict[int, int | None] = {}
        self.since = began
        limit, grace = start.request.watchdog
        if limit:
            from cross_init.watch.watchdog import Watchdog

            self.watchdog = Watchdog(self, limit, grace)
        self.loop = loop
        self.start = start
        self.pid = pid
        self.pidfd = pidfd
        self.began = began
        self.tell = tell
        self.init: Init = start.init
        self.service: Service = start.service
        self.reporter = Reporter(str(start.service), pid, self.init.hears == TEXT)
        self.outstanding: list[str] = []
        self.state_file = start.request.state_file or start.init.state_file
        self.note()
        # A start that nobody waits for is over, and a stop is told to the main process.
        self.cancellation = self.init.cancellation(self.service, start.original) if start.request.waits else None
        if self.cancellation is not None:
            loop.watch(self.cancellation.fileno(), self._hear_cancellation)

    def serve_health(self) -> None:
        """Let whoever asks over HTTP know of this service."""
        if self.start.endpoint is not None:
            from cross_init.watch.health import Health

            self.health = Health(self, self.start.endpoint)

    def serve_status(self, shape: str) -> None:
        """The same, and "cross-init status"."""
        from cross_init.watch.status_socket import StatusSocket, describe
        from cross_init.watch.wire import encode

        self.serve_health()
        try:
            self.status_socket = StatusSocket(self.loop, lambda: encode(describe(self, shape)))
        except OSError:
            pass  # it works without

    def keep_descriptors(self, client: "HolderClient", pidfd: int) -> None:
        """Keep what the daemon wants kept. pidfd: of the process that the init tracks."""
        from cross_init.store.keeping import Keeping

        self.keeping = Keeping(self, client, pidfd)

    def observe(self) -> None:
        """Begin with what was asked for by --ready-when and --ready-timeout."""
        if self.start.request.waits and not self.ready:
            self.observe_as_well(Silence(str(self.service), self.start.target if self.start.request.notify else None))
        for condition in self.start.conditions:
            condition.attach(self)
        if not self.start.request.waits:
            self.enter(READY)  # nobody has asked for more than that it runs
        if self.start.request.ready_timeout:
            self.extend(self.start.request.ready_timeout - self.seconds)

    def extend(self, seconds: float) -> None:
        """Give it at least these seconds from now on, for what it has to do by then; a limit that is later stays."""
        if self.deadline is None or self.deadline.when < monotonic() + seconds:
            self.loop.cancel(self.deadline)
            self.deadline = self.loop.after(seconds, self.late or self.too_late)

    def too_late(self) -> None:
        """End the daemon, and say what it was that never held."""
        self.timed_out = self.is_given_up = True
        for condition in self.start.conditions:
            condition.time_is_over()  # while it is there to be looked at
        (self.end_by or self.terminate)()
        print_error(
            f"waiting for {self.service} (PID {self.pid}) to be ready: after {self.seconds:.1f} s it still waits for "
            f"{self.missing}; ending it (--ready-timeout)",
            0,
        )

    def terminate(self) -> None:
        """End the daemon as an init would: SIGTERM, and SIGKILL if that does not help."""
        self.is_given_up = True
        self.end(_signal.SIGTERM)
        self.loop.cancel(self.timer)
        self.timer = self.loop.after(KILL_S, lambda: self.end(_signal.SIGKILL))

    def belongs(self, pid: int) -> bool:
        """Whether this process is the service's: the daemon or a descendant, and none of ours."""
        return pid > 1 and pid != posix.getpid() and pid not in self.helpers and is_descendant(pid, self.root)

    def note_reaped(self, pid: int) -> None:
        """We have waited for this process of the service: what it has said before was said by one of them."""
        if self.reaped is not None:
            self.reaped.pop(pid, None)
            self.reaped[pid] = time_ns()
            if len(self.reaped) > REAPED_MAX:
                del self.reaped[next(iter(self.reaped))]  # the oldest: a daemon may leave any number of them to us

    def remember(self) -> None:
        """What is known of it has changed; who has to know that after our end notes it."""

    def family(self) -> "list[Pid]":
        """All processes of the service, as far as they are to be found."""
        return [pid for pid in map(as_pid, posix.listdir("/proc")) if pid is not None and self.belongs(pid)]

    def send_all(self, number: int) -> None:
        """Send this signal to all processes of the service."""
        for pid in self.family():
            try:
                posix.kill(pid, number)
            except OSError:
                pass  # it has ended

    @property
    def target(self) -> str:
        """The name of the init that the daemon was written for."""
        return self.start.target.name

    @property
    def passed_inodes(self) -> list[int]:
        """Of the sockets that it was passed."""
        return self.start.passed_inodes

    @property
    def passed_sockets(self) -> "list[Passed]":
        """These, as they were before the start."""
        return self.start.sockets

    def observe_as_well(self, condition: "Condition") -> None:
        """Attend to this one with the others, and stop it with them. To be called before observe()."""
        self.start.conditions.append(condition)

    @property
    def says_ready(self) -> bool:
        """Whether its readiness is what it says, and not that it forks away, or only what is observed."""
        return self.start.request.notify and not self.start.target.forks

    @property
    def notify_access(self) -> str:
        """Whose messages count (systemd.service(5), NotifyAccess=)."""
        return self.start.request.notify_access

    @property
    def seconds(self) -> float:
        """How long ago its start began."""
        return monotonic() - self.began

    def expect(self, condition: str) -> "Callable[[], None]":
        """One more condition, in words; the daemon is ready when for each the returned function was called.

        One that says so as it is being ended would be told as ready, and be gone (systemd, service.c: READY=1 counts in
        the states of a start alone).
        """
        self.outstanding.append(condition)

        def held() -> None:
            if condition in self.outstanding and not self.is_given_up:
                self.outstanding.remove(condition)
                if not self.outstanding and not self.ready:
                    self.ready = True
                    if not self.is_held_back:
                        self.enter(READY)
                    self.has_got_ready()
                    self.tell()

        return held

    def has_got_ready(self) -> None:
        """Nothing is waited for any more."""
        self.ready = True
        if self.watchdog is not None:
            self.watchdog.start()
        self._forget_cancellation()  # from now on the init ends the daemon itself
        if self.late is None:
            self.loop.cancel(self.deadline)
            self.deadline = None
        self._stop_observing()

    @property
    def missing(self) -> str:
        """What its readiness still waits for, in words."""
        return " and ".join(self.outstanding)

    def notify_again(self, error: OSError) -> bool:
        """Telling the init failed: say so once, and try again in a moment if that may help; whether it may."""
        again = is_transient(error)
        if not again or not self.told_in_vain:
            rest = "; trying again" if again else ""
            self.reporter.say(f"telling {self.init.called} that the daemon is ready failed: {why(error)}{rest}")
        if again:
            self.told_in_vain += 1
            self.telling = self.loop.after(pause(self.told_in_vain), self.tell)
        return again

    def _hear_cancellation(self) -> None:
        """The init has news of the start: if it is cancelled, end the daemon, as the init itself would end it later."""
        assert self.cancellation is not None
        try:
            cancelled = self.cancellation.is_stop()
        except BlockingIOError:
            return
        except OSError:
            self._forget_cancellation()  # there is no more news; a stop signal still reaches the daemon
            return
        if cancelled:
            self._forget_cancellation()
            self.terminate()
            self.reporter.say(f"{self.init.called} cancels the start, while it still waits for {self.missing}")

    def enter(self, state: str) -> None:
        """The daemon is in this state from now on, for who asks.

        One that was told to stop does not come back. One that only says that it stops does when it says that it is
        ready: nobody ends it, so it serves.
        """
        if state != self.state and (self.state != STOPPING or (state == READY and not self.is_told_to_stop)):
            reloaded, self.reloaded = (self.reloaded, None) if self.state == RELOADING else (None, self.reloaded)
            self.state, self.since = state, monotonic()
            self.note()
            self.remember()
            if reloaded is not None and state == READY:
                reloaded()

    def note(self) -> None:
        """Write it down for who looks at the state file, if there is one."""
        if self.state_file and self.noted != (self.state, self.pid):
            from cross_init.watch.state_file import write

            try:
                write(self.state_file, self.state, self.pid)
                self.noted = (self.state, self.pid)
            except ProcessLookupError:
                pass  # it has ended, and then no state file counts
            except OSError as error:
                self.reporter.say(f"writing the state file {self.state_file}: {why(error)}")

    def send(self, number: int) -> None:
        """Send the main process a signal; that it has ended is no error here."""
        try:
            _signal.pidfd_send_signal(self.pidfd, number)
        except OSError:
            pass

    def _stop_observing(self) -> None:
        for condition in self.start.conditions:
            condition.stop()

    def end(self, number: int) -> None:
        """Send this signal to the daemon's process group, or to the daemon if it leads none."""
        if self.is_on_its_way:
            self.send_all(number)
            return
        send_group(self.pid, self.pidfd, number)

    def _forget_cancellation(self) -> None:
        if self.cancellation is not None:
            self.loop.forget(self.cancellation.fileno())
            self.cancellation.close()
            self.cancellation = None

    def close(self) -> None:
        """Watch it no longer."""
        self._forget_cancellation()
        self._stop_observing()
        if self.status_socket is not None:
            self.status_socket.close()
        if self.health is not None:
            self.health.close()
        self.start.remove_sockets()
        if self.watchdog is not None:
            self.watchdog.stop()
        if self.workers is not None:
            self.workers.dismiss()
        for timer in (self.timer, self.telling, self.deadline):
            self.loop.cancel(timer)
        self.loop.forget(self.pidfd)
        posix.close(self.pidfd)
        self.reporter.close()
