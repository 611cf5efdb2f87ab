"""Upstart's own socket: hear that a job that is still starting is to be stopped.

In that state Upstart sends no signal: it waits for the main process to stop itself or to end, without a limit, and
initctl stop hangs with it (seen with 1.13.2). But it says GoalChanged to everyone who is connected to its private
D-Bus socket, and whoever connected too late can ask for the goal.

Anybody may listen under that name, or fill the queue of whoever does: who listens is asked first, and nothing waits.

The few messages that this takes are made by hand: the watcher runs in every bare checkout, without a D-Bus library.
"""

import _socket
import posix

from cross_init.kernel.linux import Environment
from cross_init.model import Service
from cross_init.sockets.connection import credentials, listener

SYSTEM_INIT = "\0/com/ubuntu/upstart"  # where the system's own init listens
PROPERTIES = b"org.freedesktop.DBus.Properties"
INSTANCE = "com.ubuntu.Upstart0_6.Instance"
SIGNAL, REPLY, ERROR = 4, 2, 3  # D-Bus message types
MESSAGE_MAX = 1 << 20


class Goal:
    """The goal of one job's instance, as a stream of news. socket is readable when there is some.

    has_ended: its main process has. Then Upstart forgets the instance of a job that stays down, and "restart" says
    "stop" and "start" in one breath.
    """

    asks_for = b"goal"

    def __init__(self, service: Service, environ: Environment, has_ended: bool = False) -> None:
        """Connect and ask. Raises OSError: BlockingIOError where the queue is full, PermissionError at a stranger."""
        self.has_ended = has_ended
        self.path = object_path(service)
        where = address(environ)
        # The session's own init is its user's; the system's is root's.
        trusted = (0,) if where == SYSTEM_INIT else (0, posix.geteuid())
        _refuse_others(listener(where, _socket.SOCK_STREAM)[1], trusted)
        kind = _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK
        self.socket = _socket.socket(_socket.AF_UNIX, kind)
        self.fileno, self.close = self.socket.fileno, self.socket.close
        self.received = b""
        self.greeted = False
        try:
            self.socket.connect(where)
            _refuse_others(credentials(self.socket.fileno())[1], trusted)  # it may have become another one
            user = str(posix.geteuid()).encode().hex()
            # All at once: nothing in it depends on an answer, and a refusal closes the connection.
            greeting = b"\0AUTH EXTERNAL " + user.encode() + b"\r\nBEGIN\r\n"
            self.socket.send(greeting + self.question(), _socket.MSG_NOSIGNAL)
        except OSError:
            self.socket.close()
            raise

    def question(self) -> bytes:
        """What is asked first."""
        return call(self.path, PROPERTIES, b"Get", INSTANCE.encode(), self.asks_for)

    def is_stop(self) -> bool:
        """Take in what has come: whether the job is to be stopped. Raises OSError when the connection is gone."""
        said: list[bool] = []
        part = self.socket.recv(65536, _socket.MSG_DONTWAIT)
        if not part:
            raise ConnectionResetError
        self.received += part
        if not self.greeted:
            line, end, rest = self.received.partition(b"\r\n")
            if not end and len(self.received) > MESSAGE_MAX:
                raise ConnectionAbortedError
            if not end:
                return False
            if not line.startswith(b"OK"):
                raise ConnectionRefusedError
            self.greeted, self.received = True, rest
        while message := self._next():
            kind, header, body = message
            about_us = kind == REPLY or (b"\0" + self.path + b"\0" in header and b"GoalChanged\0" in header)
            if kind in (SIGNAL, REPLY) and about_us:
                said.append(body.endswith(b"\x04\0\0\0stop\0"))
            elif kind == ERROR and self.has_ended:
                said.append(True)
        return said[-1:] == [True] if self.has_ended else any(said)

    def _next(self) -> tuple[int, bytes, bytes] | None:
        """The type, header and body of the next whole message (D-Bus specification, "Message Format")."""
        data = self.received
        if len(data) < 16:
            return None
        body_size, header_size = (int.from_bytes(data[at : at + 4], "little") for at in (4, 12))
        start = 16 + -(-header_size // 8) * 8
        end = start + body_size
        if data[:1] != b"l" or end > MESSAGE_MAX:  # Upstart runs on this machine, and so with its byte order
            raise ConnectionAbortedError
        if len(data) < end:
            return None
        self.received = data[end:]
        return data[1], data[:start], data[start:end]


def is_there() -> bool:
    """Whether the system's init is Upstart, as process 1 itself says: by listening under Upstart's name."""
    try:
        return listener(SYSTEM_INIT, _socket.SOCK_STREAM) == (1, 0)
    except OSError:
        return False


def _refuse_others(user: int, trusted: tuple[int, ...]) -> None:
    if user not in trusted:
        raise PermissionError(1, f"user {user} listens under its name")


def address(environ: Environment) -> bytes | str:
    """Where the init listens that started this job: the system's, or the session's that UPSTART_SESSION names."""
    kind, _, name = environ.get(b"UPSTART_SESSION", b"").partition(b"=")
    if kind == b"unix:abstract" and name:
        return b"\0" + name.partition(b",")[0]
    return SYSTEM_INIT


def object_path(service: Service) -> bytes:
    """The D-Bus path of the instance: letters and digits, everything else as _ and its number; nothing as _."""

    def escaped(name: str) -> str:
        letters = name.encode("utf-8", "surrogateescape")
        return "".join(chr(each) if chr(each).isalnum() and each < 128 else f"_{each:02x}" for each in letters) or "_"

    return f"/com/ubuntu/Upstart/jobs/{escaped(service.name)}/{escaped(service.instance)}".encode()


def call(path: bytes, interface: bytes, method: bytes, *words: bytes) -> bytes:
    """A call of a method of the object at this path, with texts (D-Bus specification, "Message Format")."""

    def string(text: bytes) -> bytes:
        return len(text).to_bytes(4, "little") + text + b"\0"

    def padded(data: bytes, to: int) -> bytes:
        return data + b"\0" * (-len(data) % to)

    fields = b""
    signature = b"s" * len(words)
    for code, kind, value in (
        (1, b"o", string(path)),
        (2, b"s", string(interface)),
        (3, b"s", string(method)),
        *(((8, b"g", bytes((len(signature),)) + signature + b"\0"),) if words else ()),
    ):
        fields = padded(fields, 8) + bytes((code, 1)) + kind + b"\0" + value
    body = b""
    for word in words:
        body = padded(body, 4) + string(word)
    start = b"l\x01\0\x01" + len(body).to_bytes(4, "little") + b"\x01\0\0\0" + len(fields).to_bytes(4, "little")
    return padded(start + fields, 8) + body
