"""Descriptors that puppets want kept, and who keeps them."""

import os
import signal
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cross_init.kernel.sock_diag import unix_listeners
from tests.support.puppet import Puppet
from tests.support.show import Show
from tests.support.upstart import Job
from tests.support.waiting import until

FOLDER = Path("/run/cross-init")
LONGEST_S = 15
# What a puppet learns: keep(TEXT, FD...) sends a message with descriptors, and returns when it was dealt with.
KEEP = """
import os, socket
def keep(text, *fds):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        where = os.environ["NOTIFY_SOCKET"]
        sender.connect("\\0" + where[1:] if where[0] == "@" else where)
        socket.send_fds(sender, [text.encode()], fds)
        read, write = os.pipe()
        socket.send_fds(sender, [b"BARRIER=1"], [write])
        os.close(write)
        os.read(read, 1)
        os.close(read)
"""


def keep(puppet: Puppet, text: str, *expressions: str) -> None:
    """Have it send this message, with the descriptors that these Python expressions are."""
    puppet.do(f"{KEEP}\nkeep({text!r}, {', '.join(expressions)})")


def kept(puppet: Puppet) -> list[tuple[str, str]]:
    """What it was given: name, and what /proc says of the descriptor."""
    environ, fds = puppet.environ, puppet.hello["fds"]
    if "LISTEN_FDS" not in environ:
        return []
    assert environ["LISTEN_PID"] == str(puppet.pid)
    names = environ["LISTEN_FDNAMES"].split(":")
    assert len(names) == int(environ["LISTEN_FDS"])
    return [(name, fds[str(3 + at)]) for at, name in enumerate(names)]


class Client:
    """One that is connected to a daemon. Its connection lives as long as anybody has the daemon's end."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        connection.settimeout(LONGEST_S)

    def says(self, text: str) -> None:
        """Say this to the daemon, whether it lives or not."""
        self.connection.sendall(text.encode())

    def hears(self) -> str:
        """What the daemon says; "" when nobody has its end any more."""
        return self.connection.recv(100).decode()

    def is_served(self) -> bool:
        """Whether somebody has the other end."""
        self.connection.setblocking(False)
        try:
            return self.connection.recv(100, socket.MSG_PEEK) != b""
        except BlockingIOError:
            return True
        finally:
            self.connection.settimeout(LONGEST_S)


@contextmanager
def client(puppet: Puppet, text: str = "FDSTORE=1\nFDNAME=client") -> Iterator[Client]:
    """One that is connected to the puppet, which has given the connection away to be kept."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        puppet.do(f"import socket; connection = socket.create_connection({listener.getsockname()})")
        accepted = Client(listener.accept()[0])
    with accepted.connection:
        keep(puppet, text, "connection.fileno()")
        yield accepted


def serve(puppet: Puppet, number: int) -> None:
    """Have it echo once to the client whose connection it was given with this number."""
    puppet.do(
        f"import socket\nwith socket.socket(fileno=os.dup({number})) as client:\n"
        "    client.sendall(b'echo ' + client.recv(100))"
    )


OTHERS: set[Path | bytes] = set()  # where others' holders were listening before this test


def holders() -> list[Path]:
    """The sockets of this test's holders that there are, or were killed."""
    return sorted(path for path in FOLDER.glob("cross-init.*") if path not in OTHERS)


def users_holders() -> set[bytes]:
    """The abstract names of this test's holders that users have."""
    return {name for name, _, _, _ in unix_listeners() if name.startswith(b"\0cross-init/store/")} - OTHERS


@contextmanager
def only_ours() -> Iterator[None]:
    """A test: what others have is none of its business, and what it has left at its end is ended."""
    OTHERS.update(holders(), users_holders())
    try:
        yield
    finally:
        places: list[Path | bytes] = [*holders(), *users_holders()]
        for place in places:
            with suppress(OSError):  # it was killed, or ends
                os.kill(holder(place), signal.SIGKILL)
            if isinstance(place, Path):
                place.unlink(missing_ok=True)
        OTHERS.clear()


def holder(path: Path | bytes) -> int:
    """The PID of the holder that listens there, or under this abstract name."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asker:
        asker.connect(path if isinstance(path, bytes) else str(path))
        pid, _, _ = struct.unpack("3i", asker.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    assert pid > 1
    return int(pid)


def abstract(user: int) -> bytes:
    """The abstract name under which this user's only holder listens."""
    begins = f"\0cross-init/store/{user}/".encode()
    (name,) = {name for name, _, _, owner in unix_listeners() if owner == user and name.startswith(begins)}
    return name


def one_more(show: Show, *options: str, most: int = 3, user: int = 0) -> tuple[Job, Puppet]:
    """One more start of the same service."""
    words = ("--init", "none", "-t", "systemd", "-N", f"--fd-store={most}", *options)
    job = show.job(*words, expect_stop=False)
    job.spawn(user=user)
    return job, show.stage.puppet()


def end_of_all(job: Job, puppet: Puppet, *names: str) -> str:
    """Have what is kept under these names removed, which ends the holder, and the daemon end; what was said."""
    for name in names:
        keep(puppet, f"FDSTOREREMOVE=1\nFDNAME={name}")
    until(lambda: holders() == [], "the holder has ended, as it keeps nothing")
    puppet.tell("exit 0")
    job.ended()
    assert job.orphans_gone_within(5)
    return job.said()
