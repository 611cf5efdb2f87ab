"""The shape "serve": this process stays the main process, accepts connections, and starts a daemon for each.

So a super-server does it that is told "nowait" (inetd(8)). The service is ready when this process is about to accept:
its socket listens, and the kernel keeps clients waiting. Each daemon leads a session of its own, as under inetd, so a
signal to our process group reaches it through us only. A stop ends the accepting at once, and the daemons as they wish;
then we end with 0. If we are killed, the guard ends them, unless the init does.
"""

import _signal
import _socket
import posix
from time import CLOCK_MONOTONIC, clock_gettime_ns, monotonic

from cross_init.errors import FAILED, Failure, print_error, print_unexpected, why
from cross_init.kernel.linux import fork
from cross_init.model import STOPPING
from cross_init.plan import SERVE
from cross_init.shapes.guard import UNGUARDED, Guard
from cross_init.sockets.passed import describe, place
from cross_init.watch.event_loop import EventLoop
from cross_init.watch.watched import Watched

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cross_init.launch import Start

STOPS = (_signal.SIGTERM, _signal.SIGINT, _signal.SIGQUIT)
HANDLED = (*STOPS, _signal.SIGHUP, _signal.SIGCHLD)
AGAIN_S = 1.0  # until it is tried again where the kernel had no descriptor or no process to give
GROUP_S = 0.01  # the kernel gives a group's signal to one process after the other


