"""Descriptors that puppets want kept, and who keeps them."""

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cross_init.kernel.sock_diag import unix_listeners
from tests.support.early_end import without_early_end
from tests.support.processes import descendants, end
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


OURS: set[Path | bytes] = set()  # where holders of this test were seen to listen: paths, and abstract names
ABSTRACT = b"\0cross-init/store/"


def listening() -> dict[Path | bytes, int]:
    """Where holders of ours listen, and their PIDs: those that descend from this process.

    Others' are none of a test's business: other tests may run on this machine at the same time.
    """
    names = {f"socket:[{inode}]": name for name, _, inode, _ in unix_listeners()}
    found: dict[Path | bytes, int] = {}
    for pid in descendants(os.getpid()):
        for name in {names[link] for link in links(pid) if link in names}:
            if name.startswith(ABSTRACT):
                found[name] = pid
            elif name.startswith(bytes(FOLDER) + b"/cross-init."):
                found[Path(os.fsdecode(name))] = pid
    OURS.update(found)
    return found


def links(pid: int) -> list[str]:
    """What the process's descriptors are, as /proc says it; nothing if it has ended."""
    try:
        return [os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return []


def holders() -> list[Path]:
    """The sockets of this test's holders that there are, or were killed."""
    listening()
    return sorted(path for path in OURS if isinstance(path, Path) and path.exists())


@contextmanager
def only_ours() -> Iterator[None]:
    """A test: what its holders have is let go at its end, which they would not do by themselves."""
    try:
        yield
    finally:
        end(listening().values())
        for place in OURS:
            if isinstance(place, Path):
                place.unlink(missing_ok=True)
        OURS.clear()


def holder(path: Path | bytes) -> int:
    """The PID of the holder that listens there, or under this abstract name."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asker:
        asker.connect(path if isinstance(path, bytes) else str(path))
        pid, _, _ = struct.unpack("3i", asker.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    assert pid > 1
    return int(pid)


def abstract(user: int) -> bytes:
    """The abstract name under which this user's only holder of this test listens."""
    begins = b"%b%d/" % (ABSTRACT, user)
    owned = {name for name, _, _, owner in unix_listeners() if owner == user and name.startswith(begins)}
    (name,) = owned & listening().keys()
    assert isinstance(name, bytes)
    return name


def one_more(show: Show, *options: str, most: int = 3, user: int = 0) -> tuple[Job, Puppet]:
    """One more start of the same service."""
    words = ("--init", "none", "-t", "systemd", "-N", f"--fd-store={most}", *options)
    job = show.job(*words, expect_stop=False)
    job.spawn(user=user)
    return job, show.stage.puppet()


def end_of_all(job: Job, puppet: Puppet, *names: str) -> str:
    """Have what is kept under these names removed, which ends the holder, and the daemon end; what else was said."""
    for name in names:
        keep(puppet, f"FDSTOREREMOVE=1\nFDNAME={name}")
    until(lambda: holders() == [], "the holder has ended, as it keeps nothing")
    puppet.tell("exit 0")
    job.ended()
    assert job.orphans_gone_within(5)
    return without_early_end(job.said())
