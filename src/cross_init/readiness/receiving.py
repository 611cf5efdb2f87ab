"""Messages with descriptors on a notification socket: how to see that one is there, and what a worker does with it.

What nobody wants is dropped: with a message that counts for nothing, and with a BARRIER=1, whose sender waits for that.
The worker gives the kernel no room for them, so that it never has them open: to close a file asks a FUSE server to
flush it (fuse(4)), which only happens to what was open. What a connection that lingers makes it wait ends with the next
signal, and a timer sends one every millisecond.
"""

import _signal
import _socket
import posix
import sys
from select import POLLIN, poll
from time import monotonic

from cross_init.kernel.linux import SO_TIMESTAMPNS
from cross_init.kernel.pidfds import has_ended
from cross_init.kernel.procfs import process_of, start_time
from cross_init.readiness.sd_notify import Assignments, has
from cross_init.readiness.worker import SILENT, TAKEN, Task, Tell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.readiness.notification import Listener

FDS_MAX = 253  # SCM_MAX_FD: the kernel passes no more in one message (unix(7))
CREDENTIALS_SIZE = 12  # struct ucred: pid, uid, gid
STAMP_SIZE = 2 * (8 if sys.maxsize > 1 << 32 else 4)  # struct timespec
# For who sent it and when it came, and for nothing else: the kernel says MSG_CTRUNC then if descriptors are with it.
HEAD_ROOM = _socket.CMSG_SPACE(STAMP_SIZE) + _socket.CMSG_SPACE(CREDENTIALS_SIZE)
ROOM = HEAD_ROOM + _socket.CMSG_SPACE(4 * FDS_MAX)

INTERRUPT_S = 0.001  # after which a wait for a connection that lingers is ended
BATCH_S = 0.05  # for how long a worker goes on with what counts for nothing
STAY_MS = 5  # for how long it waits for more of that
CLEAR_S = 0.25  # after which one that drops descriptors counts as held up
CARRY_S = 5.0  # the same for one that asks who keeps descriptors, and may start that process


class Head:
    """The message that is next. sender, user: by the kernel's word. stamp: when it came, to know it again by."""

    __slots__ = ("body", "has_descriptors", "sender", "stamp", "user")

    def __init__(self, body: bytes, extra: list[tuple[int, int, bytes]], flags: int) -> None:
        self.body = body
        self.has_descriptors = bool(flags & _socket.MSG_CTRUNC)
        self.sender, self.user = 0, -1
        self.stamp = b""
        for level, kind, data in extra:
            if level == _socket.SOL_SOCKET and kind == _socket.SCM_CREDENTIALS:
                self.sender, self.user, _ = numbers(data)
            elif level == _socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
                self.stamp = data

    @property
    def sent_ns(self) -> int:
        """When it was sent, in nanoseconds of the real clock."""
        half = len(self.stamp) // 2
        seconds, rest = (int.from_bytes(part, sys.byteorder) for part in (self.stamp[:half], self.stamp[half:]))
        return seconds * 1_000_000_000 + rest

    def is_same(self, other: "Head | None") -> bool:
        """Whether it is this one, which is still there."""
        return other is not None and (other.stamp, other.sender, other.body) == (self.stamp, self.sender, self.body)


class Clearing(Task):
    """Take the next message off, which was heeded, and drop what came with it; go on while messages count for nothing.

    Its sender, who waits for that, may know by it that the message was heeded.
    """

    def __init__(self, listener: "Listener") -> None:
        super().__init__({listener.socket.fileno()}, CLEAR_S)
        self.listener = listener

    def do(self, tell: Tell) -> None:
        """Drop it. The queue is ours alone meanwhile."""
        _signal.signal(_signal.SIGALRM, lambda number, frame: None)
        _signal.setitimer(_signal.ITIMER_REAL, INTERRUPT_S, INTERRUPT_S)
        drop(self.listener.socket)
        more = poll()
        more.register(self.listener.socket.fileno(), POLLIN)
        until = monotonic() + BATCH_S
        while monotonic() < until and more.poll(STAY_MS):
            head = self.listener.peek()
            if head is None:
                return
            message, complaint = self.listener.judge(head)
            if message is not None or not start_time(head.sender):
                return  # of one that has ended the watching process may know more: it may have waited for it meanwhile
            drop(self.listener.socket)
            if complaint:
                self.listener.watched.reporter.say(complaint)

    def over(self, done: bool) -> None:
        """If it is held up, and does not even end when it is killed, that is by what it drops."""
        if not done and not all(map(has_ended, self.listener.workers.leaving)):
            self.listener.was_held_up()


