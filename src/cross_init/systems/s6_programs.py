"""s6's own programs, called beside the daemon: what s6-supervise wants of a service, and descriptors in s6-fdholderd.

Both the status file's form and the fd-holder's protocol are s6's own affair; the programs are documented
(s6-svstat(8), s6-fdholder-store(8), s6-fdholder-retrieve(8), s6-fdholder-delete(8), s6-fdholder-list(8)).
"""

import _socket
import errno
import sys

from cross_init.kernel.called import ANSWER_S, call, no_answer, spawn, wait
from cross_init.model import Service

PATIENCE_MS = "500"  # of the programs for the daemon, which is less than called.ANSWER_S; who waits for us gives more
ID_MAX = 255  # S6_FDHOLDER_ID_SIZE
# What s6-fdholder-retrieve runs, with the descriptor as its standard input and a socket to us as its standard output.
SEND = "import _socket, sys; _socket.socket(fileno=1).sendmsg([b'0'], [(1, 1, (0).to_bytes(4, sys.byteorder))])"


def wants_up(folder: str) -> bool:
    """Whether s6-supervise starts the service again when it has ended. folder: its supervise/. Raises OSError."""
    return call("s6-svstat", "-o", "wantedup", folder.rpartition("/")[0]).strip() == "true"


class FdHolder:
    """The descriptors of one service in an s6-fdholderd; see offered.DescriptorHolder. path: its socket."""

    def __init__(self, path: str, service: Service) -> None:
        self.path = path
        self.prefix = f"cross-init:{service}:"
        self.room = ID_MAX - len(self.prefix.encode())

    def names(self) -> list[str]:
        """Those whose identifier names the service. Raises OSError."""
        # Only a line feed is quoted there of what Python takes for a line's end.
        lines = map(unquoted, call("s6-fdholder-list", "-t", PATIENCE_MS, self.path).split("\n"))
        return [line.removeprefix(self.prefix) for line in lines if line.startswith(self.prefix)]

    def take(self, name: str) -> int:
        """A copy: it stays there. Raises OSError."""
        ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
        try:
            words = ("s6-fdholder-retrieve", "-t", PATIENCE_MS, self.path, self.prefix + name)
            try:
                pid = spawn((*words, sys.executable, "-ISc", SEND), ((theirs.fileno(), 1),))
            finally:
                theirs.close()
            ours.settimeout(ANSWER_S)
            try:
                _, extra, _, _ = ours.recvmsg(1, _socket.CMSG_SPACE(4), _socket.MSG_CMSG_CLOEXEC)
            except TimeoutError:
                wait(pid, 0)
                raise no_answer(words[0]) from None
            wait(pid)
        finally:
            ours.close()
        if not extra:
            raise OSError(errno.EIO, f"s6-fdholder-retrieve gave nothing for {self.prefix}{name}")
        return int.from_bytes(extra[0][2][:4], sys.byteorder)

    def put(self, name: str, fd: int) -> None:
        """One more. Raises OSError."""
        call("s6-fdholder-store", "-t", PATIENCE_MS, self.path, self.prefix + name, stdin=fd)

    def drop(self, name: str) -> None:
        """One less. Raises OSError."""
        call("s6-fdholder-delete", "-t", PATIENCE_MS, self.path, self.prefix + name)


def unquoted(line: str) -> str:
    """An identifier, in which s6-fdholder-list has put backslashes."""
    letters = iter(line)
    return "".join(next(letters, "") if letter == "\\" else letter for letter in letters)
