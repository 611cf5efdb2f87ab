"""Where a notification socket stands: a path in a folder that only we can make things in, or an abstract name."""

import _socket
import posix

from cross_init.kernel.linux import is_private

ROOT_FOLDER = "/run/cross-init"
BEGINNING = "cross-init-"  # of the names of these sockets
# Their ends: while they are being bound, when nobody seems to have them open, and then. Of one length, so that what
# could be bound can be reached. The rest differs as well: the kernel shows the name that was bound to everybody
# (/proc/net/unix), and whoever does not know the other one reaches nobody.
UNBOUND, BOUND = ".socket", ".notify"
HOLDER = "cross-init."  # how the names of the sockets begin at which descriptors are kept (store/)
SO_TIMESTAMPNS = 35  # socket(7); asm-generic/socket.h: the same number on every architecture that Python is built for


def let_go(sock: _socket.socket) -> None:
    """Be done with the socket, and leave its descriptor to our end.

    To close it drops what is in its queue, with the descriptors in that, for which a process may have to wait
    (porter.py); one that ends waits for no connection that lingers.
    """
    sock.detach()


def bind(sock: _socket.socket, abstract: bool) -> tuple[str, bytes]:
    """Give the socket an address: returns its path ("" if it has none), and the address as NOTIFY_SOCKET has it.

    abstract: it must be no path. Raises OSError.
    """
    base = "" if abstract else own_base()
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


def own_base() -> str:
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
