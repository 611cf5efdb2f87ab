"""--ready-when tcp:HOST:PORT and unix:PATH: something accepts a connection there."""

import _socket
import errno
import posix
from select import POLLOUT
from struct import pack

from cross_init.bounds import PORT_MAX, as_port
from cross_init.errors import Failure, why
from cross_init.kernel.linux import Environment
from cross_init.readiness.condition import Condition
from cross_init.readiness.path_watch import PathWatch
from cross_init.readiness.repeated import Connecting
from cross_init.sockets.connection import prober

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cross_init.watch.event_loop import Timer

PATIENCE_S = 5.0  # how long one attempt may take: a firewall may swallow it
IN_PROGRESS = (errno.EINPROGRESS, errno.EAGAIN)


class Reachable(Connecting):
    """places: what to connect to, one after the other: (address family, type of socket, address)."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.too_late: Timer | None = None
        self.places: list[tuple[int, int, Any]] = []
        self.next = 0

    def ask(self) -> None:
        """Try the next place."""
        family, kind, address = self.places[self.next]
        self.next = (self.next + 1) % len(self.places)
        try:
            self.socket = _socket.socket(family, kind | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK)
            refused = self.socket.connect_ex(address)
        except OSError:  # too many open files, or a path that is too long: nothing that a line would mend
            self._done(False)
            return
        if refused in IN_PROGRESS and family != _socket.AF_UNIX:
            self.watched.loop.watch(self.socket.fileno(), self._hear, POLLOUT)
            self.too_late = self.watched.loop.after(PATIENCE_S, lambda: self._done(False))
        else:
            # A UNIX socket whose queue is full (EAGAIN) has somebody who listens.
            self._done(refused in (0, errno.EAGAIN) and not self._is_itself())

    def _hear(self) -> None:
        assert self.socket is not None
        error = self.socket.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR)
        self._done(error == 0 and not self._is_itself())

    def _is_itself(self) -> bool:
        """Whether TCP has connected the socket with itself, as it can where nobody listens on an ephemeral port."""
        assert self.socket is not None
        try:
            if self.socket.family == _socket.AF_UNIX or self.socket.getsockname() != self.socket.getpeername():
                return False
            # Closed as usual, it would keep the daemon from the port for a minute (TIME_WAIT).
            self.socket.setsockopt(_socket.SOL_SOCKET, _socket.SO_LINGER, pack("ii", 1, 0))
        except OSError:
            pass
        return True

    def _done(self, holds: bool) -> None:
        self.close()
        self.answer(holds)

    def close(self) -> None:
        """Close the attempt that is under way, and wait for it no longer."""
        self.watched.loop.cancel(self.too_late)
        super().close()


class Tcp(Reachable):
    """A TCP port."""

    travels = True

    def __init__(self, text: str, host: str, port: int) -> None:
        super().__init__(text)
        self.host = host
        self.port = port

    def prepare(self, environ: Environment) -> None:
        """Look the host's addresses up. Raises Failure.

        Before the start, so that a name that nobody knows is one line and no daemon that never gets ready. A resolver
        that does not answer holds up the start as long as resolv.conf(5) lets it; an address needs none.
        """
        name = self.host.encode("utf-8", "surrogateescape")
        try:
            found = _socket.getaddrinfo(name, self.port, 0, int(_socket.SOCK_STREAM))
        except (OSError, _socket.gaierror) as error:
            raise Failure(f"--ready-when {self.text}: looking up {self.host}: {why(error)}") from None
        self.places = [(family, int(kind), address) for family, kind, _, _, address in found]

    def carry(self) -> tuple[str, ...]:
        """Where it was found to be."""
        return tuple(" ".join(map(str, (int(family), kind, *address))) for family, kind, address in self.places)

    def resume(self, words: list[str]) -> None:
        """The same. Raises ValueError."""
        for word in words:
            family, kind, host, *rest = word.split(" ")
            self.places.append((int(family), int(kind), (host, *map(int, rest))))


class Unix(Reachable):
    """A UNIX socket, for streams, packets or datagrams."""

    travels = True

    def __init__(self, text: str, path: str) -> None:
        super().__init__(text)
        self.path = path
        where = "\0" + path[1:] if path.startswith("@") else path
        kinds = (_socket.SOCK_STREAM, _socket.SOCK_SEQPACKET, _socket.SOCK_DGRAM)
        self.places = [(int(_socket.AF_UNIX), int(kind), where) for kind in kinds]
        self.news: PathWatch | None = None

    def carry(self) -> tuple[str, ...]:
        """It is all in the option."""
        return ()

    def ask(self) -> None:
        """All three kinds at once: the wrong ones are refused without any effect (EPROTOTYPE)."""
        for _, kind, address in self.places:
            probe = prober(kind)
            try:
                refused = probe.connect_ex(address)
            except OSError:
                refused = errno.ENAMETOOLONG
            finally:
                probe.close()
            if refused in (0, errno.EAGAIN):  # EAGAIN: its queue is full, so somebody listens
                self.answer(True)
                return
        if refused != errno.ENOENT or not isinstance(address, str) or address.startswith("\0"):
            self.answer(False)  # that a socket is bound already but nobody listens yet, nothing tells of
        elif self.news is None and not self.over:
            self.news = PathWatch(self.watched.loop, address, self._look)
            self._look()  # it may have been bound before we looked there

    def _look(self) -> None:
        """Something has happened where the socket is to be."""
        try:
            posix.stat(self.path)
        except OSError:
            return
        self._close_news()
        self.answer(False)  # bound by now; whether somebody listens already is asked in a moment

    def _close_news(self) -> None:
        if self.news is not None:
            self.news.close()
            self.news = None

    def stop(self) -> None:
        """Look no more."""
        super().stop()
        self._close_news()


def make(kind: str, rest: str, text: str, bus: str) -> Condition:
    """Raises Failure."""
    if kind == "unix":
        if not rest.startswith(("/", "@")) or len(rest) < 2:
            raise Failure(f"--ready-when {text}: {rest} is no absolute path (or @NAME)")
        return Unix(text, rest)
    host, _, text_of_port = rest.rpartition(":")
    port = as_port(text_of_port, 1)
    if not host or port is None:
        raise Failure(f"--ready-when {text}: write tcp:HOST:PORT, IPv6 in brackets; a port is 1 to {PORT_MAX}")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise Failure(f"--ready-when {text}: an IPv6 address stands in brackets: tcp:[{host}]:{port}")
    return Tcp(text, host, port)
