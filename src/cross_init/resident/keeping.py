"""The resident's side of the deposit: what has to outlive it, said as soon as it is so."""

import _signal
import _socket
import posix
from time import monotonic

from cross_init.readiness.receiving import FDS_MAX, numbers
from cross_init.resident.deposit import CLOSE, DROP, END, NOTE, PUT, SAID, TAKE, parts, start
from cross_init.resident.kept import LONGEST, Kept
from cross_init.resident.meanwhile import parted
from cross_init.sockets.connection import credentials
from cross_init.store.client import send

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.resident.init_store import InitStore

PATIENCE_S = 2.0  # with a deposit that was stopped
ID = 8  # bytes, which are written as twice as many letters


class Deposit:
    """The connection to it. path: where it listens. store: what our init keeps beside it, if it does."""

    def __init__(self, path: bytes, sock: _socket.socket, store: "InitStore | None") -> None:
        self.path = path
        self.socket = sock
        self.store = store

    @property
    def pid(self) -> int:
        """Of its process."""
        return credentials(self.socket.fileno())[0]

    def fileno(self) -> int:
        """What hangs up when it has ended."""
        return self.socket.fileno()

    def renew(self) -> None:
        """It has ended, or is stopped: start another one, which has nothing. Raises OSError."""
        try:
            pidfd = posix.pidfd_open(self.pid)
            _signal.pidfd_send_signal(pidfd, _signal.SIGKILL)  # it listens there, so its number is its own
            posix.close(pidfd)
        except OSError:
            pass  # it has ended
        self.socket.close()
        try:
            posix.unlink(self.path)
        except FileNotFoundError:
            pass
        self.socket = connect(self.path)

    def take(self) -> dict[str, Kept]:
        """All that an earlier resident has left. Raises OSError."""
        found = self._take()
        if self.store is not None:
            missing = self.store.take(found)
            for name, kept in missing.items():
                gone = [at for at, fd in enumerate(kept.fds) if fd < 0]
                there = max(kept.fds)  # a descriptor that is open, in the places of those that are not
                send(self.socket, PUT + name.encode() + kept.data, tuple(fd if fd >= 0 else there for fd in kept.fds))
                send(self.socket, CLOSE + name.encode() + bytes([len(gone), *gone]) + kept.state)
            found |= missing
        return found

    def _take(self) -> dict[str, Kept]:
        """What the deposit has of that. Raises OSError."""
        found: dict[str, Kept] = {}
        send(self.socket, TAKE)
        end = monotonic() + 10 * PATIENCE_S
        while monotonic() < end:
            room = _socket.CMSG_SPACE(4 * FDS_MAX)
            body, extra, _, _ = self.socket.recvmsg(LONGEST, room, _socket.MSG_CMSG_CLOEXEC)
            verb, name, data = body[:1], body[1 : 1 + 2 * ID].decode("ascii", "replace"), body[1 + 2 * ID :]
            if verb == END:
                return found
            if not body:
                raise ConnectionResetError(104, "it has ended")
            if verb == PUT:
                found[name] = Kept(data, [fd for _, _, given in extra for fd in numbers(given)])
            elif verb == CLOSE:
                gone, found[name].state = parts(data)
                for at in gone:
                    found[name].fds.insert(at, -1)
            elif verb == NOTE:
                found[name].state = data
            elif verb == SAID:
                found[name].said.append(parted(data))
        raise TimeoutError(110, "it does not say all")

    def put(self, name: str, data: bytes, fds: list[int]) -> None:
        """Keep this from now on. Raises OSError."""
        send(self.socket, PUT + name.encode() + data, tuple(fds))
        if self.store is not None:
            self.store.put(name, data, fds)

    def note(self, name: str, state: bytes) -> None:
        """What is known of it. Raises OSError."""
        if self.store is not None:
            self.store.note(name, state)
        send(self.socket, NOTE + name.encode() + state)

    def close(self, name: str, data: bytes, fds: list[int], places: list[int], state: bytes) -> None:
        """The same; and of its descriptors those in these places are needed no longer. Raises OSError."""
        if self.store is not None:
            self.store.put(name, data, [-1 if at in places else fd for at, fd in enumerate(fds)])
            self.store.note(name, state)
        send(self.socket, CLOSE + name.encode() + bytes([len(places), *places]) + state)

    def drop(self, name: str) -> None:
        """Keep it no longer. Raises OSError."""
        if self.store is not None:
            self.store.drop(name)
        send(self.socket, DROP + name.encode())


def connect(path: bytes) -> _socket.socket:
    """A connection to the deposit there, which is started if there is none. Raises OSError."""
    try:
        return connected(path)
    except (FileNotFoundError, ConnectionRefusedError):
        start(path)
        return connected(path)


def connected(path: bytes) -> _socket.socket:
    """A connection to our user's deposit there. Raises OSError."""
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
    try:
        sock.settimeout(PATIENCE_S)
        sock.connect(path)
        if credentials(sock.fileno())[1] != posix.geteuid():
            raise PermissionError(1, "another user's process listens where ours should")
    except OSError:
        sock.close()
        raise
    return sock
