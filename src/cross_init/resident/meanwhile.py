"""What is said on a socket while no resident is there: taken off, so that no sender waits, and kept for the next one.

Nobody fills the place of others. What a stranger says on a service's own socket is not kept at all. On the socket that
all share it is not known yet who is one: where it is full, the oldest goes of who has said most, and of root last.

Nor does anybody hold up others by descriptors. Nobody wants them but who keeps a service's own (FDSTORE=1): such a
message waits for the next resident. All others are dropped by a process that is forked for it, and may be lost, as
whoever drops the last reference to a descriptor may have to wait (readiness/worker.py).
"""

import _signal
import _socket
import posix
from select import POLLIN, poll
from time import monotonic

from cross_init.kernel.pidfds import has_ended
from cross_init.kernel.procfs import field
from cross_init.readiness.receiving import CLEAR_S, HEAD_ROOM, INTERRUPT_S, Head, drop, stores
from cross_init.readiness.sd_notify import MESSAGE_MAX, Assignments, Malformed, has, parse
from cross_init.readiness.worker import END_S, PAUSE_S, STUCK_MAX, keep_only
from cross_init.watch.untrusted import keep_descriptors_out

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Extra = list[tuple[int, int, bytes]]

OWN_MAX = 256  # messages of one service that are kept for it
SHARED_MAX = 4096  # and of all that share a socket
LONG = 4096  # bytes
ALIVE, STATUS = b"WATCHDOG=1", b"STATUS="
# One user may have any number of users that are numbered from here on (subuid(5)): all of these count as one.
NUMBERED_FROM = 1 << 16
NOBODY = -1


class Message:
    """One that is kept. user, sender: by the kernel's word; said: as parted() reads it."""

    __slots__ = ("said", "sender", "user")

    def __init__(self, head: Head, extra: "Extra") -> None:
        self.user = min(head.user, NUMBERED_FROM)
        self.sender = head.sender
        parts = [b"%d %d %d\n" % (level, kind, len(data)) + data for level, kind, data in extra]
        self.said = b"%d\n" % len(parts) + b"".join(parts) + head.body


