"""The rarer kinds of --listen: netlink and vsock sockets, devices and files that are read, message queues.

What systemd makes of ListenNetlink=, ListenStream=vsock:, ListenSpecial= and ListenMessageQueue= (systemd.socket(5)).
"""

import _socket
import errno
import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.sockets.address import Address

AF_NETLINK, AF_VSOCK = 16, 40  # not every Python has a name for these two
KIND, REGULAR, DEVICE = 0o170000, 0o100000, 0o020000  # inode(7)


def bound(address: "Address", kind: int) -> _socket.socket:
    """A socket of netlink's or vsock's that is bound there. Raises OSError."""
    if address.kind == "netlink":
        sock = _socket.socket(AF_NETLINK, kind, int(address.host))
        where = (0, address.port)  # whatever number the kernel gives it; the groups
    else:
        sock = _socket.socket(AF_VSOCK, kind)
        where = (int(address.host), address.port)
    try:
        sock.bind(where)
    except BaseException:
        sock.close()
        raise
    return sock


def open_special(address: "Address") -> int:
    """A device or a file, as those in /proc and /sys, that is there: to be read, or written as well. Raises OSError."""
    access = posix.O_RDWR if address.options.writable else posix.O_RDONLY
    how = posix.O_CLOEXEC | posix.O_NOCTTY | posix.O_NONBLOCK | posix.O_NOFOLLOW
    fd = posix.open(address.path, access | how)
    if posix.fstat(fd).st_mode & KIND not in (REGULAR, DEVICE):
        posix.close(fd)
        raise OSError(errno.EEXIST, "it is no file and no character device")
    posix.set_blocking(fd, True)
    return fd


def open_queue(address: "Address") -> int:
    """A message queue (mq_overview(7)), made if it is not there. Raises OSError, Failure.

    One that is there is taken if it is of the right user, as a FIFO is.
    """
    from cross_init.kernel.message_queues import open_queue as open_it
    from cross_init.sockets.placing import NOBODY, owner_of

    options = address.options
    owner = owner_of(options)
    before = posix.umask(0)
    try:
        fd = open_it(address.path, options.mode, options.max_messages, options.message_size)
    finally:
        posix.umask(before)
    try:
        if posix.fstat(fd).st_uid not in (posix.geteuid(), owner[0]):
            raise OSError(errno.EADDRINUSE, "another user's queue is there")
        posix.fchmod(fd, options.mode)
        if owner != (NOBODY, NOBODY):
            posix.fchown(fd, *owner)
    except BaseException:
        posix.close(fd)
        raise
    return fd
