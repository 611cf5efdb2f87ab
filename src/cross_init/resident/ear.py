"""The socket on which daemons speak that no bridge of ours has started: NOTIFY_SOCKET=/run/cross-init/notify.

Anybody may send there. Whose word counts, and for which service, is the kernel's to say (whose.py): the main process of
a service that a supervisor of our own user's has started. Of all else there is a line in the log, at a bounded rate.
A few messages are taken in at each turn of the loop, and what one costs is bounded.
"""

import _socket
import posix
from time import time_ns

from cross_init.kernel.linux import SO_TIMESTAMPNS
from cross_init.kernel.pidfds import has_ended
from cross_init.readiness.notification import Listener
from cross_init.readiness.receiving import Head
from cross_init.readiness.sd_notify import Assignments, Malformed, has, parse
from cross_init.resident.heard import Heard
from cross_init.resident.places import bind
from cross_init.resident.whose import Owner, Stranger, owner_of
from cross_init.watch.log import Reporter
from cross_init.watch.untrusted import keep_descriptors_out

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cross_init.watch.event_loop import EventLoop, Timer

ENDED_MAX = 256
REFUSE_S = 60.0
LATER: Assignments = ()  # a worker leaves the message to the process that watches


class Everybody:
    """Who is heard on this socket, as whoever sends workers needs it (readiness/subject.py)."""

    says_ready = False
    pass_on = follow = keeping = watchdog = workers = None

    def __init__(self, loop: "EventLoop") -> None:
        self.loop = loop
        self.pid = posix.getpid()
        self.reporter = Reporter("notify", self.pid, False)
        self.helpers: dict[int, int | None] = {}
        self.reaped: dict[int, int] | None = None


class Ear(Listener):
    """Hears all. services: by their main process. add, bury: what to do of one that speaks first, and of one's end."""

    def __init__(
        self,
        loop: "EventLoop",
        sock: _socket.socket,
        add: "Callable[[Owner], Heard]",
        bury: "Callable[[Heard], None]",
    ) -> None:
        self.services: dict[int, Heard] = {}
        self.ended: dict[int, int] = {}  # main processes that were heard, and when it was seen, by the real clock
        self.add = add
        self.bury = bury
        self.refusing: Timer | None = None
        keep_descriptors_out(sock, False)  # where one before us did
        super().__init__(Everybody(loop), sock, "main", b"", False)  # type: ignore[arg-type] # nothing else is asked

    def judge(self, head: Head) -> tuple[Assignments | None, str]:
        """What this message says, if it is the main process's of a service; else None, and what is to be said of it."""
        try:
            message = parse(head.body)
        except Malformed as error:
            return None, f"ignored a notification from process {head.sender}: {error}"
        if has(message, "BARRIER", "1"):
            return None, ""  # nothing else counts beside it (sd_notify(3))
        if posix.getpid() != self.watched.pid:
            return self._judge_in_worker(head)
        known = self.services.get(head.sender)
        if known is not None and has_ended(known.pidfd):
            self.bury(known)
        if head.sender not in self.services:
            try:
                self.services[head.sender] = self.add(owner_of(head.sender, head.user, head.sent_ns))
            except Stranger as stranger:
                if head.sent_ns <= self.ended.get(head.sender, 0):
                    return None, ""  # a service's last words, of which nothing follows
                return None, f"ignored a notification from process {head.sender}, {stranger}"
        return message, ""

    def _judge_in_worker(self, head: Head) -> tuple[Assignments | None, str]:
        """What nobody wants, with descriptors, is dropped there; all else the process that watches deals with."""
        if head.sender in self.services or head.sender in self.ended:
            return LATER, ""
        try:
            posix.close(owner_of(head.sender, head.user, head.sent_ns).pidfd)
        except Stranger as stranger:
            return None, f"ignored a notification from process {head.sender}, {stranger}"
        except OSError:
            pass
        return LATER, ""

    def was_held_up(self) -> None:
        """Somebody sends what takes its time to be dropped: for a while nobody can send descriptors."""
        if self.refusing is None:
            self.watched.reporter.say("was held up by descriptors that somebody has sent to it: takes none for a while")
        keep_descriptors_out(self.socket)
        self.watched.loop.cancel(self.refusing)
        self.refusing = self.watched.loop.after(REFUSE_S, self._refuse_no_more)

    def _refuse_no_more(self) -> None:
        self.refusing = None
        keep_descriptors_out(self.socket, False)

    def forget(self, heard: Heard) -> None:
        """Its main process has ended."""
        del self.services[heard.pid]
        self.ended.pop(heard.pid, None)
        self.ended[heard.pid] = time_ns()
        if len(self.ended) > ENDED_MAX:
            del self.ended[next(iter(self.ended))]  # the oldest

    def heed(
        self,
        message: Assignments,
        sender: int,
        descriptors: "list[int] | None" = None,
        main: tuple[int, str] | None = None,
        is_carried: bool = False,
    ) -> None:
        """As the service's own ear does."""
        heard = self.services[sender]
        heard.facet.call(lambda: heard.voice.heed(message, sender))


def listening(path: bytes) -> _socket.socket:
    """A socket there, in the place of one that was left. To root's everybody may send. Raises OSError.

    Its folder is one in which nobody else can make anything.
    """
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    try:
        sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_PASSCRED, 1)  # we are told who sends
        sock.setsockopt(_socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)  # and when: no two messages are the same
        posix.rename(bind(sock, path, 0o177 if posix.geteuid() else 0o111), path)
    except OSError:
        sock.close()
        raise
    return sock
