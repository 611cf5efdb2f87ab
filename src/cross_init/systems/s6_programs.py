"""s6's own programs, called beside the daemon: what s6-supervise wants of a service, and descriptors in s6-fdholderd.

Both the status file's form and the fd-holder's protocol are s6's own affair; the programs are documented
(s6-svstat(8), s6-fdholder-store(8), s6-fdholder-retrieve(8), s6-fdholder-delete(8), s6-fdholder-list(8)).
"""

import _signal
import _socket
import errno
import posix
import sys
from select import POLLIN, poll
from time import monotonic

from cross_init.model import Service

PATIENCE_MS = "500"  # of the programs for the daemon; who waits for the holder that calls them gives it more time
ANSWER_S = 2.0  # and ours for a program that was stopped
PATH = b"/usr/bin:/bin:/usr/local/bin:/command"  # if the service has none
ID_MAX = 255  # S6_FDHOLDER_ID_SIZE
LONGEST = 1 << 20
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


def call(*words: str, stdin: int = -1) -> str:
    """Run this program and return what it says. Raises OSError if it fails, with its own last words."""
    news, tell = posix.pipe2(posix.O_CLOEXEC)
    try:
        try:
            pid = spawn(words, ((tell, 1), (tell, 2), *([(stdin, 0)] if stdin >= 0 else [])))
        finally:
            posix.close(tell)
        said = hear(news)
    finally:
        posix.close(news)
    if said is None:
        wait(pid, 0)
        raise no_answer(words[0])
    text = said.decode("utf-8", "surrogateescape")
    if wait(pid) != 0:
        raise OSError(errno.EIO, (text.strip().splitlines() or [f"{words[0]} failed"])[-1])
    return text


def spawn(words: tuple[str, ...], descriptors: tuple[tuple[int, int], ...]) -> int:
    """Start a program with these (from, to) descriptors; returns its PID. Raises OSError."""
    actions = [(posix.POSIX_SPAWN_DUP2, source, to) for source, to in descriptors]
    environ = {**posix.environ, b"PATH": posix.environ.get(b"PATH", PATH)}
    return posix.posix_spawnp(words[0], words, environ, file_actions=actions, setsigmask=())


def hear(news: int) -> bytes | None:
    """All that comes until the pipe's end; None if it does not come in time."""
    poller = poll()
    poller.register(news, POLLIN)
    end = monotonic() + ANSWER_S
    said = b""
    while len(said) < LONGEST:
        if not poller.poll(max(0.0, end - monotonic()) * 1000):
            return None
        part = posix.read(news, 65536)
        if not part:
            break
        said += part
    return said


def wait(pid: int, patience_s: float = ANSWER_S) -> int:
    """Wait for the end of a program for so long, and then give it one.

    Returns its wait status, 0 where somebody has it thrown away (SIGCHLD ignored).
    """
    try:
        pidfd = posix.pidfd_open(pid)
        try:
            poller = poll()
            poller.register(pidfd, POLLIN)
            if not poller.poll(patience_s * 1000):
                _signal.pidfd_send_signal(pidfd, _signal.SIGKILL)
        finally:
            posix.close(pidfd)
        return posix.waitpid(pid, 0)[1]
    except (ChildProcessError, ProcessLookupError):
        return 0


def no_answer(program: str) -> OSError:
    """What is raised where a program says nothing."""
    return TimeoutError(errno.ETIMEDOUT, f"{program} has said nothing for {ANSWER_S:g} s, and was ended")
