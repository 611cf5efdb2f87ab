"""Who connects to a UNIX socket of ours may be anybody, and descriptors may come with what he says (unix(7)).

Nobody wants them, so they are closed by whoever drops them; and the close of a descriptor that a stranger has prepared
may wait for an hour (SO_LINGER, socket(7)). So the process that watches neither receives nor closes a stranger's
connection, of the kind SOCK_STREAM, that may hold one. Linux 6.16 keeps them out altogether; before, it is looked
whether there is one.
"""

import _socket
import posix

from cross_init.watch.detach import detach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.watch.event_loop import EventLoop

SO_PASSRIGHTS = 83  # asm-generic/socket.h; a connection has it from the socket that was listened on
PEEK = _socket.MSG_PEEK | _socket.MSG_DONTWAIT
PAUSE_S = 1.0  # until it is tried again where the kernel had no process to give
LONGEST = 1 << 16  # bytes of a stranger's that are looked at


def keep_descriptors_out(sock: _socket.socket, out: bool = True) -> None:
    """Whoever sends us some is told that he may not, where the kernel can do that; or that again he may."""
    try:
        sock.setsockopt(_socket.SOL_SOCKET, SO_PASSRIGHTS, int(not out))
    except OSError:
        pass


def received(sock: _socket.socket, most: int) -> bytes:
    """What has come, b"" at its end. Raises PermissionError if descriptors have come with it, and OSError."""
    said, _, flags, _ = sock.recvmsg(most, 0, PEEK)  # it does not take them, only says that there would be more
    if flags & _socket.MSG_CTRUNC:
        raise PermissionError(1, "descriptors have come with it")
    return sock.recv(len(said)) if said else b""


def let_go(loop: "EventLoop", sock: _socket.socket) -> None:
    """Close a stranger's connection, a stream; if descriptors have come on it, another process has it to the last."""
    said, flags = b"", 0
    if sock.family == _socket.AF_UNIX:
        try:
            sock.shutdown(_socket.SHUT_RDWR)  # from here on nothing more can come
            said, _, flags, _ = sock.recvmsg(LONGEST, 0, PEEK)
        except OSError:
            pass  # there is nothing
    if flags & _socket.MSG_CTRUNC or len(said) == LONGEST:
        turn_away(loop, sock)
    else:
        sock.close()


def turn_away(loop: "EventLoop", connection: _socket.socket) -> None:
    """Close this connection in a process that is not missed: one that ends waits for no descriptor to be closed."""
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