class Server:
    """The accepting process, which is what is watched: it is the service, for its init and for who asks.

    daemons: those that serve somebody, and where he is (connection.source); our children, not waited for. given: see
    Given.
    """

    def __init__(self, loop: EventLoop, start: "Start", given: "Given", guard: Guard | None, began: float) -> None:
        self.loop = loop
        self.start = start
        self.given = given
        self.guard = guard
        self.daemons: dict[int, object] = {}
        self.stopping = False
        pid = posix.getpid()
        self.watched = Watched(loop, start, pid, posix.pidfd_open(pid), began, self._tell_ready)
        self.reporter = self.watched.reporter
        self.listening = [_socket.socket(fileno=passed.fd) for passed in start.sockets]
        # Another process that shares the socket may be faster, and accept() would wait, deaf, for the next client.
        self.blocks = [posix.get_blocking(sock.fileno()) for sock in self.listening]
        for sock in self.listening:
            posix.set_blocking(sock.fileno(), False)
            posix.set_inheritable(sock.fileno(), False)
        loop.watch(given.news, self._hear)
        self._attend()
        self.watched.serve_status(SERVE)
        self.watched.observe()
        if start.request.notify:
            self.watched.expect("a socket that listens")()  # it does

    def _tell_ready(self) -> None:
        watched = self.watched
        if self.guard is not None and watched.init.may_miss_readiness:
            self.guard.check_heard()
        try:
            watched.init.ready(watched.service, watched.pid, watched.pidfd, watched.seconds)
        except OSError as error:
            watched.notify_again(error)

    # Clients.

    def _attend(self) -> None:
        """Accept whoever comes, as long as there is room. The kernel keeps the others waiting, or we turn them away."""
        has_room = self.start.target.turns_away or len(self.daemons) < self.start.target.clients_at_a_time
        for number, sock in enumerate(self.listening):
            if self.stopping or not has_room:
                self.loop.forget(sock.fileno())
            elif sock.fileno() not in self.loop.sources:
                self.loop.watch(sock.fileno(), self._acceptor(number))
        self.watched.status = f"clients: {len(self.daemons)}"

    def _acceptor(self, number: int) -> "Callable[[], None]":
        return lambda: self._accept(number)

    def _accept(self, number: int) -> None:
        try:
            fd, _ = self.listening[number]._accept()  # type: ignore[attr-defined]
        except (BlockingIOError, ConnectionAbortedError):
            return  # another process was faster, or the client has gone
        except OSError as error:
            self._rest(f"accepting a connection: {why(error)}")
            return
        source = self._source(fd)
        if too_many := self._too_many(source):
            self.reporter.say(f"a client is turned away: there are {too_many}")
            posix.close(fd)
            return
        self.given.block()
        try:
            pid = fork("starting a daemon for a client")
            if pid == 0:
                self._become(fd, number)
            self.daemons[pid] = source
            self._attend()
        except Failure as failure:
            self._rest(str(failure))
        finally:
            self.given.unblock()
            posix.close(fd)

    def _source(self, fd: int) -> object:
        """Where the client is, if that matters."""
        if not self.start.target.clients_per_source:
            return None
        from cross_init.sockets.connection import source

        return source(fd)

    def _too_many(self, source: object) -> str:
        """What there is no more room for, in words; "" if there is."""
        target = self.start.target
        if len(self.daemons) >= target.clients_at_a_time:
            return f"{len(self.daemons)} already (MaxConnections=)"
        if source is not None and list(self.daemons.values()).count(source) >= target.clients_per_source:
            return f"{target.clients_per_source} from {source} already (MaxConnectionsPerSource=)"
        return ""

    def _rest(self, reason: str) -> None:
        """Something is used up: whoever is told at once that a client waits would only spin."""
        self.reporter.say(f"{reason}; trying again in {AGAIN_S:g} s")
        for sock in self.listening:
            self.loop.forget(sock.fileno())
        self.loop.after(AGAIN_S, self._attend)

    def _become(self, fd: int, number: int) -> None:
        """In the new process: become the daemon for a connection of the socket with this number. Does not return."""
        code = FAILED
        try:
            try:
                if self.guard is not None:
                    self.guard.enrol()
                posix.setsid()
                self._set(fd, number)
                self.start.sockets = [describe(fd)]
                self.given.restore()
                self._place()
                self.start.become()
            except Failure as failure:
                code = print_error(str(failure), failure.code)
            except OSError as error:
                code = print_error(f"preparing the daemon's descriptors: {why(error)}", FAILED)
            except Exception as error:
                code = print_unexpected(error)
        finally:
            posix._exit(code)

    def _place(self) -> None:
        """Have its connection, and what its unit has opened for it, where its kind of daemon looks. Raises OSError."""
        start = self.start
        if start.unit is not None:
            start.sockets += start.unit.opened()
        if start.target.first_fd:
            place(start.sockets, start.target.first_fd)

    def _set(self, fd: int, number: int) -> None:
        """Tell a UNIX connection what its listening socket was told, as systemd does; a TCP one has that from it."""
        opened = self.start.request.listen
        if len(opened) == len(self.listening) and opened[number].path and opened[number].options.settings:
            from cross_init.sockets.settings import set_after

            sock = _socket.socket(fileno=fd)
            set_after(sock, opened[number])
            sock.detach()

    # Signals.

    def _hear(self) -> None:
        for number in posix.read(self.given.news, 512):
            if number == _signal.SIGCHLD:
                self._reap()
            elif number in STOPS:
                self._stop(number)
            elif number == _signal.SIGHUP:
                self._reload()

    def _reap(self) -> None:
        while True:
            try:
                pid, status = posix.waitpid(-1, posix.WNOHANG)
            except ChildProcessError:
                break
            if not pid:
                break
            if self.guard is not None and pid == self.guard.pid:
                self.reporter.say(UNGUARDED)
            elif pid in self.daemons:
                del self.daemons[pid]
                if posix.WIFSIGNALED(status) and not self.stopping:
                    self.reporter.say(f"a client's daemon (PID {pid}) was ended by signal {posix.WTERMSIG(status)}")
        self._attend()
        if self.stopping and not self.daemons:
            self.loop.stop()

    def _stop(self, number: int) -> None:
        self.stopping = True
        self.watched.enter(STOPPING)
        self._attend()
        self._tell((("STOPPING", "1"),))
        if not self.daemons:
            self.loop.stop()
        elif not self.start.init.signals_all:
            self._send_all(number)
        else:  # the init may be about to tell them itself
            try:
                self.start.init.barrier(self.start.original)
            except OSError:
                pass
            self.loop.after(GROUP_S, lambda: self._send_unless_all(number))

    def _send_unless_all(self, number: int) -> None:
        """Pass it on if it was sent to us alone."""
        if self.guard is None or not self.guard.has(number):
            self._send_all(number)

    def _send_all(self, number: int) -> None:
        for pid in self.daemons:
            posix.kill(pid, self.start.request.instead.get(number, number))

    def _reload(self) -> None:
        """The next client's daemon reads its configuration by itself; those that run are told only if asked for."""
        usec = clock_gettime_ns(CLOCK_MONOTONIC) // 1000
        self._tell((("RELOADING", "1"), ("MONOTONIC_USEC", str(usec))))
        if _signal.SIGHUP in self.start.request.instead:
            self._send_all(_signal.SIGHUP)
        self._tell((("READY", "1"),))

    def _tell(self, assignments: "tuple[tuple[str, str], ...]") -> None:
        """What a daemon would say to an init that has an ear for it."""
        if self.start.request.notify and self.start.init.news:
            try:
                self.start.init.pass_on(self.start.original, assignments, [])
            except OSError as error:
                self.reporter.say(f"telling {self.start.init.called} what the service does failed: {why(error)}")

    def close(self) -> None:
        """It is over."""
        for sock, blocks in zip(self.listening, self.blocks, strict=True):
            posix.set_blocking(sock.fileno(), blocks)
            sock.close()
        self.watched.close()


