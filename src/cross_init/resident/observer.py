"""Conditions that a resident does not look at itself: a process beside the daemon does, until they hold.

A command is run with the service's variables, as its user and in its folder; HTTP takes a thread, D-Bus a library, and
`listening` a look at many processes, which would hold up all other services. So the bridge leaves such a process
behind, which is all of that by birth. There is a line for each condition, whose other end the resident has: a word on
it says that the condition holds. It stays there to be read again by the next resident. A line that hangs up without
that word is a process that was killed: the daemon is ended then, as its init would wait for ever.

The process ends when all that it looks at holds, or with the daemon. Only what a daemon writes (log:) goes through it
for longer.
"""

import _signal
import _socket
import posix

from cross_init.bounds import as_pid
from cross_init.errors import Failure, print_error, print_unexpected
from cross_init.kernel.linux import NO_PROCESS, fork, is_transient, reason
from cross_init.kernel.pidfds import has_ended
from cross_init.kernel.procfs import is_descendant
from cross_init.model import TEXT
from cross_init.readiness.condition import Condition
from cross_init.watch.detach import detach, ignore_stop_signals
from cross_init.watch.event_loop import EventLoop
from cross_init.watch.log import Reporter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cross_init.bounds import Pid
    from cross_init.launch import Start
    from cross_init.readiness.subject import Subject

    Lines = list[tuple[Condition, _socket.socket, int]]

HOLDS = b"h"
NAME = b"cross-init-see"  # as ps(1) shows it


class Elsewhere(Condition):
    """In a resident: a condition that a process beside the daemon looks at. fd: the line to it."""

    def __init__(self, text: str, fd: int) -> None:
        super().__init__(text)
        self.fd = fd
        self.descriptors = (fd,)
        self.watched: Subject | None = None

    def attach(self, watched: "Subject") -> None:
        """Wait for its word."""
        self.watched = watched
        self.held = watched.expect(self.text)
        if self.fd >= 0:  # else an earlier resident has heard it
            watched.loop.watch(self.fd, self._hear)

    def _hear(self) -> None:
        watched = self.watched
        assert watched is not None
        line = _socket.socket(fileno=self.fd)
        try:
            said = line.recv(1, _socket.MSG_PEEK | _socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            said = b""
        finally:
            line.detach()
        self.stop()
        if said:
            self.held()
        elif not has_ended(watched.pidfd):  # else it has ended as the daemon has
            watched.terminate()
            print_error(
                f"watching {watched.reporter.name} (PID {watched.pid}): the process that looks at --ready-when "
                f"{self.text} was killed, so nobody would hear that it is ready; the daemon was told to end",
                0,
            )

    def stop(self) -> None:
        """It is ready, or gone. The line is closed by who has all descriptors of the service."""
        if self.watched is not None:
            self.watched.loop.forget(self.fd)
            self.watched = None


class Sight:
    """The daemon, as one condition looks at it in that process. line: by which it is said that it holds."""

    follow = pass_on = keeping = watchdog = workers = None

    def __init__(self, loop: EventLoop, start: "Start", pid: int, pidfd: int, line: _socket.socket) -> None:
        self.loop = loop
        self.pid = pid
        self.pidfd = pidfd
        self.line = line
        self.reporter = Reporter(str(start.service), pid, start.init.hears == TEXT)
        self.passed_inodes = start.passed_inodes
        self.passed_sockets = start.sockets
        self.helpers: dict[int, int | None] = {}
        self.reaped: dict[int, int] | None = None
        self.over: Callable[[], None] = lambda: None

    def expect(self, text: str) -> "Callable[[], None]":
        """What is to be called when it holds."""

        def held() -> None:
            try:
                self.line.send(HOLDS, _socket.MSG_NOSIGNAL)
            except OSError:
                pass  # nobody waits for it any more
            self.over()

        return held

    def belongs(self, pid: int) -> bool:
        """Whether this process is the service's."""
        return is_descendant(pid, self.pid)

    def family(self) -> "list[Pid]":
        """All processes of the service."""
        return [pid for pid in map(as_pid, posix.listdir("/proc")) if pid is not None and self.belongs(pid)]


def lines_of(start: "Start") -> "Lines":
    """A line for each such condition: our end of it, and the resident's descriptor. Raises OSError."""
    lines: Lines = []
    for condition in start.conditions:
        if not condition.travels:
            ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
            lines.append((condition, ours, theirs.detach()))
    return lines


def close(lines: "Lines") -> None:
    """In the bridge, which has no more to do with them."""
    for _, ours, theirs in lines:
        ours.close()
        posix.close(theirs)


def begin(start: "Start", pid: int, pidfd: int, lines: "Lines") -> None:
    """Leave that process behind. Raises Failure."""
    # Ignored (as nohup-like wrappers may leave it), it would take the helper's status away from us.
    children = _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
    what = "starting the process that looks whether the daemon is ready"
    helper = fork(what)
    if helper == 0:
        _in_helper(start, pid, pidfd, lines)
    if posix.waitpid(helper, 0)[1] != 0:
        raise Failure(f"{what}: {NO_PROCESS}")
    assert isinstance(children, int)
    _signal.signal(_signal.SIGCHLD, children)


def _in_helper(start: "Start", pid: int, pidfd: int, lines: "Lines") -> None:
    """Between the two forks. Does not return."""
    code = 1
    try:
        posix.setsid()
        if posix.fork() == 0:
            _look(start, pid, pidfd, lines)
        code = 0
    finally:
        posix._exit(code)


def _look(start: "Start", pid: int, pidfd: int, lines: "Lines") -> None:
    """That process's whole life. Does not return."""
    try:
        needed = {fd for condition, _, _ in lines for fd in condition.descriptors}
        detach({pidfd, *(ours.fileno() for _, ours, _ in lines), *needed})
        ignore_stop_signals(NAME)
        attend(start, pid, pidfd, [(condition, ours) for condition, ours, _ in lines]).run()
    except Exception as error:  # the lines hang up: the resident says what follows
        if is_transient(error):
            print_error(f"looking whether {start.service} (PID {pid}) is ready: {reason(error)}", 0)
        else:
            print_unexpected(error, 0)
        for condition, _, _ in lines:
            condition.stop()
        for _, ours, _ in lines:
            ours.close()
        for condition, _, _ in lines:
            condition.outlive()
    finally:
        posix._exit(0)


def attend(start: "Start", pid: int, pidfd: int, looked: "list[tuple[Condition, _socket.socket]]") -> EventLoop:
    """A loop in which all of them are looked at; nothing is in it any more when there is nothing left to do."""
    loop = EventLoop()
    waiting = [condition for condition, _ in looked]

    def leave() -> None:
        """The daemon has ended, or all holds."""
        loop.forget(pidfd)
        for condition, line in looked:
            loop.forget(line.fileno())
            condition.stop()

    def over(condition: Condition, line: _socket.socket) -> None:
        """It holds, or nobody wants to know any more."""
        loop.forget(line.fileno())
        condition.stop()
        if condition in waiting:
            waiting.remove(condition)
        if not waiting:
            leave()

    loop.watch(pidfd, leave)
    for condition, line in looked:
        sight = Sight(loop, start, pid, pidfd, line)
        sight.over = lambda condition=condition, line=line: over(condition, line)  # type: ignore[misc] # its own
        loop.watch(line.fileno(), sight.over, 0)
        condition.attach(sight)  # type: ignore[arg-type] # nothing else is asked
    return loop
