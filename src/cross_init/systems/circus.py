"""Circus: it leaves its sockets open in the processes of a watcher with use_sockets, and waits for no readiness.

No variable says where they are. Only in cmd and args circusd writes numbers, for $(circus.sockets.NAME)
(circus.readthedocs.io, "Working with sockets"); so that is how names can be told: --init circus:NAME=NUMBER,...
"""

import posix

from cross_init.bounds import as_descriptor
from cross_init.errors import Failure
from cross_init.kernel.linux import Environment
from cross_init.model import ANYONE, Claim
from cross_init.model import Init as Base

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.kernel.evidence import Evidence
    from cross_init.sockets.passed import Passed


class Init(Base):
    """We run as a process of one of circusd's watchers. numbers: where its sockets are, by their names, if told."""

    name = "circus"
    passes = "descriptors"
    from_whom = ANYONE
    carried = ()
    options = "what circusd wrote for its sockets, as in circus:web=$(circus.sockets.web),..."

    def __init__(self) -> None:
        self.numbers: list[tuple[str, int]] = []

    def configure(self, option: str) -> None:
        """Take in the numbers. Raises Failure."""
        for entry in option.split(",") if option else ():
            name, _, text = entry.partition("=")
            number = as_descriptor(text)
            if not name or number is None:
                raise Failure(
                    f"--init circus:{option}: there it takes {self.options}; circusd writes a number for a socket that "
                    "it has, in cmd and args"
                )
            self.numbers.append((name, number))

    def recognise(self, evidence: "Evidence") -> Claim | None:
        """By the parent's name: circusd sets no variable."""
        if evidence.parent_name == "circusd":
            return Claim(f"the parent process {evidence.parent} is circusd", True)
        return None

    def sockets(self, environ: Environment, pid: int) -> "list[Passed]":
        """Those that were named; else all that were left open and serve, and standard input (stdin_socket)."""
        from cross_init.sockets.passed import describe, standard_input

        if self.numbers:
            return [named(name, number) for name, number in self.numbers]
        numbers = sorted(int(name) for name in posix.listdir("/proc/self/fd"))
        found = [describe(fd) for fd in numbers if fd > 2 and is_passed_on(fd)]
        return standard_input() + [passed for passed in found if passed.listening or passed.kind == "datagram"]

    def warnings(self, environ: Environment) -> list[str]:
        """Its sockets do not block unless it is told so, where those of systemd and Upstart do.

        That is no business of ours to change: the flag is one for all processes that share the socket.
        """
        try:
            passed = self.sockets(environ, 0)
        except Failure:
            return []  # which is said when they are taken
        nonblocking = [str(each) for each in passed if not posix.get_blocking(each.fd)]
        if not nonblocking:
            return []
        which = ", ".join(nonblocking)
        return [
            f"accept on {which} does not block: unless the daemon can do with that, say blocking = True in [socket:...]"
        ]


def named(name: str, number: int) -> "Passed":
    """The socket of this name. Raises Failure if there is none at its number."""
    from cross_init.sockets.passed import describe

    try:
        passed = describe(number, name)
    except Failure:
        passed = None
    if passed is None or not passed.is_socket:
        what = f"a {passed.kind} is open there" if passed else "nothing is open there"
        raise Failure(
            f'taking the socket "{name}" as descriptor {number}: {what}; the watcher in circus\'s configuration has to '
            "say use_sockets = True"
        )
    return passed


def is_passed_on(fd: int) -> bool:
    """Whether it came over exec."""
    try:
        return posix.get_inheritable(fd)
    except OSError:
        return False  # the descriptor by which the folder was read