class Given:
    """Signals as news for a loop, and what was given before, for the daemons.

    The handlers write the signals' numbers to a pipe. A thread, as the shape "supervise" has it, would be in the way of
    all the forks to come.
    """

    def __init__(self, mask: set[int]) -> None:
        """mask: the signal mask to go back to; everything is blocked now."""
        self.mask = mask
        self.before = {number: _signal.getsignal(number) for number in HANDLED}
        self.news, tell = posix.pipe2(posix.O_CLOEXEC | posix.O_NONBLOCK)
        _signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
        for number, action in self.before.items():
            # Ignored, as nohup(1) leaves them, they stay so; SIGCHLD would take the daemons' ends away from us.
            if action != _signal.SIG_IGN or number in (_signal.SIGTERM, _signal.SIGCHLD):
                _signal.signal(number, lambda number, frame: None)
        self.unblock()

    def block(self) -> None:
        """Let no signal come between a fork and what the new process does first."""
        _signal.pthread_sigmask(_signal.SIG_SETMASK, _signal.valid_signals())

    def unblock(self) -> None:
        """As it was given."""
        _signal.pthread_sigmask(_signal.SIG_SETMASK, self.mask - set(HANDLED))

    def restore(self) -> None:
        """Give the daemon what we were given. To be called with everything blocked."""
        _signal.set_wakeup_fd(-1)
        for number, action in self.before.items():
            # The interpreter's own handler for SIGINT is no number, and is gone at exec as well.
            _signal.signal(number, action if isinstance(action, int) else _signal.SIG_DFL)
        _signal.pthread_sigmask(_signal.SIG_SETMASK, self.mask)


def run(start: "Start") -> int:
    """Serve until told to stop; returns the exit code 0. Raises Failure, OSError."""
    began = monotonic()
    mask = _signal.pthread_sigmask(_signal.SIG_SETMASK, _signal.valid_signals())
    guard = Guard(start, True) if start.init.signals_all or not start.init.ends_all else None
    if guard is not None:
        guard.begin()
        guard.wake()
    loop = EventLoop()
    server = Server(loop, start, Given(mask if start.mask is None else start.mask), guard, began)
    loop.run()
    server.close()
    if start.unit is not None:
        start.unit.after(0, True)
    start.init.ended()
    if guard is not None:
        guard.dismiss()
    return 0
