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

from cross_init.kernel.pidfds import has_ended
from cross_init.readiness.receiving import FDS_MAX, HEAD_ROOM, drop, numbers
from cross_init.readiness.sd_notify import MESSAGE_MAX
from cross_init.resident.description import CHANNEL, PIDFD, listed, read
from cross_init.resident.places import bind
from cross_init.sockets.connection import credentials
from cross_init.store.client import send
from cross_init.watch.detach import detach, ignore_stop_signals
from cross_init.watch.wire import Malformed

PUT, NOTE, DROP, CLOSE, TAKE, SAID, END = b"p", b"n", b"d", b"c", b"t", b"m", b"e"
ID = 16  # bytes of a service's own name here
NAME = b"cross-init-kept"
LONGEST = 1 << 17  # bytes of a packet
BACKLOG = 8
ALL_MESSAGES_MAX = 4096  # of all that speak without a bridge
LONG = 4096  # bytes
ALIVE, STATUS = b"WATCHDOG=1", b"STATUS="
# Records that are no description: a socket to which the daemons of all services send, and one of these (outside.py).
SOCKET, OUTSIDE = b"outside, socket 1", b"outside, service 1"
MESSAGES_MAX = 256  # of one service, that are kept for it
PATIENCE_S = 5.0  # with a resident that takes nothing
COME_MS = 10_000  # for the first one to come
GRACE_MS = 60_000  # for the next one, when all daemons have ended: it ends what they have left


class Entry:
    """What is kept of one service. fds: -1 for those that are needed no longer. said: messages, as they came."""

    __slots__ = ("data", "fds", "last", "most", "pidfd", "said", "socket", "state")

    def __init__(self, data: bytes, fds: list[int]) -> None:
        self.data = data
        self.fds = fds
        self.state = b""
        self.said: list[bytes] = []
        self.last: dict[bytes, int] = {}  # where the last of some kinds stands, behind what is of none
        self.pidfd = fds[0] if data == OUTSIDE else -1
        self.socket = fds[0] if data == SOCKET else -1
        self.most = MESSAGES_MAX if data != SOCKET else ALL_MESSAGES_MAX
        try:
            fields = read(data)
            roles = listed(fields["roles"])
        except Malformed:
            return  # it is another one's, who knows what it is
        self.pidfd = fds[roles.index(PIDFD)]
        if fields["channel"] == "notify" and CHANNEL in roles:
            self.socket = fds[roles.index(CHANNEL)]

    def close(self) -> None:
        """Keep nothing of it."""
        for fd in self.fds:
            if fd >= 0:
                posix.close(fd)


class Holder:
    """The process. listener: where a resident comes to; resident: its connection, None while there is none.

    is_last: we were told to end, as everybody is when the machine goes down: no resident comes behind the daemons' end.
    """

    def __init__(self, listener: _socket.socket) -> None:
        self.listener = listener
        self.is_last = False
        self.woken, wake = posix.pipe2(posix.O_CLOEXEC | posix.O_NONBLOCK)
        _signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        _signal.signal(_signal.SIGTERM, lambda number, frame: None)
        self.resident: _socket.socket | None = None
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
            self.is_last = True

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
        self.is_last = False
        if self.resident is not None:
            self.resident.close()
        self.resident = other

    def _hear(self) -> None:
        """Do what the resident says."""
        assert self.resident is not None
        room = _socket.CMSG_SPACE(4 * FDS_MAX)
        try:
            body, extra, _, _ = self.resident.recvmsg(LONGEST, room, _socket.MSG_CMSG_CLOEXEC)
        except OSError:
            body, extra = b"", []
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
            for at in data:
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
                send(self.resident, CLOSE + name + gone)
                send(self.resident, NOTE + name + entry.state)
                entry.last = {}
                while entry.said:
                    send(self.resident, SAID + name + entry.said[0])
                    del entry.said[0]
            send(self.resident, END)
        except OSError:
            self.resident.close()  # it is tried again by the next one
            self.resident = None

    # While no resident is there.

    def _wait_alone(self) -> None:
        poller = poll()
        poller.register(self.listener.fileno(), POLLIN)
        of: dict[int, bytes] = {}
        for name, entry in self.entries.items():
            if entry.pidfd >= 0:
                of[entry.pidfd] = name
                poller.register(entry.pidfd, POLLIN)
            if entry.socket >= 0 and len(entry.said) < entry.most:
                of[entry.socket] = name
                poller.register(entry.socket, POLLIN)
        living = any(entry.pidfd >= 0 for entry in self.entries.values())
        poller.register(self.woken, POLLIN)
        ready = [fd for fd, _ in poller.poll(None if living else 0 if self.is_last else GRACE_MS)]
        if self.woken in ready:
            self._hear_signal()
            return
        if self.listener.fileno() in ready:
            self._let_in()
            return
        for fd in ready:
            entry = self.entries[of[fd]]
            if fd == entry.socket:
                if not take_in(entry):
                    entry.socket = -1  # descriptors are with it: that waits for who can deal with it
            elif has_ended(fd):
                entry.pidfd = -1  # what is to be done then is the next resident's
        if not (ready or living):
            for entry in self.entries.values():
                entry.close()
            self.entries.clear()


def take_in(entry: Entry) -> bool:
    """Take the next message off and keep it; False if that is not ours to do."""
    sock = _socket.socket(fileno=entry.socket)
    try:
        body, extra, flags, _ = sock.recvmsg(MESSAGE_MAX + 1, HEAD_ROOM, _socket.MSG_PEEK | _socket.MSG_DONTWAIT)
        if flags & _socket.MSG_CTRUNC:
            return False
        drop(sock)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        sock.detach()
    is_of_all = entry.most == ALL_MESSAGES_MAX
    if is_of_all and len(body) > LONG:
        body = b""  # any user may have sent it; systemd ignores such a one as well
    parts = [b"%d %d %d\n" % (level, kind, len(data)) + data for level, kind, data in extra]
    said = b"%d\n" % len(parts) + b"".join(parts) + body
    kind = ALIVE if body == ALIVE else STATUS if body.startswith(STATUS) and b"\n" not in body else b""
    if is_of_all:
        kind = b""  # it need not be the same one's
    if kind in entry.last:  # one sign of life is as good as many, and what it does now is what it said at last
        entry.said[entry.last[kind]] = said
        return True
    entry.last = {**entry.last, kind: len(entry.said)} if kind else {}
    entry.said.append(said)
    return True


def parted(said: bytes) -> tuple[bytes, list[tuple[int, int, bytes]]]:
    """A message that was kept, as recvmsg(2) gave it: its text, and what the kernel said of it."""
    count, _, rest = said.partition(b"\n")
    extra = []
    for _ in range(int(count)):
        head, _, rest = rest.partition(b"\n")
        level, kind, length = map(int, head.split())
        extra.append((level, kind, rest[:length]))
        rest = rest[length:]
    return rest, extra


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
