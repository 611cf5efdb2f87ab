"""--ready-when listening: the daemon or a descendant has a socket that listens, and is not one that it was given.

One that it was given listened before: it counts when the daemon attends to it, as far as that can be seen
(attending.py).
"""

import posix

from cross_init.errors import Failure, why
from cross_init.kernel.linux import read
from cross_init.kernel.process_stat import open_descriptors
from cross_init.kernel.sock_diag import unix_listeners, why_not
from cross_init.readiness.attending import Sockets
from cross_init.readiness.condition import Condition
from cross_init.readiness.repeated import Repeated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.readiness.subject import Subject

SAY_WHY = 0.5  # the step, in seconds, from which on it is said why it does not hold: after two seconds or so
LISTEN = "0A"  # TCP_LISTEN, proc_pid_net(5), tcp


class Listening(Repeated):
    """Looks at the descriptors of the daemon's processes and at the kernel's tables of sockets."""

    complaint = ""
    has_said_why = False

    def attach(self, watched: "Subject") -> None:
        """What is open before the daemon's first step is what it was given."""
        self.passed = Sockets(watched.passed_sockets, watched.passed_inodes)
        self.given = self.passed.links
        super().attach(watched)

    def ask(self) -> None:
        """Look at every process of the service."""
        self.answer(any(self._listens(pid) for pid in self.watched.family()))
        if self.given and not self.over and not self.has_said_why and self.step > SAY_WHY:
            self.has_said_why = True
            hidden = "; what its threads wait for may not be seen here, only epoll (CAP_SYS_PTRACE is needed)"
            self.watched.reporter.say(
                f"--ready-when {self.text}: it has no socket of its own that listens, and is not seen to attend to the "
                f"one that it was passed (epoll, poll, accept){hidden * self.passed.is_hidden}; waiting on"
            )

    def _listens(self, pid: int) -> bool:
        links = open_descriptors(pid) or {}  # none if it has ended, or is not ours to look at
        own = {link for link in links.values() if link.startswith("socket:")} - self.given
        if self.given and self.passed.are_attended(pid, links):
            return True
        return bool(own) and not (own.isdisjoint(tcp_sockets(pid)) and own.isdisjoint(self._unix_sockets(pid)))

    def _unix_sockets(self, pid: int) -> set[str]:
        try:
            return unix_sockets(pid)
        except Failure as failure:
            if str(failure) != self.complaint:
                self.complaint = str(failure)
                self.watched.reporter.say(
                    f"--ready-when {self.text}: looking at UNIX sockets: {failure}; only TCP counts"
                )
            return set()


def tcp_sockets(pid: int) -> set[str]:
    """The TCP sockets that listen in the process's network namespace, as its descriptors show them.

    These tables hold numbers alone, so nobody can write lines of his own into them.
    """
    found = set()
    for table in ("tcp", "tcp6"):
        for line in read(f"/proc/{pid}/net/{table}", 1 << 24).split("\n")[1:]:
            fields = line.split()
            if len(fields) > 9 and fields[3] == LISTEN:
                found.add(f"socket:[{fields[9]}]")
    return found


def unix_sockets(pid: int) -> set[str]:
    """The same of UNIX sockets, whose table in /proc holds names, which may be anything. Raises Failure."""
    try:
        there = posix.open(f"/proc/{pid}/ns/net", posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return set()  # it has ended
    try:
        found = listeners_in(there)
    finally:
        posix.close(there)
    return {f"socket:[{inode}]" for inode in found}


def listeners_in(network: int) -> set[int]:
    """The inodes of the UNIX sockets that listen in this network namespace. Raises Failure."""
    ours = posix.open("/proc/self/ns/net", posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        is_ours = posix.fstat(ours).st_ino == posix.fstat(network).st_ino
        if not is_ours:
            enter_network(network)
        try:
            return {inode for _, _, inode, _ in unix_listeners()}
        except OSError as error:
            raise Failure(why_not(error)) from None
        finally:
            if not is_ours:
                enter_network(ours)
    finally:
        posix.close(ours)


def enter_network(network: int) -> None:
    """Open sockets there from now on: this thread, and nobody else. Raises Failure."""
    from cross_init.kernel.system_calls import move_to_network

    try:
        move_to_network(network)
    except OSError as error:
        raise Failure(f"the daemon is in another network namespace, which only root may enter: {why(error)}") from None


def make(kind: str, rest: str, text: str, bus: str) -> Condition:
    """There is only one."""
    return Listening(text)