class Carrying(Task):
    """Receive the descriptors of a message that counts, and do with them what it says."""

    def __init__(self, listener: "Listener", head: Head, message: Assignments) -> None:
        keeping = listener.watched.keeping
        keep = {listener.socket.fileno(), *([keeping.pidfd] if keeping is not None else [])}
        super().__init__(keep, CARRY_S)
        self.listener = listener
        self.head = head
        self.message = message
        self.main_process = posix.getpid()
        self.is_taken = False

    def do(self, tell: Tell) -> None:
        """Say what the watching process has to know, which heeds the rest; then do what may take time."""
        watched = self.listener.watched
        keeping = watched.keeping if stores(self.message) else None
        if keeping is not None:
            keeping.prepare(tell)
        descriptors = receive_all(self.listener.socket)
        main = main_of(self.message, descriptors)
        tell(TAKEN, "" if main is None else f"{main[0]} {main[1]}")
        if not stores(self.message):
            return
        if keeping is not None:
            keeping.store(self.message, descriptors, tell)
        if watched.pass_on is not None:
            watched.pass_on(self.message, descriptors, self.main_process)

    def hear(self, kind: bytes, text: bytes) -> None:
        """It is off the queue, or who keeps descriptors does not answer."""
        keeping = self.listener.watched.keeping
        if kind == SILENT and keeping is not None:
            keeping.let_rest()
        if kind == TAKEN and not self.is_taken:
            self.is_taken = True
            pid, _, started = text.decode().partition(" ")
            main = (int(pid), started) if pid else None
            self.listener.heed(self.message, self.head.sender, main=main, is_carried=True)

    def over(self, done: bool) -> None:
        """If it was lost, with what it had, that is said; what the message says beside is heeded."""
        if self.is_taken and done:
            return
        if not self.is_taken and self.head.is_same(self.listener.peek()):
            return  # it is tried again
        self.listener.watched.reporter.say("the process that received its descriptors has ended, or was held up")
        if not self.is_taken:
            self.is_taken = True
            self.listener.heed(self.message, self.head.sender, is_carried=True)


def stores(message: Assignments) -> bool:
    """Whether it asks for its descriptors to be kept."""
    return has(message, "FDSTORE", "1") and not has(message, "FDSTOREREMOVE", "1")


def drop(sock: _socket.socket) -> None:
    """Take the next message off, without what came with it. Raises OSError."""
    sock.recv(1, _socket.MSG_DONTWAIT)


def receive_all(sock: _socket.socket) -> list[int]:
    """The descriptors of the next message, which is taken off. Raises OSError."""
    _, extra, _, _ = sock.recvmsg(1, ROOM, _socket.MSG_DONTWAIT | _socket.MSG_CMSG_CLOEXEC)
    return [fd for _, kind, data in extra if kind == _socket.SCM_RIGHTS for fd in numbers(data)]


def main_of(message: Assignments, descriptors: list[int]) -> tuple[int, str] | None:
    """The process that MAINPIDFD=1 means, 0 if none, and when it was started; None if nothing is named in that way."""
    if len(descriptors) != 1 or not has(message, "MAINPIDFD", "1"):
        return None
    pid = process_of(descriptors[0])
    started = start_time(pid) if pid else ""
    was_there = started and process_of(descriptors[0]) == pid  # all the time, so it is this process that we looked at
    return (pid, started) if pid is not None and was_there else (0, "")


def numbers(data: bytes) -> list[int]:
    """The C ints in data."""
    return [int.from_bytes(data[at : at + 4], sys.byteorder, signed=True) for at in range(0, len(data) - 3, 4)]
