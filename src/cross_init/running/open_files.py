"""OpenFile= (systemd.service(5)): files that are opened for the service by us, and passed to it like sockets."""

import posix

from cross_init.errors import Failure, why
from cross_init.kernel.folders import FIFO, KIND, SOCKET
from cross_init.shapes.stops import interruptible
from cross_init.sockets.passed import describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.definitions.definition import Definition
    from cross_init.sockets.passed import Passed

FLAGS = posix.O_CLOEXEC | posix.O_NOCTTY
MODES = {"append": posix.O_APPEND, "truncate": posix.O_TRUNC}


def opened(definition: "Definition") -> "list[Passed]":
    """All of them, in their order. Raises Failure, Stopped."""
    found = []
    for path, name, options in definition.context.open_file:
        try:
            found.append(describe(_opened(path, options), name))
        except OSError as error:
            if "graceful" not in options:
                where = definition.where("open_file")
                raise Failure(f"{where}: OpenFile={path}: {why(error)}") from None
    return found


def _opened(path: str, options: tuple[str, ...]) -> int:
    """A descriptor: of the file, or of a connection to the socket that is there. Raises OSError, Stopped.

    Who writes to a FIFO may be long in coming, and so may be a place in a socket's queue.
    """
    kind = posix.stat(path).st_mode & KIND
    if kind == SOCKET:
        return interruptible(lambda: _connected(path))
    way = posix.O_RDONLY if "read-only" in options else posix.O_RDWR
    more = sum(MODES.get(option, 0) for option in options)
    flags = FLAGS | way | more
    if kind == FIFO:
        return interruptible(lambda: posix.open(path, flags))
    return posix.open(path, flags)


def _connected(path: str) -> int:
    import socket

    client = socket.socket(socket.AF_UNIX)
    client.connect(path)
    return client.detach()
