"""Where a watching process answers who asks how its service is; it costs nothing while nobody does.

It stands in a folder where only root, or the user, can make anything; where there is no such folder it has an abstract
name. Root and the user that the watching process runs as are answered, by the kernel's word for who asks.
"""

import _socket
import posix
from select import POLLOUT
from time import monotonic

from cross_init.kernel.folders import HERE, KIND, SOCKET, names, open_folder, private_folder
from cross_init.kernel.procfs import is_marked_by_living, own_mark, process_owner
from cross_init.sockets.connection import credentials
from cross_init.watch.acceptor import Acceptor
from cross_init.watch.untrusted import keep_descriptors_out, let_go

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from cross_init.model import Init, Service
    from cross_init.watch.event_loop import EventLoop
    from cross_init.watch.wire import Value

    class Watchdog(Protocol):
        """Counts signs of life."""

        limit: float

        @property
        def age(self) -> float | None:
            """Seconds since the last one."""

    class Asked(Protocol):
        """The service that is asked for; watch.watched.Watched says what each of these is."""

        loop: EventLoop
        init: Init
        service: Service
        pid: int
        state: str
        status: str
        since: float
        began: float
        ready: bool
        outstanding: list[str]

        @property
        def target(self) -> str:
            """The name of the init that its daemon was written for."""

        @property
        def watchdog(self) -> Watchdog | None:
            """Who counts its signs of life."""


ROOT_BASE, USERS_BASE = "/run", "/run/user"
FOLDER = "cross-init-status"  # in root's base, or in XDG_RUNTIME_DIR
ABSTRACT = b"\0cross-init-status/"
BACKLOG = 8
PATIENCE_S = 2.0  # with who takes a long answer
TEXT_MAX = 4096  # characters of each text: all together go into a socket's buffer at once
MOST = 10_000  # sockets in our own folder that are looked at


class StatusSocket:
    """A watching process's. say: what there is to say. Raises OSError where none can be had."""

    def __init__(self, loop: "EventLoop", say: "Callable[[], bytes]") -> None:
        self.loop = loop
        self.say = say
        self.name = own_mark() + posix.urandom(6).hex()
        self.socket = _socket.socket(
            _socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK
        )
        try:
            self.has_path = self._bind()
            keep_descriptors_out(self.socket)
            self.socket.listen(BACKLOG)  # at once: until then others may take it for one that was left
            if self.has_path:
                folder = own_folder(make=False)
                try:
                    sweep(folder)
                finally:
                    posix.close(folder)
        except OSError:
            self.socket.close()
            raise
        self.acceptor = Acceptor(loop, self.socket, self._answer)

    def _bind(self) -> bool:
        """Give the socket its address; returns whether that is a path. Raises OSError."""
        before = posix.umask(0o077)
        try:
            folder = own_folder(make=True)
            try:
                self.socket.bind(f"/proc/self/fd/{folder}/{self.name}")
            finally:
                posix.close(folder)
        except OSError:
            self.socket.bind(ABSTRACT + self.name.encode())
            return False
        finally:
            posix.umask(before)
        return True

    def _answer(self, asker: _socket.socket) -> None:
        try:
            if credentials(asker.fileno())[1] in (0, posix.geteuid()):
                asker.setblocking(False)
                said = self.say()
                sent = asker.send(said, _socket.MSG_NOSIGNAL)
                if sent < len(said):
                    Rest(self.loop, asker, said[sent:])
                    return
        except OSError:
            pass  # it has gone
        let_go(self.loop, asker)

    def close(self) -> None:
        """Answer no more, and leave nothing."""
        # Who has connected and was not let in yet may be a stranger: the socket itself ends with this process.
        self.acceptor.stop()
        self.socket.detach()
        if self.has_path:
            try:
                folder = own_folder(make=False)
                try:
                    posix.unlink(self.name, dir_fd=folder)
                finally:
                    posix.close(folder)
            except OSError:
                pass  # it has gone, and the folder with it


