"""Write to a descriptor that is not ours alone, and never wait for whoever reads it.

Standard error is shared with the daemon and with others, and O_NONBLOCK belongs to the open file, not to the
descriptor: set by us, it would be set for them. Each write says by itself that it must not wait, in the first of
these ways that the file has.

1. RWF_NOWAIT (pwritev2(2)): sockets and pipes since Linux 6.4; no FIFO, terminal or file on a disk has it.
2. A socket: MSG_DONTWAIT.
3. A pipe, a FIFO, a terminal: an open file of our own, by /proc/self/fd, with O_NONBLOCK.
4. Where there is no /proc, or another user's pipe: poll(2), and then no more than there is room for. Only this can be
   raced: another writer may be faster.

A file on a disk takes what is written, however long that takes it.
"""

import posix
from select import POLLOUT, poll
from time import monotonic

from cross_init.errors import AT_ONCE, write_nowait

PIPE, DEVICE, SOCKET = 0o010000, 0o020000, 0o140000  # inode(7)
OWN = posix.O_WRONLY | posix.O_NONBLOCK | posix.O_NOCTTY | posix.O_CLOEXEC


def write_all(fd: int, data: bytes, patience_ms: int) -> bool:
    """Write all of this; False if it was not taken in this time. Raises OSError."""
    end = monotonic() + patience_ms / 1000
    while data:
        written = write_now(fd, data)
        data = data[written:]
        if not written:
            left_ms = int((end - monotonic()) * 1000)
            if left_ms <= 0 or not is_writable(fd, left_ms):
                return False
    return True


def write_now(fd: int, data: bytes) -> int:
    """Write some of this, PIPE_BUF bytes at most; how many it were, 0 if nobody takes any now. Raises OSError."""
    part = data[:AT_ONCE]
    written = write_nowait(fd, part)
    if written is not None:
        return written
    try:
        return _write_otherwise(fd, part)
    except BlockingIOError:
        return 0


def _write_otherwise(fd: int, part: bytes) -> int:
    kind = posix.fstat(fd).st_mode & 0o170000
    if kind == SOCKET:
        return _send(fd, part)
    if kind not in (PIPE, DEVICE):
        return posix.write(fd, part)
    return _write(fd, part)


def _send(fd: int, data: bytes) -> int:
    import _socket

    sock = _socket.socket(fileno=fd)
    try:
        return sock.send(data, _socket.MSG_DONTWAIT | _socket.MSG_NOSIGNAL)
    finally:
        sock.detach()


def _write(fd: int, data: bytes) -> int:
    """To a pipe, a FIFO or a device. A terminal that stops whoever writes from the background does not stop us."""
    import _signal

    before = _signal.pthread_sigmask(
        _signal.SIG_BLOCK, (_signal.SIGTTOU,)
    )  # blocked, it is not sent (termios(3), TOSTOP)
    try:
        try:
            own = posix.open(f"/proc/self/fd/{fd}", OWN)
        except OSError:
            if not is_writable(fd):
                return 0
            return posix.write(fd, data[:1] if posix.isatty(fd) else data)  # it may have room for no more than that
        try:
            return posix.write(own, data)
        finally:
            posix.close(own)
    finally:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, before)


def is_writable(fd: int, wait_ms: int = 0) -> bool:
    """Whether writing would not wait, be it for an error; looked at for this long at most."""
    poller = poll()
    poller.register(fd, POLLOUT)
    return bool(poller.poll(wait_ms))
