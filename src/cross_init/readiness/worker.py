"""Workers: short-lived processes that do for a watching process what could hold it up, or end it.

Descriptors that others send are such a thing. Whoever drops the last reference to one waits as long as its kind makes
him wait: for a TCP connection that lingers (SO_LINGER, socket(7)) as long as its owner has said, for a packet socket
some milliseconds without a way to interrupt it, for a file of a FUSE server that does not answer for ever. So the
watching process never has any; a worker, which can be lost, takes the message off the queue. Asking another process,
which may be stopped, is another such thing.

One worker is at work at a time, and what is to happen afterwards waits: so all happens in the order in which it was
said. None is waited for without an end: one that says nothing for too long is killed, and where even that does not
help, as it is in the kernel, it is left behind. STUCK_MAX of them may be.
"""

import _signal
import _socket
import posix
from select import POLLIN, poll
from time import monotonic

from cross_init.errors import Failure, why
from cross_init.watch.detach import ignore_stop_signals
from cross_init.watch.log import Reporter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cross_init.readiness.subject import Subject
    from cross_init.watch.event_loop import Timer

# A worker's words, each the first byte of a packet; what belongs to it stands behind.
HERE = b"h"  # it begins
TAKEN = b"t"  # the message is off the queue
SAY = b"s"  # a line for people
LEFT = b"l"  # the PID of a process of ours that it has started
SILENT = b"q"  # who keeps descriptors does not answer
DONE = b"d"  # it has done what it was to do; nothing waits for its end
LONGEST = 4096  # bytes of a packet

COME_S = 2.0  # for a worker to begin
START_S = 5.0  # for the kernel to give us a process for it
PAUSE_S = 0.1  # until something that has failed is tried again
END_S = 0.02  # for one that was killed to end
STUCK_MAX = 8


class Task:
    """What a worker is to do. keep: the descriptors that it needs; patience: the seconds that it may take."""

    def __init__(self, keep: set[int], patience: float) -> None:
        self.keep = keep
        self.patience = patience

    def do(self, tell: "Tell") -> None:
        """Do it. In the worker, which ends then."""

    def hear(self, kind: bytes, text: bytes) -> None:
        """The worker says this. In the watching process, as is the next."""

    def over(self, done: bool) -> None:
        """It is done, or nobody does it any more: then nobody knows how far it came."""


class Tell:
    """A worker's way to say something to the watching process."""

    def __init__(self, sock: _socket.socket) -> None:
        self.socket = sock

    def __call__(self, kind: bytes, text: str = "") -> None:
        """Say it; that nobody hears it any more is no error."""
        try:
            self.socket.send((kind + text.encode("utf-8", "replace"))[:LONGEST], _socket.MSG_NOSIGNAL)
        except OSError:
            pass


class Relay(Reporter):
    """A worker's reporter: whatever it says, the watching process says, at its rate."""

    def __init__(self, tell: Tell, name: str, pid: int) -> None:
        super().__init__(name, pid, False)
        self.tell = tell

    def say(self, text: str) -> None:
        """Have it said."""
        self.tell(SAY, text)


class Worker:
    """A worker, as the watching process has it. socket: by which it is heard; is_silent: it says nothing any more."""

    __slots__ = ("is_silent", "pid", "pidfd", "socket")

    def __init__(self, watched: "Subject", task: Task) -> None:
        """Fork it. Raises OSError."""
        self.is_silent = False
        self.socket, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
        try:
            self.pid = posix.fork()
            if self.pid == 0:
                _live(watched, task, theirs)
        except OSError:
            self.socket.close()
            raise
        finally:
            theirs.close()  # which makes room for the pidfd
        watched.helpers[self.pid] = None
        try:
            self.pidfd = posix.pidfd_open(self.pid)
        except OSError:
            posix.kill(self.pid, _signal.SIGKILL)  # our child, not waited for: the PID is still its own
            self.socket.close()
            try:
                posix.waitpid(self.pid, 0)  # it has only begun, and ends at once
            except ChildProcessError:
                pass  # whoever waits for all children was first
            raise


