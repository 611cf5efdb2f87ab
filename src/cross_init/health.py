"""--health-listen: how a service is, over HTTP, for probes that ask: Kubernetes', a load balancer's, curl(1).

GET /readyz is answered with 200 while the service is ready, GET /livez while it is alive, each otherwise with 503 and
the reason in one line. It is served by whoever watches the daemon, from the same engine: while nobody asks it costs
nothing. A client is given a short time and little room, and when there are many the oldest gives way.
"""

import _socket
import posix

from cross_init.linux import move_up, why
from cross_init.listen import Address, open_socket, parse
from cross_init.model import READY, RELOADING, STARTING, Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.watched import Watched

OPTION = "--health-listen"
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


def parse_endpoint(text: str) -> Address:
    """Take the option's argument apart. Raises Failure."""
    address = parse(text, OPTION)
    if address.kind not in ("tcp", "unix") or address.name:
        raise Failure(f"{OPTION} {text}: HTTP is served on tcp:HOST:PORT or unix:PATH, without a name")
    if address.options.remove_on_stop or address.options.keep:
        raise Failure(f"{OPTION} {text}: it ends with the service, and its path: leave out keep and remove-on-stop")
    return address


class Endpoint:
    """The listening socket, opened before the daemon starts.

    descriptors: what who watches needs of it: the socket, and the folder of its path, if it has one. By that the path
    is removed, however few descriptors there are then.
    """

    def __init__(self, text: str) -> None:
        """text: tcp:HOST:PORT or unix:PATH. Raises Failure."""
        address = parse_endpoint(text)
        self.folder, self.name = -1, ""
        try:
            if address.has_path:
                from cross_init.folders import folder_of

                self.folder, self.name = folder_of(address.path, address.options.folder_mode)
        except (FileNotFoundError, PermissionError):
            pass  # opening the socket says so, or it is another user's folder, in which we remove nothing
        except OSError as error:
            raise Failure(f"{OPTION} {text}: {why(error)}") from None
        opened = open_socket(address).fd
        try:
            self.fd = move_up(opened)
        except OSError as error:
            self.remove()
            raise Failure(f"{OPTION} {text}: {why(error)}") from None
        posix.close(opened)
        posix.set_blocking(self.fd, False)
        self.descriptors = (self.fd, self.folder)

    def remove(self) -> None:
        """Remove the path, if it has one; what is gone already is no error."""
        if self.folder >= 0:
            from cross_init.folders import remove_socket

            try:
                remove_socket(self.folder, self.name)
            except OSError:
                pass


class Health:
    """Answers for one service."""

    def __init__(self, watched: "Watched", endpoint: Endpoint) -> None:
        self.watched = watched
        self.endpoint = endpoint
        # Only who watches needs them, not who becomes the daemon.
        from cross_init.acceptor import Acceptor
        from cross_init.strangers import keep_descriptors_out

        self.clients: list[Client] = []
        listening = _socket.socket(fileno=endpoint.fd)
        keep_descriptors_out(listening)
        self.acceptor = Acceptor(watched.engine, listening, self._take)

    def _take(self, sock: _socket.socket) -> None:
        if len(self.clients) >= CLIENTS:
            self.clients[0].close()
        self.clients.append(Client(self, sock))

    def close(self) -> None:
        """Answer no more, and leave nothing."""
        self.acceptor.stop()
        if self.acceptor.socket.family == _socket.AF_UNIX:
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
        self.engine = health.watched.engine
        self.socket = sock
        self.head = b""
        self.rest = 0  # bytes that came behind the answered head
        self.is_answered = False
        sock.setblocking(False)
        self.engine.watch(sock.fileno(), self._hear)
        self.timer = self.engine.after(PATIENCE_S, self.close)

    def _hear(self) -> None:
        from cross_init.strangers import received

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
        from cross_init.strangers import let_go

        self.engine.cancel(self.timer)
        self.engine.forget(self.socket.fileno())
        self.health.clients.remove(self)
        let_go(self.engine, self.socket)


def respond(head: bytes, watched: "Watched") -> bytes:
    """The response to a request's head (RFC 9112)."""
    method, code, text = b"GET", 400, "this is no HTTP request"
    words = head.partition(b"\n")[0].rstrip(b"\r").split(b" ")
    if len(head) > HEAD_MAX:
        code, text = 431, f"more than {HEAD_MAX} bytes of header fields"
    elif len(words) == 3 and words[2].startswith(b"HTTP/1."):
        method = words[0]
        verdict = VERDICTS.get(words[1].partition(b"?")[0])
        if verdict is None:
            code, text = 404, "there are /readyz and /livez"
        elif method not in (b"GET", b"HEAD"):
            code, text = 405, "there are GET and HEAD"
        else:
            holds, text = verdict(watched)
            code = 200 if holds else 503
    body = f"{text}\n".encode("utf-8", "backslashreplace")
    fields = [
        f"HTTP/1.1 {code} {REASONS[code]}",
        "Content-Type: text/plain; charset=utf-8",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        *(["Allow: GET, HEAD"] if code == 405 else []),
        "Connection: close",
    ]
    return "".join(f"{field}\r\n" for field in fields).encode() + b"\r\n" + (body if method != b"HEAD" else b"")


def is_alive(watched: "Watched") -> tuple[bool, str]:
    """Whether the daemon, which has not ended or nobody would answer, gives its signs of life; and in words."""
    watchdog = watched.watchdog
    if watchdog is not None and watchdog.is_over:
        return False, "no sign of life, or not enough of them (--watchdog)"
    return True, "alive"


def is_ready(watched: "Watched") -> tuple[bool, str]:
    """Whether it is ready, and in words."""
    alive, text = is_alive(watched)
    if not alive:
        return False, text
    if watched.state == STARTING and watched.outstanding:
        from cross_init.report import printable

        return False, f"starting: waits for {printable(' and '.join(watched.outstanding))}"
    return watched.state in (READY, RELOADING), watched.state


VERDICTS = {b"/readyz": is_ready, b"/livez": is_alive}
