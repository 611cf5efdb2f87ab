"""The holder: a small process that keeps a service's descriptors from one start of the daemon to the next.

It is started when there is the first one to keep, and ends when there is none left. Nothing wakes it but who asks it,
a descriptor that hangs up, and the end of the process that the init tracks. Then it lets go if the service was stopped
for good, which is the init's word; of an init that has none it waits GRACE_S for the next start.
"""

import _socket
import errno
import posix

from cross_init.bounds import as_count
from cross_init.errors import why
from cross_init.kernel.process_stat import process_stat
from cross_init.kernel.procfs import process_of
from cross_init.kernel.system_calls import same_open_file
from cross_init.readiness.receiving import FDS_MAX, numbers
from cross_init.sockets.connection import credentials
from cross_init.store.client import DONE, FOLLOW, LONGEST, ONE, POLLED, REMOVE, STORE, TAKE, UNPOLLED, from_keeper, send
from cross_init.watch.acceptor import Acceptor
from cross_init.watch.event_loop import EventLoop, pause
from cross_init.watch.untrusted import turn_away

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.offered import Cancellation
    from cross_init.store.client import HolderClient
    from cross_init.watch.event_loop import Timer

GRACE_S = 10.0  # for the next start, where the init cannot say whether there will be one
TRIES = 3  # before it counts as an init that does not let us know
PATIENCE_S = 1.0  # for who has connected and says nothing
SPARE = 24  # open files of its own, to listen, to answer and to ask


class Entry:
    """One descriptor. text: by what the init's own keeper knows it, "" if it does not have it."""

    __slots__ = ("fd", "name", "number", "polled", "text")

    def __init__(self, fd: int, name: str, polled: bool, number: int) -> None:
        self.fd = fd
        self.name = name
        self.polled = polled
        self.number = number
        self.text = f"{number}:{POLLED if polled else UNPOLLED}:{name}"


