"""What a systemd says of units on D-Bus (org.freedesktop.systemd1(5)), asked on its private socket: many in a moment.

Its manager wants whoever asks to be of its own PID namespace: this runs itself there, as a program.

usage: python -m tests.support.properties SOCKET <NAMES   for each name, a line each, prints an object as JSON
"""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jeepney import DBusAddress, HeaderFields, Parser, new_method_call

PROJECT = Path(__file__).resolve().parents[2]
PREFIX = "org.freedesktop.systemd1"
LONGEST_S = 30


class Properties:
    """The properties of units of a manager. pid: its container's process 1. folder: where its own socket is."""

    def __init__(self, pid: int, folder: str) -> None:
        where = f"/proc/{pid}/root/{folder}/systemd/private"
        self.process = subprocess.Popen(
            ["nsenter", "--target", str(pid), "--pid", "--", sys.executable, "-m", __name__, where],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def of(self, unit: str) -> dict[str, Any]:
        """Those of a unit, which is loaded for that if it is not yet."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(unit, file=self.process.stdin, flush=True)
        found: dict[str, Any] = json.loads(self.process.stdout.readline())
        return found

    def close(self) -> None:
        """End who asks."""
        self.process.kill()
        self.process.communicate()


@contextmanager
def properties(pid: int, user: int = 0) -> Iterator[Properties]:
    """Whom to ask, until the end; of a user's manager, if it is not that of the system."""
    asked = Properties(pid, f"run/user/{user}" if user else "run")
    try:
        yield asked
    finally:
        asked.close()


class Asking:
    """A connection to a manager."""

    def __init__(self, path: str) -> None:
        self.parser = Parser()
        self.serial = 0
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(LONGEST_S)
        self.socket.connect(path)
        self.socket.sendall(b"\0AUTH EXTERNAL 30\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n")  # as root, all at once
        said = self.socket.recv(1024)
        assert said.startswith(b"OK "), said

    def properties(self, unit: str, kind: str) -> dict[str, Any]:
        """Those of one interface of a unit, which is loaded for that if it is not yet."""
        path = "".join(each if each.isalnum() and each.isascii() else f"_{ord(each):02x}" for each in unit)
        properties = "org.freedesktop.DBus.Properties"
        address = DBusAddress(f"/org/freedesktop/systemd1/unit/{path}", PREFIX, properties)
        self.serial += 1
        message = new_method_call(address, "GetAll", "s", (f"{PREFIX}.{kind}",))
        self.socket.sendall(message.serialise(serial=self.serial))
        while True:
            answer = self.parser.get_next_message()
            if answer is None:
                data = self.socket.recv(1 << 20)
                assert data, f"the manager has ended at {unit}"
                self.parser.add_data(data)
            elif answer.header.fields.get(HeaderFields.reply_serial) == self.serial:
                said = answer.body[0]
                return {name: value for name, (_, value) in said.items()} if isinstance(said, dict) else {}


def plain(value: object) -> object:
    """For JSON, which has no bytes."""
    assert isinstance(value, bytes)
    return list(value)


def main() -> None:
    """Print all."""
    asking = Asking(sys.argv[1])
    for line in sys.stdin:
        unit = line.rstrip("\n")
        kind = unit.rpartition(".")[2].capitalize()
        said = asking.properties(unit, "Unit") | asking.properties(unit, kind)
        print(json.dumps(said, default=plain), flush=True)


if __name__ == "__main__":
    main()
