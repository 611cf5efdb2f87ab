"""The way to a service manager that speaks sd_notify(3): its notification socket, to send to."""

import _socket
import errno
import posix
import sys
from time import monotonic

from cross_init.kernel.linux import retry_transient

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

ANSWER_MS = 5000  # how long a manager that is busy may take to take in a message, or to answer a barrier


class Manager:
    """A manager, as it is reached by its notification socket."""

    def __init__(self, address: bytes) -> None:
        """address: NOTIFY_SOCKET's value, /path or @abstract (sd_notify(3)). Raises OSError."""
        where = parse_address(address)
        kind = _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK
        self.socket = _socket.socket(_socket.AF_UNIX, kind)
        try:
            self.socket.connect(where)
        except OSError as error:
            self.socket.close()
            shown = address.decode("utf-8", "backslashreplace")
            raise OSError(error.errno, f"NOTIFY_SOCKET={shown} leads to nobody: {error.strerror}") from None

    def send(
        self,
        message: bytes,
        descriptors: "list[int] | tuple[int, ...]" = (),
        wait_ms: int = ANSWER_MS,
        speaker: int = 0,
    ) -> None:
        """Send one message, with these descriptors; speaker: as which process, if not as this one.

        Raises OSError; TimeoutError if it is not taken in in this time: whoever reads there may have stopped, or others
        may keep its queue full.
        """
        rights = b"".join(fd.to_bytes(4, sys.byteorder) for fd in descriptors)
        extra = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)] if rights else []
        if speaker:
            from cross_init.sockets.connection import claim

            extra.append(claim(speaker))
        end = monotonic() + wait_ms / 1000
        while True:  # not asked before whether there is room: a hand over must be told in one system call
            try:
                self.socket.sendmsg([message], extra, _socket.MSG_NOSIGNAL)
                return
            except BlockingIOError:
                if not self._has_room(end):
                    raise TimeoutError(errno.ETIMEDOUT, "the service manager takes in no messages") from None

    def _has_room(self, end: float) -> bool:
        """Wait for it; False if there is none at this time of the monotonic clock. Raises OSError."""
        from select import POLLOUT, poll

        room = poll()
        room.register(self.socket.fileno(), POLLOUT)
        left_s = end - monotonic()
        return left_s > 0 and bool(room.poll(left_s * 1000))

    def barrier(self) -> None:
        """Return when the receiver has processed all that was sent before (sd_notify_barrier(3)).

        It closes the descriptor that comes with BARRIER=1; one that does not know the word closes what it cannot use,
        and in the same order, so this holds for every receiver. Raises OSError (ETIMEDOUT: no answer).
        """
        from select import POLLHUP, poll

        ours, theirs = posix.pipe2(posix.O_CLOEXEC)
        try:
            try:
                self.send(b"BARRIER=1", [theirs])
            finally:
                _close(posix.close, theirs)
            poller = poll()
            poller.register(ours, POLLHUP)
            if not retry_transient(poller.poll, ANSWER_MS):
                raise OSError(errno.ETIMEDOUT, f"no answer from the service manager within {ANSWER_MS // 1000} s")
        finally:
            _close(posix.close, ours)

    def close(self) -> None:
        """Close it."""
        _close(self.socket.close)


def _close(call: "Callable[..., None]", *words: int) -> None:
    """Close something of ours. What fails then fails too late to matter (close(2)): it is closed, and was heard."""
    try:
        call(*words)
    except OSError:
        pass


def parse_address(address: bytes) -> bytes:
    """NOTIFY_SOCKET's value as connect(2) takes it. Raises OSError if it is none that a local manager has."""
    if len(address) > 1:
        if address.startswith(b"/"):
            return address
        if address.startswith(b"@"):
            return b"\0" + address[1:]
    raise OSError(
        errno.EINVAL,
        f"NOTIFY_SOCKET={address.decode('utf-8', 'replace')} is neither a path nor an abstract name: "
        "only a manager on this machine can follow the daemon",
    )
