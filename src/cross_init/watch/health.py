"""--health-listen: how a service is, over HTTP, for probes that ask: Kubernetes', a load balancer's, curl(1).

GET /readyz is answered with 200 while the service is ready, GET /livez while it is alive, each otherwise with 503 and
the reason in one line. It is served by whoever watches the daemon, from the same loop: while nobody asks it costs
nothing. A client is given a short time and little room, and when there are many the oldest gives way.
"""

import _socket
import posix

from cross_init.errors import Failure, why
from cross_init.kernel.linux import dup_high
from cross_init.model import READY, RELOADING, STARTING
from cross_init.sockets.address import Address
from cross_init.sockets.listen import open_socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from cross_init.model import Service
    from cross_init.watch.event_loop import EventLoop

    class Watchdog(Protocol):
        """Counts signs of life. is_over: there were too few."""

        is_over: bool

    class Asked(Protocol):
        """The service that is asked for; watch.watched.Watched says what each of these is."""

        loop: EventLoop
        service: Service
        pid: int
        state: str
        failure: int
        outstanding: list[str]

        @property
        def watchdog(self) -> Watchdog | None:
            """Who counts its signs of life."""


OPTION = "--health-listen"
PLAIN, JSON = "text/plain; charset=utf-8", "application/json"
PATIENCE_S = 5.0  # for one request, from its connection to its end
CLIENTS = 32  # at once
HEAD_MAX = 8192  # bytes of a request's head; a prober's has some hundred
REST_MAX = 65536  # bytes that may come behind it, which nobody reads
REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}


class Endpoint:
    """The listening socket, opened before the daemon starts.

    descriptors: what who watches needs of it: the socket, and the folder of its path, if it has one. By that the path
    is removed, however few descriptors there are then.
    """

    def __init__(self, address: Address) -> None:
        """address: of --health-listen. Raises Failure."""
        self.folder, self.name = -1, ""
        try:
            if address.has_path:
                from cross_init.kernel.folders import folder_of

                self.folder, self.name = folder_of(address.path, address.options.folder_mode)
        except (FileNotFoundError, PermissionError):
            pass  # opening the socket says so, or it is another user's folder, in which we remove nothing
        except OSError as error:
            raise Failure(f"{OPTION} {address.text}: {why(error)}") from None
        opened = open_socket(address).fd
        try:
            self.fd = dup_high(opened)
        except OSError as error:
            self.remove()
            raise Failure(f"{OPTION} {address.text}: {why(error)}") from None
        posix.close(opened)
        posix.set_blocking(self.fd, False)
        self.descriptors = (self.fd, self.folder)

    @classmethod
    def again(cls, fd: int, folder: int, name: str) -> "Endpoint":
        """One that another process has opened. folder: -1 if it has no path."""
        endpoint = cls.__new__(cls)
        endpoint.fd, endpoint.folder, endpoint.name = fd, folder, name
        endpoint.descriptors = (fd, folder)
        return endpoint

    def remove(self) -> None:
        """Remove the path, if it has one; what is gone already is no error."""
        if self.folder >= 0:
            from cross_init.kernel.folders import remove_socket

            try:
                remove_socket(self.folder, self.name)
            except OSError:
                pass


class Health:
    """Answers for one service."""

    def __init__(self, watched: "Asked", endpoint: Endpoint) -> None:
        self.watched = watched
        self.endpoint = endpoint
        # Only who watches needs them, not who becomes the daemon.
        from cross_init.watch.acceptor import Acceptor
        from cross_init.watch.untrusted import keep_descriptors_out

        self.clients: list[Client] = []
        listening = _socket.socket(fileno=endpoint.fd)
        self.is_by_path = listening.family == _socket.AF_UNIX
        keep_descriptors_out(listening)
        self.acceptor = Acceptor(watched.loop, listening, self._take)

    def _take(self, sock: _socket.socket) -> None:
        if len(self.clients) >= CLIENTS:
            self.clients[0].close()
        self.clients.append(Client(self, sock))

    def close(self) -> None:
        """Answer no more, and leave nothing."""
        self.acceptor.stop()
        if self.is_by_path:
            self.acceptor.socket.detach()  # who waits to be let in may be a stranger: it ends with this process
        else:
            self.acceptor.socket.close()
        self.endpoint.remove()
        for client in tuple(self.clients):
            client.close()