class Holder:
    """One service's descriptors, the newest first. pidfd: of the process that the init tracks; -1: it has ended.

    is_last: we were told to end, as everybody is when the machine goes down: let go as soon as that process has ended.
    """

    def __init__(self, loop: EventLoop, client: "HolderClient", listener: _socket.socket, pidfd: int) -> None:
        """Raises OSError when the init's own keeper has something and does not give it."""
        self.loop = loop
        self.client = client
        self.listener = listener
        self.entries: list[Entry] = []
        self.pidfd = self.parent = -1
        self.is_last = False
        self.news: Cancellation | None = None
        self.timer: Timer | None = None
        self.keeper = client.descriptor_holder()
        for name, fd, polled, number in reversed(from_keeper(client)):
            self._enter(Entry(fd, name, polled, number))
        Acceptor(loop, listener, self._serve)
        self.follow(pidfd)

    # What it is asked.

    def _serve(self, asker: _socket.socket) -> None:
        if credentials(asker.fileno())[1] not in (0, posix.geteuid()):
            turn_away(self.loop, asker)  # with all that he has sent, which is not received
            return
        try:
            asker.settimeout(PATIENCE_S)
            self._answer(asker)
        except (OSError, ValueError):
            pass  # it has gone, or was stopped
        finally:
            asker.close()
        if not self.entries:
            self.loop.stop()

    def _answer(self, asker: _socket.socket) -> None:
        room = _socket.CMSG_SPACE(4 * FDS_MAX)
        body, extra, flags, _ = asker.recvmsg(LONGEST, room, _socket.MSG_CMSG_CLOEXEC)
        given = [fd for _, kind, data in extra if kind == _socket.SCM_RIGHTS for fd in numbers(data)]
        verb, *words = body.split(b"\n")
        said = ""
        try:
            if verb == TAKE:
                for entry in self.entries:
                    send(asker, ONE + entry.name.encode(), (entry.fd,))
            elif verb == FOLLOW and given:
                self.follow(given.pop())
            elif verb == STORE and len(words) == 3:
                said = self._store(words[2].decode(), words[1].decode() == POLLED, as_count(words[0]) or 0, given)
                if flags & _socket.MSG_CTRUNC:
                    said = "cannot keep all of its descriptors: the limit on open files is reached"
            elif verb == REMOVE and len(words) == 1:
                self._remove([entry for entry in self.entries if entry.name == words[0].decode()])
        finally:
            for fd in given:
                posix.close(fd)
        send(asker, DONE + said.encode("utf-8", "replace"))

    def _store(self, name: str, polled: bool, most: int, given: list[int]) -> str:
        """Keep these, as systemd does (service_add_fd_store() there); returns what is to be said about it."""
        said = ""
        limit = max(posix.sysconf("SC_OPEN_MAX") - SPARE, 0)
        while given:
            if len(self.entries) >= min(most, limit):
                why = f"--fd-store {most}" if most <= limit else "the limit on open files"
                return f"cannot keep more than {min(most, limit)} descriptors ({why}): closing {len(given)}"
            fd = given.pop(0)
            if any(same_open_file(fd, entry.fd) for entry in self.entries):
                posix.close(fd)
                continue
            entry = Entry(fd, name, polled, max((each.number for each in self.entries), default=0) + 1)
            said = self._entrust(entry) or said
            self._enter(entry)
        return said

    def _entrust(self, entry: Entry) -> str:
        """Give it to the init's own keeper, if there is one; returns why that cannot be."""
        reason = ""
        if self.keeper is not None:
            try:
                if len(entry.text.encode()) > self.keeper.room:
                    raise OSError(errno.ENAMETOOLONG, posix.strerror(errno.ENAMETOOLONG))
                self.keeper.put(entry.text, entry.fd)
                return ""
            except OSError as error:
                reason = f"only the holder keeps {entry.name}, and not {self.client.init.called}: {why(error)}"
        entry.text = ""
        return reason

    def _enter(self, entry: Entry) -> None:
        self.entries.insert(0, entry)
        if entry.polled:
            self.loop.watch(entry.fd, lambda: self._hung_up(entry), 0)

    def _hung_up(self, entry: Entry) -> None:
        self._remove([entry])
        if not self.entries:
            self.loop.stop()

    def _remove(self, entries: list[Entry]) -> None:
        for entry in entries:
            self.entries.remove(entry)
            self.loop.forget(entry.fd)
            posix.close(entry.fd)
            if self.keeper is not None and entry.text:
                try:
                    self.keeper.drop(entry.text)
                except OSError:
                    pass  # it is gone there, and whoever keeps it then has been told by his own means

    # When it lets go.

    def follow(self, pidfd: int) -> None:
        """This is the process that the init tracks from now on; the pidfd is ours."""
        self._stop_waiting()
        self.is_last = False
        if self.pidfd >= 0:
            self.loop.forget(self.pidfd)
            posix.close(self.pidfd)
        if self.parent >= 0:
            posix.close(self.parent)
        self.pidfd = pidfd
        self.parent = parent_of(pidfd)
        self.loop.watch(pidfd, self._ended)

    def _ended(self) -> None:
        self.loop.forget(self.pidfd)
        posix.close(self.pidfd)
        self.pidfd = -1
        if self.is_last:
            self._let_go()
        else:
            self._find_out(0)

    def _find_out(self, tries: int) -> None:
        """Have the init let us know whether the service is to stay down."""
        try:
            self.news = self.client.init.stays_down(self.client.service, self.client.original)
        except Exception:  # of any kind, as what it is done by has to be loaded first
            if tries < TRIES:
                self.timer = self.loop.after(pause(tries + 1), lambda: self._find_out(tries + 1))
                return
        if self.news is None:
            self._grant_time()
            return
        self.loop.watch(self.news.fileno(), self._ask)
        if self.parent >= 0:
            self.loop.watch(self.parent, self._grant_time)
        self._ask()

    def _ask(self) -> None:
        """Whether the service is to stay down; asked at once, as nothing may change any more, and at each change."""
        assert self.news is not None
        try:
            if self.news.is_stop():
                self._let_go()
        except BlockingIOError:
            pass
        except OSError:
            self._grant_time()

    def _grant_time(self) -> None:
        """Nobody can say, or nobody any more, as the supervisor is gone: let go if there is no next start soon."""
        self._stop_waiting()
        self.timer = self.loop.after(GRACE_S, self._let_go)

    def _let_go(self) -> None:
        self._remove(list(self.entries))
        self.loop.stop()

    def told_to_end(self) -> None:
        """SIGTERM has come."""
        self.is_last = True
        if self.pidfd < 0:
            self._let_go()

    def _stop_waiting(self) -> None:
        self.loop.cancel(self.timer)
        self.timer = None
        if self.parent >= 0:
            self.loop.forget(self.parent)
        if self.news is not None:
            self.loop.forget(self.news.fileno())
            self.news.close()
            self.news = None


def parent_of(pidfd: int) -> int:
    """A pidfd of the parent of this pidfd's process; -1 if it has none that can end before us."""
    pid = process_of(pidfd) or 0
    parent = int((process_stat(pid) or ["", "0"])[1])
    try:
        return posix.pidfd_open(parent) if parent > 1 else -1
    except OSError:
        return -1
