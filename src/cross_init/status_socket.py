"""Where a watching process answers who asks how its service is; it costs nothing while nobody does.

It stands in a folder where only root, or the user, can make anything; where there is no such folder it has an abstract
name. Root and the user that the watching process runs as are answered, by the kernel's word for who asks.
"""

import _socket
import posix
from time import monotonic

from cross_init.acceptor import Acceptor
from cross_init.connection import credentials
from cross_init.linux import is_private

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.watched import Watched

ROOT_FOLDER = "/run/cross-init-status"
USER_FOLDER = "cross-init-status"  # in XDG_RUNTIME_DIR
ABSTRACT = b"\0cross-init-status/"
BACKLOG = 8


class StatusSocket:
    """One service's. Raises OSError where none can be had."""

    def __init__(self, watched: "Watched", shape: str) -> None:
        self.watched = watched
        self.shape = shape
        self.path = ""
        self.socket = _socket.socket(
            _socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK
        )
        folder = own_folder(make=True)
        name = f"{posix.getpid()}-{posix.urandom(6).hex()}"
        before = posix.umask(0o077)
        try:
            if folder:
                self.path = f"{folder}/{name}"
                self.socket.bind(self.path)
            else:
                self.socket.bind(ABSTRACT + name.encode())
            self.socket.listen(BACKLOG)
        except OSError:
            self.path = ""
            self.socket.close()
            raise
        finally:
            posix.umask(before)
        self.acceptor = Acceptor(watched.engine, self.socket, self._answer)

    def _answer(self, asker: _socket.socket) -> None:
        try:
            if credentials(asker.fileno())[1] in (0, posix.geteuid()):
                asker.setblocking(False)
                asker.send(self.describe().encode("utf-8", "backslashreplace"), _socket.MSG_NOSIGNAL)
        except OSError:
            pass  # it has gone
        finally:
            asker.close()

    def describe(self) -> str:
        """All that there is to say, KEY=VALUE a line; times in seconds."""
        watched, now = self.watched, monotonic()
        said: dict[str, object] = {
            "service": watched.service,
            "init": watched.init.name,
            "target": watched.start.target.name,
            "shape": self.shape,
            "pid": watched.pid,
            "state": watched.state,
            "since": f"{now - watched.since:.3f}",
            "age": f"{now - watched.began:.3f}",
            "waits_for": "" if watched.ready else " and ".join(watched.outstanding),
            "status": watched.status,
        }
        watchdog = watched.watchdog
        if watchdog is not None and watchdog.age is not None:
            said |= {"watchdog_age": f"{watchdog.age:.3f}", "watchdog_limit": f"{watchdog.limit:.3f}"}
        return "".join(f"{key}={str(value).translate(ONE_LINE)}\n" for key, value in said.items())

    def close(self) -> None:
        """Answer no more, and leave nothing."""
        self.acceptor.close()
        if self.path:
            try:
                posix.unlink(self.path)
            except OSError:
                pass


ONE_LINE = {10: " ", 13: " ", 0: " "}


def own_folder(make: bool) -> str:
    """Where this user's sockets stand, "" if there is no such place."""
    user = posix.geteuid()
    if user == 0:
        folder, mode = ROOT_FOLDER, 0o711
    else:
        base = posix.environ.get(b"XDG_RUNTIME_DIR", b"").decode("utf-8", "surrogateescape")
        if not base.startswith("/"):
            return ""
        folder, mode = f"{base}/{USER_FOLDER}", 0o700
    if make:
        try:
            posix.mkdir(folder, mode)
        except OSError:
            pass  # it is there, or cannot be: then the next question is answered with no
    return folder if is_private(folder, user) else ""