class Client:
    """Who asks: one request on one connection."""

    def __init__(self, health: Health, sock: _socket.socket) -> None:
        self.health = health
        self.loop = health.watched.loop
        self.socket = sock
        self.head = b""
        self.rest = 0  # bytes that came behind the answered head
        self.is_answered = False
        sock.setblocking(False)
        self.loop.watch(sock.fileno(), self._hear)
        self.timer = self.loop.after(PATIENCE_S, self.close)

    def _hear(self) -> None:
        from cross_init.watch.untrusted import received

        try:
            part = received(self.socket, HEAD_MAX)
        except BlockingIOError:
            return
        except OSError:
            part = b""
        if self.is_answered:
            self.rest += len(part)
        else:
            self.head += part
            if b"\r\n\r\n" in self.head or b"\n\n" in self.head or len(self.head) > HEAD_MAX:
                self._answer()
        if not part or self.rest > REST_MAX:
            self.close()

    def _answer(self) -> None:
        """Say it and end the connection; but read on, as a close with unread bytes would take the answer back."""
        self.is_answered = True
        try:
            self.socket.send(respond(self.head, self.health.watched), _socket.MSG_NOSIGNAL)
            self.socket.shutdown(_socket.SHUT_WR)
        except OSError:
            pass  # it has gone

    def close(self) -> None:
        """Be done with it."""
        from cross_init.watch.untrusted import let_go

        self.loop.cancel(self.timer)
        self.loop.forget(self.socket.fileno())
        self.health.clients.remove(self)
        let_go(self.loop, self.socket)


def respond(head: bytes, watched: "Asked") -> bytes:
    """The response to a request's head (RFC 9112)."""
    method, code, text, kind = b"GET", 400, "this is no HTTP request", PLAIN
    words = head.partition(b"\n")[0].rstrip(b"\r").split(b" ")
    if len(head) > HEAD_MAX:
        code, text = 431, f"more than {HEAD_MAX} bytes of header fields"
    elif len(words) == 3 and words[2].startswith(b"HTTP/1."):
        method = words[0]
        path, _, query = words[1].partition(b"?")
        verdict = VERDICTS.get(path)
        if verdict is None:
            code, text = 404, "there are /readyz and /livez"
        elif method not in (b"GET", b"HEAD"):
            code, text = 405, "there are GET and HEAD"
        else:
            holds, text = verdict(watched)
            code = 200 if holds else 503
            if query == b"json" or wants_json(head):
                text, kind = in_json(watched, text), JSON
    body = f"{text}\n".encode("utf-8", "backslashreplace")
    fields = [
        f"HTTP/1.1 {code} {REASONS[code]}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        *(["Allow: GET, HEAD"] if code == 405 else []),
        "Connection: close",
    ]
    return "".join(f"{field}\r\n" for field in fields).encode() + b"\r\n" + (body if method != b"HEAD" else b"")


def wants_json(head: bytes) -> bool:
    """Whether the request asks for that (RFC 9110, "Accept")."""
    fields = [line.partition(b":") for line in head.replace(b"\r", b"").split(b"\n")[1:]]
    return any(name.strip().lower() == b"accept" and JSON.encode() in value.lower() for name, _, value in fields)


def in_json(watched: "Asked", reason: str) -> str:
    """The same for programs: both answers, and why."""
    from cross_init.as_json import as_json

    facts = {"ready": is_ready(watched)[0], "alive": is_alive(watched)[0], "state": watched.state, "reason": reason}
    return as_json({**facts, "service": str(watched.service), "pid": watched.pid})


def is_alive(watched: "Asked") -> tuple[bool, str]:
    """Whether the daemon, which has not ended or nobody would answer, gives its signs of life; and in words."""
    watchdog = watched.watchdog
    if watchdog is not None and watchdog.is_over:
        return False, "no sign of life, or not enough of them (--watchdog)"
    if watched.failure:
        return False, f"it says that it has failed: {posix.strerror(watched.failure)} (ERRNO={watched.failure})"
    return True, "alive"


def is_ready(watched: "Asked") -> tuple[bool, str]:
    """Whether it is ready, and in words."""
    alive, text = is_alive(watched)
    if not alive:
        return False, text
    if watched.state == STARTING and watched.outstanding:
        from cross_init.watch.log import printable

        return False, f"starting: waits for {printable(' and '.join(watched.outstanding))}"
    return watched.state in (READY, RELOADING), watched.state


VERDICTS = {b"/readyz": is_ready, b"/livez": is_alive}
