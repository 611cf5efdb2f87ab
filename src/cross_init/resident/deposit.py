"""The deposit: a small process that keeps what a resident has, so that the resident may be killed at any moment.

It has a copy of each service's descriptors, its description and what was noted of it since. It does nothing with them.
While a resident is there it waits; while none is, it takes off what daemons say before their sockets' queues are full,
so that no daemon has to wait, and gives that to the next resident. It ends when nobody is there and nothing is left.
"""

import _signal
import _socket
import gc
import posix
from select import POLLIN, poll
from time import monotonic

from cross_init.readiness.receiving import FDS_MAX, numbers
from cross_init.resident.description import CHANNEL, PIDFD, listed, read
from cross_init.resident.kept import LONGEST
from cross_init.resident.meanwhile import Inbox
from cross_init.resident.places import bind
from cross_init.sockets.connection import credentials
from cross_init.store.client import send
from cross_init.watch.detach import detach, ignore_stop_signals
from cross_init.watch.wire import Malformed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

PUT, NOTE, DROP, CLOSE, TAKE, SAID, END = b"p", b"n", b"d", b"c", b"t", b"m", b"e"
ID = 16  # bytes of a service's own name here
NAME = b"cross-init-kept"
BACKLOG = 8
# Records that are no description: a socket to which the daemons of all services send, and one of these (outside.py).
SOCKET, OUTSIDE = b"outside, socket 1", b"outside, service 1"
PATIENCE_S = 5.0  # with a resident that takes nothing
COME_MS = 10_000  # for the first one to come
GRACE_S = 60.0  # for the next one, when all daemons have ended: it ends what they have left


class Entry:
    """What is kept of one service. fds: -1 for those that are needed no longer. inbox: what is said meanwhile.

    What it is, is read when that is needed: mostly a resident is there, and has many to put here at once.
    """

    __slots__ = ("data", "fds", "inbox", "is_read", "pidfd", "state")

    def __init__(self, data: bytes, fds: list[int]) -> None:
        self.data = data
        self.fds = fds
        self.state = b""
        self.pidfd = -1
        self.inbox: Inbox | None = None
        self.is_read = False

    def read(self) -> None:
        """See what it is: pidfd and inbox."""
        if self.is_read:
            return
        self.is_read = True
        data, fds = self.data, self.fds
        self.pidfd = fds[0] if data == OUTSIDE else -1
        self.inbox = Inbox(fds[0], 0, False) if data == SOCKET else None
        try:
            fields = read(data)
            roles = listed(fields["roles"])
        except Malformed:
            return  # it is another one's, who knows what it is
        self.pidfd = fds[roles.index(PIDFD)]
        pid = fields["pid"]
        assert isinstance(pid, int)
        if fields["channel"] == "notify" and CHANNEL in roles:
            self.inbox = Inbox(fds[roles.index(CHANNEL)], pid, fields["store"] != "")

    def calls(self) -> "dict[int, Callable[[], None]]":
        """What is to be waited for while no resident is there, and called then."""
        found = {} if self.inbox is None else self.inbox.calls()
        if self.pidfd >= 0:
            found[self.pidfd] = self._has_ended
        return found

    def _has_ended(self) -> None:
        """What is to be done then is the next resident's."""
        self.pidfd = -1

    def close(self) -> None:
        """Keep nothing of it."""
        for fd in self.fds:
            if fd >= 0:
                posix.close(fd)


