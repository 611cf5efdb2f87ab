"""Whether a process that said something belongs to the service, though it has lost its parents, or has ended since.

/proc shows where a process that lives comes from. Of one that has lost its parents its variables still do: it has the
address of the socket there, with which it was started. Of one that has ended the kernel keeps what it attaches to each
message: who it was, and, since Linux 6.16, a pidfd that tells its control group.
"""

import _socket
import posix

from cross_init.kernel.procfs import control_group, process_owner, start_of_living, variables
from cross_init.readiness.receiving import HEAD_ROOM, Head, numbers

SO_PASSPIDFD, SCM_PIDFD = 76, 4  # asm-generic/socket.h, linux/socket.h

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.readiness.subject import Subject


def was_told(watched: "Subject", sock: _socket.socket, address: bytes, is_secret: bool, head: Head) -> bool:
    """Whether the sender of this message, the next in the socket, was started in the service.

    address: of the socket, as it stands in the daemon's variables; is_secret: nobody else can know it, but those who
    may read a process of the service: its user's and root's. Where all may know it only root and our own user count,
    who could as well make the daemon say it.
    """
    trusted = (0, posix.geteuid())
    if not is_secret and head.user not in trusted:
        return (
            False  # and nothing of a stranger's is read: who has given the kernel its memory can hold up who reads it
        )
    try:
        told = variables(head.sender) if start_of_living(head.sender) else b""
    except (FileNotFoundError, ProcessLookupError):
        told = b""
    except OSError:
        return False  # not ours to look at
    if told:  # it has none any more when it is ending
        return b"\0NOTIFY_SOCKET=%b\0" % address in b"\0" + told
    if head.user not in trusted and not (is_secret and head.user == process_owner(watched.pid)):
        return False
    own = {_own_group(), control_group(watched.pidfd)} - {0}
    # Beside descriptors there is no room for a pidfd into which none of them would come.
    group = -1 if head.has_descriptors else _group_of_sender(sock)
    return group == 0 or not own or group in own


def _own_group() -> int:
    own = posix.pidfd_open(posix.getpid())
    try:
        return control_group(own)
    finally:
        posix.close(own)


def _group_of_sender(sock: _socket.socket) -> int:
    """The control group of who sent the next message, which has no descriptors; 0 if the kernel does not tell."""
    try:
        sock.setsockopt(_socket.SOL_SOCKET, SO_PASSPIDFD, 1)
    except OSError:
        return 0
    try:
        room = HEAD_ROOM + _socket.CMSG_SPACE(4)
        _, extra, _, _ = sock.recvmsg(1, room, _socket.MSG_PEEK | _socket.MSG_DONTWAIT)
    except OSError:
        return -1  # it cannot be known just now
    finally:
        sock.setsockopt(_socket.SOL_SOCKET, SO_PASSPIDFD, 0)
    for level, kind, data in extra:
        if level == _socket.SOL_SOCKET and kind == SCM_PIDFD and (pidfd := numbers(data)[0]) >= 0:
            try:
                return control_group(pidfd)
            finally:
                posix.close(pidfd)
    return 0
