"""The notification socket that we offer to a daemon: where it stands, who can reach it, and how it goes away.

While a watcher lives, the socket has a path, in a folder where nobody but us (and root) can make or move things: nobody
else can ever offer a socket under that path, not even after the watcher was killed. The folder can be passed through by
everybody (0711) and the socket written to (0777), since the daemon may change its user before it is ready; whose
messages count is decided by their kernel-given credentials.

A daemon that changes its root (chroot(2)) does not find that path, and one that changes its network namespace no
abstract name: --notify-socket chooses between the two, and out_of_reach.py sees who needs it.

When no process of ours is to remain (--end-after-ready) nobody could remove a path. There the socket has an abstract
name (unix(7)), which the kernel frees when the last process that holds the socket, the daemon, has ended. The same
where no folder can be had.
"""

import _socket
import posix

from cross_init.errors import Failure
from cross_init.kernel.linux import SO_TIMESTAMPNS, Environment, is_private
from cross_init.model import Channel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.readiness.notification import Listener
    from cross_init.readiness.subject import Subject

ROOT_FOLDER = "/run/cross-init"
BEGINNING = "cross-init-"  # of the names of these sockets
# Their ends: while they are being bound, when nobody seems to have them open, and then. Of one length, so that what
# could be bound can be reached. The rest differs as well: the kernel shows the name that was bound to everybody
# (/proc/net/unix), and whoever does not know the other one reaches nobody.
UNBOUND, BOUND = ".socket", ".notify"
HOLDER = "cross-init."  # how the names of the sockets begin at which descriptors are kept (store/)
WATCHED = "watched-"  # and of the folders by which a start knows of its predecessor's watcher (watch/predecessor.py)
OUT_OF_THE_WAY = 200  # where a daemon holds the socket for --end-after-ready: above what daemons use by number


class NotifyChannel(Channel):
    """A notification socket for one daemon.

    leaving: the daemon is to keep it open itself, as no watcher will. where: its name has to be a "path" or
    "abstract"; "": as it fits. Raises OSError, Failure.
    """

    lasting = True
    kind = "notify"
    carried = ("leaving", "path", "variable")
    tidies = True  # what watchers have left that were killed

    def __init__(self, leaving: bool, where: str = "") -> None:
        self.leaving: bool = leaving
        self.listener: Listener | None = None
        self.socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
        self.socket.setsockopt(_socket.SOL_SOCKET, _socket.SO_PASSCRED, 1)  # we are told who sends
        self.socket.setsockopt(_socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)  # and when: no two messages are the same
        self.path, self.variable = bind(self.socket, leaving or where == "abstract")
        if where == "path" and not self.path:
            folder = "this user's own XDG_RUNTIME_DIR" if posix.geteuid() else ROOT_FOLDER
            raise Failure(
                f"--notify-socket path: it needs a folder in which nobody else may write, {folder}: make it, or leave "
                "the option out"
            )
        self.resume()

    @classmethod
    def again(cls, fd: int) -> "NotifyChannel":
        """One that another process has made. fd: of the socket. Raises OSError."""
        channel = cls.__new__(cls)
        channel.socket = _socket.socket(fileno=fd)
        channel.leaving, channel.path, channel.variable, channel.listener = False, "", b"", None
        channel.tidies = False
        return channel

    def disown(self) -> None:
        """The socket would be closed with this object."""
        self.socket.detach()

    def resume(self) -> None:
        """What the socket, its path and its name make up."""
        self.descriptors = (self.socket.fileno(),)
        self.mark = b"NOTIFY_SOCKET=" + self.variable

    def expose(self, environ: Environment) -> None:
        """NOTIFY_SOCKET; and the socket itself, if it is to outlive us."""
        environ.pop(b"NOTIFY_SOCKET", None)
        others = dict(environ)
        environ.clear()
        environ[b"NOTIFY_SOCKET"] = self.variable  # at the beginning (kernel/procfs.py, variables())
        environ.update(others)
        if self.leaving:
            from fcntl import F_DUPFD, fcntl

            try:
                fcntl(self.socket.fileno(), F_DUPFD, OUT_OF_THE_WAY)
            except OSError:  # the limit on open files is lower than that
                fcntl(self.socket.fileno(), F_DUPFD, 3)

    def attach(self, watched: "Subject") -> None:
        """Listen; and now that the daemon need not wait for it, tidy up after watchers that were killed."""
        from cross_init.readiness.notification import Listener
        from cross_init.readiness.out_of_reach import Reach

        watched.observe_as_well(Reach(self.path))
        self.listener = Listener(watched, self.socket, watched.notify_access, self.variable, bool(self.path))
        if self.path and self.tidies:
            from cross_init.readiness.sweeping import sweep

            sweep(self.path.rpartition("/")[0])

    def catch_up(self) -> None:
        """It may have named its successor as its last words."""
        if self.listener is not None:
            self.listener.catch_up()

    def can_leave(self, pid: int) -> bool:
        """Only if the daemon holds the socket: one that has closed what it did not know would lose it with us."""
        return self.listener is not None and self.listener.is_held_by(pid)

    def leave(self) -> None:
        """Make it a black hole."""
        if self.listener is not None:
            self.listener.silence()

    def let_go(self) -> None:
        """Close our descriptor of it; what is in its queue stays for the other one."""
        if self.listener is not None:
            self.listener.workers.close_door()
        self.socket.close()

    def close(self) -> None:
        """Take in what is left, and remove the path."""
        self._remove()
        if self.listener is not None:
            self.listener.close()

    def discard(self) -> None:
        """Remove the path."""
        self._remove()
        self.socket.detach()  # closed with our end: what is in its queue may hold up who closes it (worker.py)

    def _remove(self) -> None:
        if self.path:
            try:
                posix.unlink(self.path)
            except OSError:
                pass  # gone already


def bind(sock: _socket.socket, abstract: bool) -> tuple[str, bytes]:
    """Give the socket an address: returns its path ("" if it has none), and the address as NOTIFY_SOCKET has it.

    abstract: it must be no path. Raises OSError.
    """
    base = "" if abstract else socket_folder()
    shown, name = posix.urandom(12).hex(), posix.urandom(12).hex()
    if base:
        unbound, path = f"{base}/{BEGINNING}{shown}{UNBOUND}", f"{base}/{BEGINNING}{name}{BOUND}"
        before = posix.umask(0)
        try:
            sock.bind(unbound)
            posix.rename(unbound, path)  # a socket is found by its inode
        except OSError:  # too long a path for a socket (unix(7)), or no room
            pass
        else:
            return path, path.encode("utf-8", "surrogateescape")
        finally:
            posix.umask(before)
    address = f"cross-init/{name}"
    sock.bind(f"\0{address}")
    return "", b"@" + address.encode()


def socket_folder() -> str:
    """A folder in which only we and root can make, rename and remove things; "" if there is none."""
    user = posix.geteuid()
    if user:
        folder = posix.environ.get(b"XDG_RUNTIME_DIR", b"").decode("utf-8", "surrogateescape")
        return folder if folder.startswith("/") and is_private(folder, user) else ""
    if not is_private(ROOT_FOLDER, user):
        try:
            posix.mkdir(ROOT_FOLDER, 0o711)
            posix.chmod(ROOT_FOLDER, 0o711)  # whatever the umask is
        except OSError:  # perhaps as another start has made it meanwhile
            return ROOT_FOLDER if is_private(ROOT_FOLDER, user) else ""
    return ROOT_FOLDER
