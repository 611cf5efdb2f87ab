"""The notification socket that we offer to a daemon: where it stands, who can reach it, and how it goes away.

While a watcher lives, the socket has a path, in a folder of its own below one where nobody but us (and root) can make
or move things: nobody else can ever offer a socket under that path, not even after the watcher was killed. The folder
can be passed through by everybody (0711) and the socket written to (0777), since the daemon may change its user before
it is ready; whose messages count is decided by their kernel-given credentials.

When no process of ours is to remain (--end-after-ready) nobody could remove a path. There the socket has an abstract
name (unix(7)), which the kernel frees when the last process that holds the socket, the daemon, has ended. The same
where no folder can be had.
"""

import _socket
import errno
import posix
from time import time

from cross_init.linux import is_private
from cross_init.model import Channel, Environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.readiness.notification import Listener
    from cross_init.watched import Watched

ROOT_FOLDER = "/run/cross-init"
FILE = "notify"
HOLDER = "cross-init."  # how the names of the sockets begin at which descriptors are kept (store/)
OUT_OF_THE_WAY = 200  # where a daemon holds the socket for --end-after-ready: above what daemons use by number
UNFINISHED_S = 60  # how old a folder without a socket is, in seconds, before it counts as left behind


class Address:
    """Where the socket is: a path, or (folder "") an abstract name. variable: the value of NOTIFY_SOCKET."""

    __slots__ = ("folder", "variable")

    def __init__(self, folder: str, variable: bytes) -> None:
        self.folder = folder
        self.variable = variable

    def remove(self) -> None:
        """Remove the path, if it is one; what is gone already is no error."""
        if self.folder:
            for remove, path in ((posix.unlink, f"{self.folder}/{FILE}"), (posix.rmdir, self.folder)):
                try:
                    remove(path)
                except OSError:
                    pass


class NotifyChannel(Channel):
    """A notification socket for one daemon. leaving: the daemon is to keep it open itself, as no watcher will."""

    lasting = True

    def __init__(self, leaving: bool) -> None:
        self.leaving = leaving
        self.socket, self.address = make(leaving)
        self.descriptors = (self.socket.fileno(),)
        self.listener: Listener | None = None

    def expose(self, environ: Environment) -> None:
        """NOTIFY_SOCKET; and the socket itself, if it is to outlive us."""
        environ[b"NOTIFY_SOCKET"] = self.address.variable
        if self.leaving:
            from fcntl import F_DUPFD, fcntl

            try:
                fcntl(self.socket.fileno(), F_DUPFD, OUT_OF_THE_WAY)
            except OSError:  # the limit on open files is lower than that
                fcntl(self.socket.fileno(), F_DUPFD, 3)

    def attach(self, watched: "Watched") -> None:
        """Listen; and now that the daemon need not wait for it, tidy up after watchers that were killed."""
        from cross_init.readiness.notification import Listener

        self.listener = Listener(watched, self.socket, watched.start.wish.notify_access)
        sweep(self.address)

    def catch_up(self) -> None:
        """It may have named its successor as its last words."""
        if self.listener is not None:
            self.listener.hear()

    def can_leave(self, pid: int) -> bool:
        """Only if the daemon holds the socket: one that has closed what it did not know would lose it with us."""
        return self.listener is not None and self.listener.is_held_by(pid)

    def leave(self) -> None:
        """Make it a black hole."""
        if self.listener is not None:
            self.listener.silence()
            self.listener.close()

    def close(self) -> None:
        """Take in what is left, and remove the path."""
        self.address.remove()
        if self.listener is not None:
            self.listener.close()

    def discard(self) -> None:
        """Remove the path."""
        self.address.remove()
        self.socket.close()


def make(abstract: bool) -> tuple[_socket.socket, Address]:
    """A bound datagram socket that is told who sends (SO_PASSCRED). abstract: it must leave no path. Raises OSError."""
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_PASSCRED, 1)
    base = "" if abstract else own_base()
    if base:
        folder = _new_folder(base)
        if folder:
            path = f"{folder}/{FILE}"
            before = posix.umask(0)
            try:
                sock.bind(path)
            except OSError:  # too long a path for a socket (unix(7)), or no room
                Address(folder, b"").remove()
            else:
                return sock, Address(folder, path.encode("utf-8", "surrogateescape"))
            finally:
                posix.umask(before)
    while True:
        name = f"cross-init/{_random()}"
        try:
            sock.bind("\0" + name)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            continue
        return sock, Address("", b"@" + name.encode())


def _random() -> str:
    return posix.urandom(12).hex()


def own_base() -> str:
    """A folder in which only we and root can make, rename and remove things; "" if there is none."""
    user = posix.geteuid()
    if user == 0:
        try:
            posix.mkdir(ROOT_FOLDER, 0o711)
            posix.chmod(ROOT_FOLDER, 0o711)  # whatever the umask is
        except FileExistsError:
            pass
        except OSError:
            return ""
        return ROOT_FOLDER if is_private(ROOT_FOLDER, user) else ""
    folder = posix.environ.get(b"XDG_RUNTIME_DIR", b"").decode("utf-8", "surrogateescape")
    return folder if folder.startswith("/") and is_private(folder, user) else ""


def _new_folder(base: str) -> str:
    """A new folder of ours in base; "" if none can be made."""
    while True:
        folder = f"{base}/cross-init-{_random()}"
        try:
            posix.mkdir(folder, 0o711)
            posix.chmod(folder, 0o711)
        except FileExistsError:
            continue
        except OSError:
            return ""
        return folder


def sweep(address: Address) -> None:
    """Remove what killed watchers left beside this address: folders with a socket that nobody has open any more."""
    base = address.folder.rpartition("/")[0]
    if not base:
        return
    try:
        names = posix.listdir(base)
    except OSError:
        return  # not readable for the user that we are; another start sweeps
    for name in names:
        if name.startswith("cross-init-") and _is_abandoned(f"{base}/{name}"):
            Address(f"{base}/{name}", b"").remove()
        elif name.startswith(HOLDER):
            _sweep_holder(f"{base}/{name}")


def _sweep_holder(path: str) -> None:
    """Remove the socket of a holder that was killed; it is not a new one's that is about to listen."""
    probe = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
    try:
        if time() - posix.stat(path).st_mtime > UNFINISHED_S:
            probe.connect(path)
    except ConnectionRefusedError:
        posix.unlink(path)
    except OSError:
        pass  # gone, or none of ours
    finally:
        probe.close()


def _is_abandoned(folder: str) -> bool:
    probe = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    try:
        probe.connect(f"{folder}/{FILE}")
    except ConnectionRefusedError:
        return True
    except FileNotFoundError:  # killed before it had its socket, or another start that is about to bind it
        try:
            return time() - posix.stat(folder).st_mtime > UNFINISHED_S
        except OSError:
            return False  # just now removed by its own watcher
    except OSError:
        return False  # none of ours
    finally:
        probe.close()
    return False
