"""--ready-when http:URL: a GET is answered with 2xx or 3xx."""

import posix
from _thread import start_new_thread

from cross_init.errors import Failure
from cross_init.kernel.linux import NO_THREAD, Environment
from cross_init.readiness.condition import Condition
from cross_init.readiness.repeated import Repeated

PATIENCE_S = 5.0  # for each step of one attempt
YES, NO = b"y", b"n"


class Http(Repeated):
    """A URL. A thread asks, so that a server that takes its time holds up nothing else here."""

    def __init__(self, text: str, scheme: str, host: str, port: int | None, path: str) -> None:
        super().__init__(text)
        self.scheme = scheme
        self.host = host
        self.port = port
        self.path = path
        self.news = -1
        self.is_complaint_said = False

    def prepare(self, environ: Environment) -> None:
        """See whether this Python has what it takes, which Debian's python3-minimal has not. Raises Failure."""
        try:
            for module in ("http", *(("_ssl",) if self.scheme == "https" else ())):
                __import__(module)
        except ImportError:
            from cross_init.kernel.system_calls import BUILT_IN

            way = "use another form of this program" if BUILT_IN else "install python3"
            raise Failure(f"--ready-when {self.text}: this Python has no {self.scheme} client; {way}") from None

    def ask(self) -> None:
        """Start a thread, and hear of its answer."""
        self.news, tell = posix.pipe2(posix.O_CLOEXEC)
        self.watched.loop.watch(self.news, self._hear)
        try:
            start_new_thread(self._ask, (tell,))
        except RuntimeError:
            posix.close(tell)
            self._close()
            if not self.is_complaint_said:
                self.is_complaint_said = True
                self.watched.reporter.say(f"--ready-when {self.text}: starting to ask: {NO_THREAD}; trying again")
            self.answer(False)

    def _hear(self) -> None:
        said = posix.read(self.news, 1)
        self._close()
        self.answer(said == YES)

    def _close(self) -> None:
        if self.news >= 0:
            self.watched.loop.forget(self.news)
            posix.close(self.news)
            self.news = -1

    def stop(self) -> None:
        """Wait for no answer any more; the thread ends by itself, or with us."""
        super().stop()
        self._close()

    def _ask(self, tell: int) -> None:
        said = NO
        try:
            import http.client

            made = http.client.HTTPSConnection if self.scheme == "https" else http.client.HTTPConnection
            connection = made(self.host, self.port, timeout=PATIENCE_S)
            try:
                connection.request("GET", self.path, headers={"User-Agent": "cross-init-bridge", "Connection": "close"})
                if 200 <= connection.getresponse().status < 400:
                    said = YES
            finally:
                connection.close()
        except Exception:  # noqa: S110 (whatever it is, a thread's end in it would be a traceback on standard error)
            pass
        finally:
            try:
                posix.write(tell, said)
            except BrokenPipeError:
                pass  # nobody waits for it any more
            posix.close(tell)


def is_host(name: str) -> bool:
    """Whether the client takes it: it would fail, in its thread, on labels of a length that the DNS has not."""
    if not name.isascii():
        try:
            name = name.encode("idna").decode()
        except (UnicodeError, LookupError):  # LookupError: Debian's python3-minimal has no such encoding
            return False
    labels = name.removesuffix(".").split(".")
    return name.isprintable() and " " not in name and (":" in name or all(0 < len(label) < 64 for label in labels))


def make(kind: str, rest: str, text: str, bus: str) -> Condition:
    """Raises Failure."""
    from urllib.parse import urlsplit

    try:
        url = urlsplit(rest)
        host, port = url.hostname, url.port
    except ValueError as error:
        raise Failure(f"--ready-when {text}: {rest} is no URL: {error}") from None
    if url.scheme not in ("http", "https") or not host or not is_host(host) or port == 0:
        raise Failure(f"--ready-when {text}: write http:http://HOST:PORT/PATH, or http://HOST:PORT/PATH alone")
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    if not path.isascii() or not path.isprintable() or " " in path:
        raise Failure(f"--ready-when {text}: what is not printable ASCII has to be written as %XX in a URL")
    return Http(text, url.scheme, host, port, path)