class Workers:
    """All that one watching process sends.

    tasks: what is to be done; the first of them is being done. leaving: the pidfds and PIDs of workers that nothing
    waits for any more. door: a descriptor, and what to call when it is readable while no worker is at work.
    """

    def __init__(self, watched: "Subject") -> None:
        self.watched = watched
        self.loop = watched.loop
        self.tasks: list[Task] = []
        self.worker: Worker | None = None
        self.since = 0.0  # when it was first tried to start the worker
        self.timer: Timer | None = None
        self.leaving: dict[int, int] = {}
        self.door: tuple[int, Callable[[], None]] | None = None
        self.is_said = False  # that there is no process to be had, until there is one

    def attend(self, fd: int, callback: "Callable[[], None]") -> None:
        """Call back when fd is readable and nobody is at work."""
        self.door = (fd, callback)
        self._next()

    def close_door(self) -> None:
        """Call back no longer."""
        if self.door is not None:
            self.loop.forget(self.door[0])
        self.door = None

    @property
    def are_at_work(self) -> bool:
        """Whether something is to be done, or to be tried again, before anything else."""
        return bool(self.tasks) or self.timer is not None

    def send(self, task: Task) -> None:
        """Have it done, after those that are there already."""
        self.tasks.append(task)
        if len(self.tasks) == 1 and self.timer is None:
            self._next()

    def pause(self) -> None:
        """Leave the door closed for a while."""
        if not self.are_at_work:
            self._wait_for(PAUSE_S, self._next)
            self._next()

    def _next(self) -> None:
        """Begin with what is to be done next, or open the door if nothing is."""
        if self.door is not None:
            if self.are_at_work:
                self.loop.forget(self.door[0])
            else:
                self.loop.watch(*self.door)
        if self.tasks and self.worker is None and self.timer is None:
            self.since = monotonic()
            self._begin()

    def _begin(self) -> None:
        if len(self.leaving) >= STUCK_MAX:
            return  # _gone() begins
        try:
            self.worker = worker = Worker(self.watched, self.tasks[0])
        except OSError as error:
            if not self.is_said:
                self.watched.reporter.say(f"no process to receive what it sends: {why(error)}; trying again")
                self.is_said = True
            if monotonic() - self.since > START_S:
                self._over(False)
            else:
                self._wait_for(PAUSE_S, self._begin)
            return
        self.is_said = False
        self.loop.watch(worker.socket.fileno(), self._hear)
        self.loop.watch(worker.pidfd, self._ended)
        self._wait_for(COME_S, self._late)

    def _wait_for(self, seconds: float, callback: "Callable[[], None]") -> None:
        """The one timer that there is."""

        def due() -> None:
            self.timer = None
            callback()

        self.loop.cancel(self.timer)
        self.timer = self.loop.after(seconds, due)

    def _hear(self) -> None:
        """Hear all that the worker has said."""
        worker = self.worker
        while worker is not None and worker is self.worker:
            try:
                said = worker.socket.recv(LONGEST, _socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError:
                said = b""
            kind, text = said[:1], said[1:]
            if not said:
                self.loop.forget(worker.socket.fileno())  # it has ended, or is about to
                worker.is_silent = True
                return
            if kind == HERE:
                self._wait_for(self.tasks[0].patience, self._late)
            elif kind == DONE:
                self._let_go(True)
            elif kind == SAY:
                self.watched.reporter.say(text.decode("utf-8", "replace"))
            elif kind == LEFT:
                self.watched.helpers[int(text)] = None
            else:
                self.tasks[0].hear(kind, text)

    def _ended(self) -> None:
        """The worker has ended: after its last words, or without any."""
        worker = self.worker
        self._hear()
        if worker is not None and worker is self.worker:
            self._let_go(False)

    def _late(self) -> None:
        """It takes too long. One that is in the middle of a system call may not end by that either."""
        assert self.worker is not None
        try:
            _signal.pidfd_send_signal(self.worker.pidfd, _signal.SIGKILL)
        except OSError:
            pass  # it has ended
        self._wait_for(END_S, lambda: self._let_go(False))

    def _let_go(self, done: bool) -> None:
        """Nothing waits for this worker any more."""
        worker = self.worker
        assert worker is not None
        self.worker = None
        self.loop.forget(worker.socket.fileno())
        worker.socket.close()
        self.leaving[worker.pidfd] = worker.pid
        self.loop.watch(worker.pidfd, lambda: self._gone(worker.pidfd))
        if len(self.leaving) == STUCK_MAX:
            self.watched.reporter.say(
                f"{STUCK_MAX} processes that let go of what others have sent to its notification socket are held up "
                "by that; nothing more is heard until one of them has ended"
            )
        self._over(done)

    def _over(self, done: bool) -> None:
        self.loop.cancel(self.timer)
        self.timer = None
        task = self.tasks.pop(0)
        if not done:
            self._wait_for(PAUSE_S, self._next)  # whatever it is that went wrong, it may do so again
        task.over(done)
        self._next()

    def _gone(self, pidfd: int) -> None:
        """One of those that were leaving has ended."""
        self.loop.forget(pidfd)
        posix.close(pidfd)
        pid = self.leaving.pop(pidfd)
        try:
            posix.waitpid(pid, posix.WNOHANG)
        except ChildProcessError:
            pass  # whoever waits for all children was first
        self.watched.helpers.pop(pid, None)
        self._next()

    def wait(self, until: float) -> None:
        """Wait for what comes next while some are at work, up to this time: for who has nothing else to wait for."""
        worker, awaited = self.worker, poll()
        for fd in self.leaving:
            awaited.register(fd, POLLIN)
        if worker is not None:
            awaited.register(worker.pidfd, POLLIN)
            if not worker.is_silent:
                awaited.register(worker.socket.fileno(), POLLIN)
        when = until if self.timer is None else min(self.timer.when, until)
        for fd, _ in awaited.poll(max(0, (when - monotonic()) * 1000)):
            if fd in self.leaving:
                self._gone(fd)
            elif worker is not None and worker is self.worker:
                if fd == worker.pidfd:
                    self._ended()
                else:
                    self._hear()
        timer = self.timer
        if timer is not None and timer.when <= monotonic():
            self.loop.cancel(timer)
            timer.callback()

    def dismiss(self) -> None:
        """Send no more, and wait for none; one that is at work finishes that by itself."""
        self.close_door()
        self.loop.cancel(self.timer)
        self.timer = None
        self.tasks.clear()
        if self.worker is not None:
            self.loop.forget(self.worker.socket.fileno())
            self.worker.socket.close()
            self.leaving[self.worker.pidfd] = self.worker.pid
            self.worker = None
        for pidfd, pid in self.leaving.items():
            self.loop.forget(pidfd)
            self.loop.leave_child(pidfd, pid)
        self.leaving.clear()


def workers_of(watched: "Subject") -> Workers:
    """The workers of who watches this daemon."""
    if watched.workers is None:
        watched.workers = Workers(watched)
    return watched.workers


def _live(watched: "Subject", task: Task, ours: _socket.socket) -> None:
    """The worker's whole life. Does not return."""
    try:
        tell = Tell(ours)
        _signal.set_wakeup_fd(-1)
        posix.setsid()
        keep_only({ours.fileno(), *task.keep})
        ignore_stop_signals()
        _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
        watched.reporter = Relay(tell, watched.reporter.name, watched.pid)
        tell(HERE)
        try:
            task.do(tell)
            tell(DONE)
        except (OSError, Failure) as error:
            tell(SAY, f"receiving what it sends: {why(error) if isinstance(error, OSError) else error}")
        except Exception as error:
            tell(SAY, f"a mistake in cross-init-bridge itself, in receiving what it sends: {error!r}; please report it")
    finally:
        posix._exit(0)


def keep_only(keep: set[int]) -> None:
    """Close all other descriptors, and be in no folder: nothing may be held open by a process that may not end."""
    lowest = 0
    for fd in sorted(keep):
        posix.closerange(lowest, fd)
        lowest = fd + 1
    posix.closerange(lowest, max(posix.sysconf("SC_OPEN_MAX"), lowest))
    try:
        posix.chdir("/")
        while posix.open("/dev/null", posix.O_RDWR | posix.O_CLOEXEC) < 2:
            pass  # what is received must not come to stand there
    except OSError:
        pass
