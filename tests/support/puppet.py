"""The test's end of the strings of tests/daemons/puppet.py."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LONGEST_S = 15


class Puppet:
    """One puppet that has come: who it is, as it says itself."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        connection.settimeout(LONGEST_S)
        self.lines = connection.makefile("rb")
        self.hello = self.hear("hello")
        self.pid: int = self.hello["pid"]
        self.environ: dict[str, str] = self.hello["environ"]

    def tell(self, command: str) -> None:
        """Have it do this."""
        self.connection.sendall(command.encode())

    def hear(self, event: str) -> dict[str, Any]:
        """The next thing that it says, which has to be this."""
        line = self.lines.readline()
        assert line, f"the daemon ended; waited for {event}"
        said: dict[str, Any] = json.loads(line)
        assert said["event"] == event, said
        return said

    def hear_signal(self, number: int) -> None:
        """The next thing that it says has to be that it got this signal."""
        assert self.hear("signal")["number"] == number

    def last_words(self) -> list[dict[str, Any]]:
        """All that it says from now on until it has ended."""
        try:
            return [json.loads(line) for line in self.lines]
        except ConnectionResetError:  # killed before it had read what we told it
            return []

    def send(self, message: str) -> None:
        """Have it send the bytes of this Python expression as a notification, and return when that was dealt with."""
        self.tell(f"send {message}")
        self.hear("sent")

    def do(self, code: str) -> None:
        """Have it run this Python code, and return when it has; what it makes stays."""
        self.tell(f"do {code}")
        self.hear("done")

    def get_ready(self) -> None:
        """Have it stop itself, as a daemon for Upstart does that is ready, and return when it was continued."""
        self.tell("stop")
        self.hear("continued")


class Stage:
    """Where puppets come to. path: the socket, as the test has it."""

    def __init__(self, path: Path) -> None:
        self.puppets: list[Puppet] = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        path.chmod(0o777)  # for daemons of other users
        self.listener.listen()
        self.listener.settimeout(LONGEST_S)

    def puppet(self) -> Puppet:
        """The next one that comes."""
        connection, _ = self.listener.accept()
        self.puppets.append(Puppet(connection))
        return self.puppets[-1]

    def dismiss(self) -> None:
        """End all that have come."""
        for puppet in self.puppets:
            puppet.lines.close()
            puppet.connection.close()
        self.puppets.clear()

    def is_empty(self) -> bool:
        """Whether no puppet waits to be let in."""
        self.listener.setblocking(False)
        try:
            self.listener.accept()[0].close()
        except BlockingIOError:
            return True
        finally:
            self.listener.settimeout(LONGEST_S)
        return False


@contextmanager
def stage(path: Path) -> Iterator[Stage]:
    """A place for puppets to come to; those that are left end with it."""
    opened = Stage(path)
    try:
        yield opened
    finally:
        opened.dismiss()
        opened.listener.close()
        path.unlink(missing_ok=True)  # the root that it was in may have ended
