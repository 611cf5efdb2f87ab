"""A syslog daemon's socket, and what arrives there."""

import re
import socket
from pathlib import Path

LONGEST_S = 10
# RFC 3164, from the facility "daemon": the service, its PID, and what it says.
ENTRY = re.compile(r"<30>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d ([^ \[]+)\[(\d+)\]: (.*)", re.DOTALL)


class Syslog:
    """A syslog daemon's socket. start() and stop() it as often as wanted."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.listener: socket.socket | None = None
        self.connection: socket.socket | None = None
        self.taken = b""

    def start(self, kind: socket.SocketKind) -> None:
        """Be there. A stream takes one connection, when the first line is read."""
        self.listener = socket.socket(socket.AF_UNIX, kind)
        self.listener.bind(str(self.path))
        self.listener.settimeout(LONGEST_S)
        if kind == socket.SOCK_STREAM:
            self.listener.listen()

    def stop(self) -> None:
        """Be gone, and the socket with it."""
        for each in (self.connection, self.listener):
            if each is not None:
                each.close()
                self.path.unlink(missing_ok=True)
        self.connection = self.listener = None
        self.taken = b""

    def entry(self) -> str:
        """The next entry as it came, waited for; "" at the end of a stream."""
        assert self.listener is not None
        if self.listener.type == socket.SOCK_DGRAM:
            return self.listener.recv(65536).decode()
        if self.connection is None:
            self.connection, _ = self.listener.accept()
            self.connection.settimeout(LONGEST_S)
        while b"\0" not in self.taken:
            part = self.connection.recv(65536)
            if not part:
                assert not self.taken, "an entry without its end"
                return ""
            self.taken += part
        entry, _, self.taken = self.taken.partition(b"\0")
        return entry.decode()

    def line(self) -> str:
        """What the next entry says."""
        found = ENTRY.fullmatch(self.entry())
        assert found
        return found[3]

    def waiting(self) -> list[str]:
        """What the entries say that are there and were not read."""
        assert self.listener is not None
        self.listener.setblocking(False)
        lines = []
        try:
            while True:
                lines.append(self.line())
        except BlockingIOError:
            return lines
        finally:
            self.listener.settimeout(LONGEST_S)
