"""--ready-when listening: the daemon or a descendant has a socket that listens, other than those it was given."""

import posix

from cross_init.linux import read
from cross_init.readiness.condition import Condition
from cross_init.readiness.repeated import Repeated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.cli import Wish
    from cross_init.watched import Watched

LISTEN = "0A"  # TCP_LISTEN, proc_pid_net(5), tcp
ACCEPTS = 0x10000  # __SO_ACCEPTCON, proc_pid_net(5), unix


class Listening(Repeated):
    """Looks at the descriptors of the daemon's processes and at the kernel's tables of sockets."""

    def attach(self, watched: "Watched") -> None:
        """What is open before the daemon's first step is what it was given."""
        self.given = {f"socket:[{inode}]" for inode in watched.start.passed_inodes}
        super().attach(watched)

    def ask(self) -> None:
        """Look at every process of the service."""
        self.answer(any(self._listens(pid) for pid in self.watched.family()))

    def _listens(self, pid: int) -> bool:
        folder = f"/proc/{pid}/fd"
        links = set()
        try:
            for name in posix.listdir(folder):
                try:
                    links.add(posix.readlink(f"{folder}/{name}"))
                except OSError:
                    continue
        except OSError:
            return False  # it has ended, or is not ours to look at
        own = {link for link in links if link.startswith("socket:")} - self.given
        return bool(own) and not own.isdisjoint(listening_sockets(pid))


def listening_sockets(pid: int) -> set[str]:
    """All sockets that listen in the process's network namespace, as its descriptors show them."""
    found = set()
    for table in ("tcp", "tcp6"):
        for line in read(f"/proc/{pid}/net/{table}", 1 << 24).splitlines()[1:]:
            fields = line.split()
            if len(fields) > 9 and fields[3] == LISTEN:
                found.add(f"socket:[{fields[9]}]")
    for line in read(f"/proc/{pid}/net/unix", 1 << 24).splitlines()[1:]:
        fields = line.split()
        if len(fields) > 6 and int(fields[3], 16) & ACCEPTS:
            found.add(f"socket:[{fields[6]}]")
    return found


def make(kind: str, rest: str, text: str, wish: "Wish") -> Condition:
    """There is only one."""
    return Listening(text)