class Inbox:
    """One socket. pid: the service's main process, 0 if all share it. keeps: its descriptors may have to be kept.

    is_open: False once something is in the queue that waits for the next resident. kept: by number, the oldest first.
    last: where the last of some kinds of messages is, of each sender. child: a pidfd of who drops the
    message that is next, which is dropped, and has this number if it is kept. until: when that takes too long, or it is
    tried again. leaving: pidfds of those that were held up.
    """

    def __init__(self, socket: int, pid: int, keeps: bool) -> None:
        self.socket = socket
        self.pid = pid
        self.keeps = keeps
        self.is_open = True
        self.kept: dict[int, Message] = {}
        self.count = 0
        self.last: dict[int, dict[bytes, int]] = {}
        self.child = NOBODY
        self.dropped: Head | None = None
        self.number = 0
        self.until = 0.0
        self.leaving: list[int] = []

    def calls(self) -> "dict[int, Callable[[], None]]":
        """What is to be waited for, and called then."""
        found: dict[int, Callable[[], None]] = dict.fromkeys(self.leaving, self._bury)
        if self.child != NOBODY:
            found[self.child] = self._has_dropped
        elif not self.until and self.is_open and len(self.leaving) < STUCK_MAX and not self._is_full():
            found[self.socket] = self.take
        return found

    def look(self) -> None:
        """See whether something takes too long, or can be tried again."""
        if self.until and monotonic() >= self.until:
            self.until = 0.0
            self._lose()

    def _is_full(self) -> bool:
        """Of a service's own socket: it alone waits then."""
        return bool(self.pid) and len(self.kept) >= OWN_MAX

    def take(self) -> None:
        """Take the next message off and keep it, if that is ours to do."""
        sock = _socket.socket(fileno=self.socket)
        try:
            head, extra = peek(sock)
            message = understood(head.body)
            counts = not self.pid or self._may_count(head)
            if head.has_descriptors and self.keeps and counts and stores(message):
                self.is_open = False
            elif not head.has_descriptors:
                if counts:
                    self._keep(head, extra)
                drop(sock)
            else:
                if not head.is_same(self.dropped):  # else who was to drop it has not come to that
                    is_wanted = counts and not has(message, "BARRIER", "1")
                    self.dropped, self.number = head, self._keep(head, extra) if is_wanted else 0
                self._have_dropped()
        except BlockingIOError:
            pass
        except OSError:
            self.until = monotonic() + PAUSE_S
        finally:
            sock.detach()

    def _may_count(self, head: Head) -> bool:
        """Whether this may be the service's word; what follows from it is the next resident's to say."""
        if head.sender == self.pid or head.user in (0, posix.geteuid()):
            return True
        return str(head.user) in field(f"/proc/{self.pid}/status", "Uid").split()

    def _keep(self, head: Head, extra: "Extra") -> int:
        """Keep it; returns its number. Of signs of life one is as good as many, and of what it does the last counts."""
        body = head.body
        if not self.pid and len(body) > LONG:
            head.body = b""  # anybody may have sent it; systemd ignores such a one as well
        message = Message(head, extra)
        head.body = body
        kind = ALIVE if body == ALIVE else STATUS if body.startswith(STATUS) and b"\n" not in body else b""
        last = self.last.get(head.sender, {})
        if (number := last.get(kind, 0)) in self.kept:
            self.kept[number] = message
            return number
        if not self.pid and len(self.kept) >= SHARED_MAX:
            self._make_room()
        self.count += 1
        self.kept[self.count] = message
        if kind:
            self.last[head.sender] = {**last, kind: self.count}
        else:
            self.last.pop(head.sender, None)  # behind this one they mean something else
        return self.count

    def _make_room(self) -> None:
        """Let go of one: of the user with the most, root last, the sender with the most; of that one the oldest."""
        users: dict[int, int] = {}
        for each in self.kept.values():
            users[each.user] = users.get(each.user, 0) + 1
        user = max(users, key=lambda each: (each != 0, users[each]))
        senders: dict[int, int] = {}
        for each in self.kept.values():
            if each.user == user:
                senders[each.sender] = senders.get(each.sender, 0) + 1
        sender = max(senders, key=lambda each: senders[each])
        number = next(at for at, each in self.kept.items() if (each.user, each.sender) == (user, sender))
        del self.kept[number]
        if senders[sender] == 1:
            self.last.pop(sender, None)

    # Descriptors that nobody wants.

    def _have_dropped(self) -> None:
        """Have the next message taken off by a process that may be lost. Raises OSError."""
        pid = posix.fork()
        if pid == 0:
            drop_alone(self.socket)
        self.child = posix.pidfd_open(pid)
        self.until = monotonic() + CLEAR_S

    def _has_dropped(self) -> None:
        """That process has ended."""
        posix.close(self.child)
        self.child, self.until = NOBODY, 0.0

    def _lose(self) -> None:
        """That process is held up: let it be, whether or not it ends by that. It takes nothing more off."""
        if self.child == NOBODY:
            return
        try:
            _signal.pidfd_send_signal(self.child, _signal.SIGKILL)
        except ProcessLookupError:
            pass  # it has ended
        ended = poll()
        ended.register(self.child, POLLIN)
        if ended.poll(END_S * 1000):
            self._has_dropped()
            return
        self.leaving.append(self.child)
        if not self.pid:
            sock = _socket.socket(fileno=self.socket)
            keep_descriptors_out(sock)  # until the next resident is there
            sock.detach()
        self.child, self.until = NOBODY, 0.0

    def _bury(self) -> None:
        """Some of those that were held up have ended."""
        for pidfd in [fd for fd in self.leaving if has_ended(fd)]:
            self.leaving.remove(pidfd)
            posix.close(pidfd)

    def stop(self) -> None:
        """A resident is there, who takes in what is in the queue."""
        self._lose()
        sock = _socket.socket(fileno=self.socket)
        try:
            if peek(sock)[0].is_same(self.dropped):
                self.kept.pop(self.number, None)  # it is heard from there
        except OSError:
            pass
        finally:
            sock.detach()
        self.dropped, self.is_open, self.until = None, True, 0.0
        self.last.clear()

    def given(self) -> "Iterator[bytes]":
        """All that was kept, each let go of when the next one is asked for."""
        for number, message in [*self.kept.items()]:
            yield message.said
            del self.kept[number]


def peek(sock: _socket.socket) -> "tuple[Head, Extra]":
    """The message that is next, which stays where it is, and what the kernel says of it. Raises OSError."""
    body, extra, flags, _ = sock.recvmsg(MESSAGE_MAX + 1, HEAD_ROOM, _socket.MSG_PEEK | _socket.MSG_DONTWAIT)
    return Head(body, extra, flags), extra


def understood(body: bytes) -> Assignments:
    """What it says; nothing if that is no message."""
    try:
        return parse(body)
    except Malformed:
        return ()


def drop_alone(socket: int) -> None:
    """Take the next message off, in a process of its own. Does not return."""
    try:
        _signal.set_wakeup_fd(-1)
        keep_only({socket})
        _signal.signal(_signal.SIGALRM, lambda number, frame: None)
        _signal.setitimer(_signal.ITIMER_REAL, INTERRUPT_S, INTERRUPT_S)
        drop(_socket.socket(fileno=socket))
    finally:
        posix._exit(0)


def parted(said: bytes) -> "tuple[bytes, Extra]":
    """A message that was kept, as recvmsg(2) gave it: its text, and what the kernel said of it."""
    count, _, rest = said.partition(b"\n")
    extra = []
    for _ in range(int(count)):
        head, _, rest = rest.partition(b"\n")
        level, kind, length = map(int, head.split())
        extra.append((level, kind, rest[:length]))
        rest = rest[length:]
    return rest, extra
