"""Where the resident of a user listens: a folder in which only that user, or root, can make anything."""

import posix

from cross_init.kernel.folders import make_private
from cross_init.kernel.linux import is_private

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket

ROOT_FOLDER = b"/run/cross-init"
OWN = b"/cross-init"  # in XDG_RUNTIME_DIR
SERVE = b"/serve"  # where bridges hand their daemons over
KEPT = b"/kept"  # where the process listens that keeps what the resident has (deposit.py)
NOTIFY = b"/notify"  # where daemons speak that were started by no bridge


def folder() -> bytes:
    """The folder, b"" if this user can have none. It need not be there."""
    if not posix.geteuid():
        return ROOT_FOLDER
    base = posix.environ.get(b"XDG_RUNTIME_DIR", b"")
    return base + OWN if base.startswith(b"/") else b""


def is_away() -> bool:
    """Whether a resident of this user's has ended, and what it had is kept for the next one. Raises OSError."""
    path = folder()
    if not path or not posix.access(path + KEPT, posix.F_OK):
        return False
    from _socket import AF_UNIX, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_SEQPACKET, socket

    from cross_init.kernel.sock_diag import unix_at

    sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK)
    try:
        sock.connect(path + SERVE)
    except (ConnectionRefusedError, FileNotFoundError):
        # It is not asked itself: who connects there takes the next resident's place.
        return bool(unix_at((path + KEPT).decode("utf-8", "surrogateescape")))
    finally:
        sock.close()
    return False


def make_folder() -> bytes:
    """The same, made if it was not there. Raises OSError."""
    path, user = folder(), posix.geteuid()
    if not path:
        raise FileNotFoundError(2, "XDG_RUNTIME_DIR names no folder, and a user's resident has its place there: set it")
    if user and not is_private(posix.environ[b"XDG_RUNTIME_DIR"].decode("utf-8", "surrogateescape"), user):
        raise PermissionError(1, "XDG_RUNTIME_DIR is not this user's alone")
    if not make_private(path.decode("utf-8", "surrogateescape"), user, 0o711):
        raise PermissionError(1, f"{path.decode('utf-8', 'backslashreplace')} is not this user's alone")
    return path


def bind(sock: "socket", path: bytes, umask: int) -> bytes:
    """Bind it beside this path; returns the name from which it is to be moved there. Raises OSError.

    Moved, it takes the place of one that was left at once.
    """
    new = path + b".%d" % posix.getpid()
    before = posix.umask(umask)
    try:
        sock.bind(new)
    finally:
        posix.umask(before)
    return new
