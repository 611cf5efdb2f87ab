"""What the init that has started the resident keeps for it (FDSTORE=1, sd_notify(3)): systemd, or a bridge of ours
with --fd-store, which has an s6-fdholderd where it was told so.

With that the resident and its deposit may both be killed at once. For each service one descriptor is kept: a socket in
whose queue stands all that the deposit has of it, its description and its descriptors, and with these a file in memory
for what is noted of it since. What stands there is looked at and never taken off, so it stays, whoever ends.
"""

import _socket
import posix
import sys
from _blake2 import blake2s

from cross_init.bounds import number
from cross_init.errors import print_error, why
from cross_init.readiness.receiving import FDS_MAX, numbers
from cross_init.resident.asking import new_file
from cross_init.resident.kept import LONGEST, Kept
from cross_init.store.client import send

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.watch.event_loop import EventLoop

FIRST = 3  # the first descriptor that is passed (sd_listen_fds(3))
MOST = 1 << 20
PAUSE_S = 0.05  # until an init that takes nothing just now is asked again
SUM = 8  # bytes
SPARE = 64  # open files for everything else


class InitStore:
    """That of one init. address: where it is told; most: how many descriptors it keeps. files: by service, see there.

    unsent: what it did not take yet, each with a descriptor that goes with it, -1 for none.
    """

    def __init__(self, loop: "EventLoop", address: bytes, most: int) -> None:
        self.loop = loop
        self.address = address
        self.most = most
        self.files: dict[str, int] = {}
        self.unsent: list[tuple[bytes, int]] = []
        self.said = ""
        self.socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK)

    def take(self, known: "dict[str, Kept]") -> "dict[str, Kept]":
        """What it has passed to us, of which the deposit knows nothing. known: what that one has. Raises OSError."""
        found: dict[str, Kept] = {}
        for name, fd in passed():
            try:
                kept, self.files[name], given_up = look_at(fd, is_whole=name not in known)
            except (OSError, ValueError):
                self._forget(name)  # it is none of ours
                continue
            finally:
                posix.close(fd)
            if kept is not None:
                kept.state = read_state(self.files[name])
                found[name] = kept
            elif given_up != known[name].fds.count(-1):
                posix.close(self.files.pop(name))  # the deposit knows more
        for name, kept in known.items():
            if name not in self.files:
                self.put(name, kept.data, kept.fds)
                self.note(name, kept.state)
        return found

    def put(self, name: str, data: bytes, fds: list[int]) -> None:
        """Keep this from now on, instead of what is kept of it. fds: -1 for those that were given up."""
        if name not in self.files and len(self.files) >= self.most:
            self._say(f"it keeps {self.most} descriptors, and no more")
            return
        try:
            if name not in self.files:
                self.files[name] = new_file()
            ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
            try:
                gone = bytes(at for at, fd in enumerate(fds) if fd < 0)
                there = (self.files[name], *(fd for fd in fds if fd >= 0))
                send(ours, bytes((len(gone),)) + gone + data, there)
            finally:
                ours.close()
        except OSError as error:
            self._say(why(error))
            return
        self._forget(name)
        self._send(b"FDSTORE=1\nFDNAME=%b\nFDPOLL=0" % name.encode(), theirs.detach())

    def note(self, name: str, state: bytes) -> None:
        """What is known of it."""
        file = self.files.get(name, -1)
        if file >= 0:
            try:
                posix.pwrite(file, len(state).to_bytes(4, "little") + digest(state) + state, 0)
            except OSError as error:
                self._say(why(error))

    def drop(self, name: str) -> None:
        """Keep it no longer."""
        file = self.files.pop(name, -1)
        if file >= 0:
            posix.close(file)
            self._forget(name)

    def _forget(self, name: str) -> None:
        self._send(b"FDSTOREREMOVE=1\nFDNAME=%b" % name.encode(), -1)

    def _send(self, message: bytes, fd: int) -> None:
        """Say this when what was said before is said. The descriptor is ours to close."""
        self.unsent.append((message, fd))
        if len(self.unsent) == 1:
            self._go_on()

    def _go_on(self) -> None:
        """Say as much as is taken just now."""
        while self.unsent:
            message, fd = self.unsent[0]
            rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, fd.to_bytes(4, sys.byteorder))] if fd >= 0 else []
            try:
                self.socket.sendmsg([message], rights, _socket.MSG_NOSIGNAL, self.address)
            except BlockingIOError:
                self.loop.after(PAUSE_S, self._go_on)
                return
            except OSError as error:
                self._say(why(error))
            del self.unsent[0]
            if fd >= 0:
                posix.close(fd)

    def _say(self, text: str) -> None:
        if text != self.said:
            self.said = text
            print_error(
                f"having services kept by who has started us (FDSTORE=1): {text}; they are kept beside us alone", 0
            )


def offered(loop: "EventLoop", files: int) -> InitStore | None:
    """That of who has started us, if there is one: it says so in FDSTORE (systemd.exec(5)).

    files: how many open files the next one is started with. systemd starts none that it has to pass more.
    """
    given = posix.environ
    address = given.get(b"NOTIFY_SOCKET", b"")
    most = number(given.get(b"FDSTORE", b"").decode("latin-1"), 1, MOST)
    if most is None or files <= SPARE or address[:1] not in (b"/", b"@"):
        return None
    return InitStore(loop, b"\0" + address[1:] if address[:1] == b"@" else address, min(most, files - SPARE))


def passed() -> list[tuple[str, int]]:
    """The descriptors that we were passed, each with its name; nobody else is to take them for his."""
    given = {name: posix.environ.pop(name, b"").decode("latin-1") for name in (b"LISTEN_PID", b"LISTEN_FDS")}
    names = posix.environ.pop(b"LISTEN_FDNAMES", b"").decode("latin-1").split(":")
    count = number(given[b"LISTEN_FDS"], 1, MOST)
    if count is None or given[b"LISTEN_PID"] != str(posix.getpid()) or len(names) != count:
        return []
    return [(name, FIRST + at) for at, name in enumerate(names)]


def look_at(socket: int, is_whole: bool) -> "tuple[Kept | None, int, int]":
    """What stands in its queue: all of it, if that is asked for; the file; how many descriptors were given up.

    Raises OSError, ValueError.
    """
    room = _socket.CMSG_SPACE(4 * FDS_MAX) if is_whole else _socket.CMSG_LEN(4)
    flags = _socket.MSG_PEEK | _socket.MSG_DONTWAIT | _socket.MSG_CMSG_CLOEXEC
    sock = _socket.socket(fileno=socket)
    try:
        body, extra, _, _ = sock.recvmsg(LONGEST if is_whole else 1, room, flags)
    finally:
        sock.detach()
    file, *fds = [fd for _, kind, given in extra if kind == _socket.SCM_RIGHTS for fd in numbers(given)]
    count = body[0]
    if not is_whole:
        return None, file, count
    for at in body[1 : 1 + count]:
        fds.insert(at, -1)
    return Kept(body[1 + count :], fds), file, count


def read_state(file: int) -> bytes:
    """What was noted last; b"" if nothing was, or not to its end."""
    head = posix.pread(file, 4 + SUM, 0)
    state = posix.pread(file, int.from_bytes(head[:4], "little"), 4 + SUM)
    return state if digest(state) == head[4:] else b""


def digest(state: bytes) -> bytes:
    """By which it is seen that all of it was written."""
    return blake2s(state, digest_size=SUM).digest()