class Holder:
    """The process. listener: where a resident comes to; resident: its connection, None while there is none.

    is_last: we were told to end, as everybody is when the machine goes down: no resident comes behind the daemons' end.
    until: how long one is waited for when all daemons have ended, monotonic; 0: some live.
    """

    def __init__(self, listener: _socket.socket) -> None:
        self.listener = listener
        self.is_last = False
        self.until = 0.0
        _signal.signal(_signal.SIGCHLD, _signal.SIG_IGN)  # nobody here waits for children of ours
        self.woken, wake = posix.pipe2(posix.O_CLOEXEC | posix.O_NONBLOCK)
        _signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        _signal.signal(_signal.SIGTERM, lambda number, frame: None)
        self.resident: _socket.socket | None = None
        self.room = bytearray(LONGEST)  # for what it says; taken anew for each, it would be mapped and unmapped again
        self.entries: dict[bytes, Entry] = {}

    def run(self) -> None:
        """Keep all until nobody is there and nothing is left."""
        come = poll()
        come.register(self.listener.fileno(), POLLIN)
        if come.poll(COME_MS):
            self._let_in()
        while self.resident is not None or self.entries:
            if self.resident is None:
                self._wait_alone()
            else:
                self._wait()

    def _hear_signal(self) -> None:
        if _signal.SIGTERM in posix.read(self.woken, 64):
            self.is_last, self.until = True, 0.0  # also if it was waited for already

    def _wait(self) -> None:
        assert self.resident is not None
        poller = poll()
        poller.register(self.resident.fileno(), POLLIN)
        poller.register(self.listener.fileno(), POLLIN)
        poller.register(self.woken, POLLIN)
        ready = {fd for fd, _ in poller.poll()}
        if self.woken in ready:
            self._hear_signal()
        elif self.resident.fileno() in ready:
            self._hear()  # all that the last one has said, before another one comes in
        elif ready:
            self._let_in()

    def _let_in(self) -> None:
        try:
            fd, _ = self.listener._accept()  # type: ignore[attr-defined] # what socket.accept() itself calls
        except OSError:
            return
        other = _socket.socket(fileno=fd)
        if credentials(fd)[1] != posix.geteuid():
            other.close()
            return
        other.settimeout(PATIENCE_S)
        self.is_last, self.until = False, 0.0
        if self.resident is not None:
            self.resident.close()
        self.resident = other

    def _hear(self) -> None:
        """Do what the resident says."""
        assert self.resident is not None
        room = _socket.CMSG_SPACE(4 * FDS_MAX)
        try:
            length, extra, _, _ = self.resident.recvmsg_into((self.room,), room, _socket.MSG_CMSG_CLOEXEC)
        except OSError:
            length, extra = 0, []
        body = bytes(memoryview(self.room)[:length])
        if not body:
            self.resident.close()
            self.resident = None
            return
        fds = [fd for _, kind, data in extra if kind == _socket.SCM_RIGHTS for fd in numbers(data)]
        verb, name, data = body[:1], body[1 : 1 + ID], body[1 + ID :]
        entry = self.entries.get(name)
        if verb == PUT:
            self.entries[name] = Entry(data, fds)
            if entry is not None:
                entry.close()
        elif verb == NOTE and entry is not None:
            entry.state = data
        elif verb == CLOSE and entry is not None:
            gone, entry.state = parts(data)
            for at in gone:
                if entry.fds[at] >= 0:
                    posix.close(entry.fds[at])
                    entry.fds[at] = -1
        elif verb == DROP and entry is not None:
            del self.entries[name]
            entry.close()
        elif verb == TAKE:
            self._give()

    def _give(self) -> None:
        """All that there is, to the resident that asks for it."""
        assert self.resident is not None
        try:
            for name, entry in self.entries.items():
                there = tuple(fd for fd in entry.fds if fd >= 0)
                gone = bytes(at for at, fd in enumerate(entry.fds) if fd < 0)
                send(self.resident, PUT + name + entry.data, there)
                send(self.resident, CLOSE + name + bytes([len(gone)]) + gone + entry.state)
                if entry.inbox is not None:
                    entry.inbox.stop()
                    for said in entry.inbox.given():
                        send(self.resident, SAID + name + said)
            send(self.resident, END)
        except OSError:
            self.resident.close()  # it is tried again by the next one
            self.resident = None

    # While no resident is there.

    def _wait_alone(self) -> None:
        for entry in self.entries.values():
            entry.read()
        inboxes = [entry.inbox for entry in self.entries.values() if entry.inbox is not None]
        calls: dict[int, Callable[[], None]] = {self.listener.fileno(): self._let_in, self.woken: self._hear_signal}
        for entry in self.entries.values():
            calls.update(entry.calls())
        if any(entry.pidfd >= 0 for entry in self.entries.values()):
            self.until = 0.0
        elif not self.until:
            self.until = monotonic() + (0 if self.is_last else GRACE_S)
        moments = [when for when in (self.until, *(inbox.until for inbox in inboxes)) if when]
        wait_ms = max((min(moments) - monotonic()) * 1000 + 1, 0) if moments else None
        poller = poll()
        for fd in calls:
            poller.register(fd, POLLIN)
        ready = {fd for fd, _ in poller.poll(wait_ms)}
        for first in (self.woken, self.listener.fileno()):
            if first in ready:
                calls[first]()
                return
        for fd in ready:
            calls[fd]()
        for inbox in inboxes:
            inbox.look()
        if self.until and monotonic() >= self.until:
            for entry in self.entries.values():
                entry.close()
            self.entries.clear()


def parts(data: bytes) -> tuple[bytes, bytes]:
    """What comes with CLOSE: the places of a service's descriptors, and what is known of it."""
    behind = 1 + data[0]
    return data[1:behind], data[behind:]


def start(path: bytes) -> None:
    """Start one that listens there; returns when it does. Raises OSError."""
    gc.freeze()  # what both have is looked through by neither, and stays one memory
    told, tell = posix.pipe2(posix.O_CLOEXEC)
    try:
        try:
            helper = posix.fork()
            if helper == 0:
                _in_helper(path, tell)
        finally:
            posix.close(tell)
        posix.read(told, 1)
    finally:
        posix.close(told)
    posix.waitpid(helper, 0)


def _in_helper(path: bytes, tell: int) -> None:
    """Between the two forks. Does not return."""
    try:
        posix.setsid()
        if posix.fork() == 0:
            listener = listening(path, BACKLOG)  # by this process, so it is known who listens
            own = posix.stat(path).st_ino
            detach({tell, listener.fileno()})  # with that goes the lock of the resident: only now the next one may come
            posix.dup2(0, 2)  # nobody's log waits for it
            ignore_stop_signals(NAME)
            _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
            posix.close(tell)
            Holder(listener).run()
            if posix.stat(path).st_ino == own:
                posix.unlink(path)
    finally:
        posix._exit(0)


def listening(path: bytes, backlog: int) -> _socket.socket:
    """A socket there, in the place of one that was left by an earlier process. Raises OSError."""
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK)
    new = bind(sock, path, 0o077)
    sock.listen(backlog)
    posix.rename(new, path)
    return sock