class Rest:
    """What does not go into a socket's buffer at once, as it is of many services: said as it is taken."""

    def __init__(self, loop: "EventLoop", asker: _socket.socket, left: bytes) -> None:
        self.loop = loop
        self.asker = asker
        self.left = left
        self.timer = loop.after(PATIENCE_S, self._end)
        loop.watch(asker.fileno(), self._go_on, POLLOUT)

    def _go_on(self) -> None:
        try:
            self.left = self.left[self.asker.send(self.left, _socket.MSG_NOSIGNAL) :]
        except BlockingIOError:
            return
        except OSError:
            self.left = b""  # it has gone
        if not self.left:
            self._end()

    def _end(self) -> None:
        self.loop.cancel(self.timer)
        self.loop.forget(self.asker.fileno())
        let_go(self.loop, self.asker)


def describe(watched: "Asked", shape: str) -> "dict[str, Value]":
    """All that there is to say of a service; times in seconds."""
    now = monotonic()
    said: dict[str, Value] = {
        "service": str(watched.service),
        "init": watched.init.name,
        "target": watched.target,
        "shape": shape,
        "pid": watched.pid,
        "state": watched.state,
        "since": round(now - watched.since, 3),
        "age": round(now - watched.began, 3),
        "waits_for": "" if watched.ready else " and ".join(watched.outstanding),
        "status": watched.status,
    }
    if (user := process_owner(watched.pid)) >= 0:
        said["daemon_user"] = user
    watchdog = watched.watchdog
    if watchdog is not None and watchdog.age is not None:
        said |= {"watchdog_age": round(watchdog.age, 3), "watchdog_limit": float(watchdog.limit)}
    return {key: value[:TEXT_MAX] if isinstance(value, str) else value for key, value in said.items()}


def own_folder(make: bool) -> int:
    """A descriptor of the folder in which this user's sockets stand. Raises OSError if there is no such folder."""
    user = posix.geteuid()
    base = posix.environ.get(b"XDG_RUNTIME_DIR", b"").decode("utf-8", "surrogateescape") if user else ROOT_BASE
    if not base.startswith("/"):
        raise FileNotFoundError(2, "XDG_RUNTIME_DIR names no folder")
    inside = open_folder(base)
    try:
        if make:
            try:
                posix.mkdir(FOLDER, 0o700, dir_fd=inside)
            except FileExistsError:
                pass
        return private_folder(FOLDER, user, inside)
    finally:
        posix.close(inside)


def sweep(folder: int) -> None:
    """Remove from our own folder what processes have left that were killed."""
    try:
        found = names(folder, MOST)
    except OSError:
        return  # another start sweeps
    for name in found:
        if not is_marked_by_living(name):
            try:
                connect_checked(folder, name, posix.geteuid()).close()  # one of another PID namespace is still there
            except ConnectionRefusedError:
                remove(folder, name)
            except OSError:
                pass


def remove(folder: int, name: str) -> None:
    """Remove this from our own folder."""
    try:
        posix.unlink(name, dir_fd=folder)
    except OSError:
        pass  # somebody was faster


def connect_checked(folder: int, name: str, user: int) -> _socket.socket:
    """A connection to who listens at this socket of this user's, in a folder of his; it never waits.

    Raises BlockingIOError if it would have to, ConnectionRefusedError if nobody listens any more, and OSError.
    """
    found = posix.open(name, HERE, dir_fd=folder)
    try:
        status = posix.fstat(found)
        if status.st_mode & KIND != SOCKET or status.st_uid != user:
            raise PermissionError(1, "it is no socket of that user's")
        return connected(f"/proc/self/fd/{found}")  # the very thing that was looked at
    finally:
        posix.close(found)


def connected(address: str | bytes) -> _socket.socket:
    """A connection to this address; raises what connect_checked() raises."""
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK)
    try:
        sock.connect(address)
    except BaseException:
        sock.close()  # nobody is at its other end
        raise
    return sock
