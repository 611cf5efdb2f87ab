"""Close a connection to which anybody may have sent anything: in a process that is not missed.

What was sent and never received is thrown away by whoever closes the connection, descriptors too; and to close one of
those may wait for an hour (SO_LINGER, socket(7)). A process that is ending waits for none of that.
"""

import _socket
import posix

from cross_init.watch.detach import detach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.watch.event_loop import EventLoop

PAUSE_S = 1.0  # until it is tried again where the kernel had no process to give


def turn_away(loop: "EventLoop", connection: _socket.socket) -> None:
    """Close this stranger's connection."""
    try:
        told, tell = posix.pipe2(posix.O_CLOEXEC)
    except OSError:
        loop.after(PAUSE_S, lambda: turn_away(loop, connection))
        return
    try:
        helper = posix.fork()
        if helper == 0:
            _end_as_the_last(connection.fileno(), told)
        connection.close()
    except OSError:
        loop.after(PAUSE_S, lambda: turn_away(loop, connection))
        return
    finally:
        posix.close(told)
        posix.close(tell)
    try:
        posix.waitpid(helper, 0)
    except ChildProcessError:
        pass  # whoever waits for all children was first


def _end_as_the_last(connection: int, told: int) -> None:
    """End when nobody else has the connection any more; whatever waits for that is in a process of its own."""
    try:
        if posix.fork() == 0:
            detach({connection, told})
            posix.read(told, 1)
    finally:
        posix._exit(0)
