"""What stands between a service manager and us: a shell that has started us and stays, or sudo and the like.

A run script without exec, or with a pipe behind the command, leaves a shell there. The init tracks that process, and
stops that one. So it is that init that started us, but we are not what it takes us for.

Only who does nothing but wait for a command is passed over on the way up. A shell in which a person types is none of
these: there it is the person who waits.
"""

from cross_init.kernel.evidence import SHELLS, command_line, program, waits_for_command
from cross_init.kernel.linux import read_for_decision
from cross_init.kernel.process_stat import process_stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.kernel.evidence import Evidence

# Inits that track the process that they have started, by the name of theirs that is its parent (detect.CLUES).
SUPERVISORS = {
    "s6-supervise": "s6",
    "runsv": "runit",
    "supervise": "daemontools",
    "dinit": "dinit",
    "shepherd": "shepherd",
    "systemd": "systemd",
    "supervisord": "supervisord",
    "circusd": "circus",
    "supervise-daemo": "openrc",
    **dict.fromkeys(("tini", "tini-static", "dumb-init", "catatonit", "docker-init", "podman-init"), "container"),
}
FAR = 16  # processes: more than anybody puts one into another
SHOWN = 100  # letters of a command line


class Between:
    """The process that an init has started, and that has started us and waits.

    supervisor: the init's process. main: the one that it tracks. words: that one's command line.
    """

    __slots__ = ("main", "supervisor", "words")

    def __init__(self, supervisor: int, main: int, words: list[str]) -> None:
        self.supervisor = supervisor
        self.main = main
        self.words = words

    def __str__(self) -> str:
        return named(self.main, self.words)

    @property
    def advice(self) -> str:
        """How it gets out of the way, for people."""
        if program(self.words) in SHELLS:
            return (
                "write exec before cross-init-bridge there, and no pipe behind it: have the init take what it says, or "
                "write before it, in bash: exec > >(LOGGER) 2>&1"
            )
        return f"have {program(self.words)} behind us: cross-init-bridge ... -- {program(self.words)} ... DAEMON"


def find(evidence: "Evidence") -> tuple[str, Between] | None:
    """The name of the init that has started who stands between, if only such stand there. Raises OSError."""
    pid, words = evidence.parent, evidence.parent_words
    for _ in range(FAR):
        if pid <= 1 or not waits_for_command(words):
            return None
        above = parent_of(pid)
        init = SUPERVISORS.get(read_for_decision(f"/proc/{above}/comm").rstrip("\n")) if above else None
        # A manager of systemd adopts what has lost its parents; only whom it has started has this variable.
        if init == "systemd" and evidence.environ.get(b"SYSTEMD_EXEC_PID") != str(pid).encode():
            return None
        if init:
            return init, Between(above, pid, words)
        pid, words = above, command_line(above)
    return None


def named(pid: int, words: list[str], most: int = SHOWN) -> str:
    """A process with its command line, for people. most: letters of that."""
    return f"process {pid} ({' '.join(words)[:most]})"


def parent_of(pid: int) -> int:
    """The parent of this process, 0 if it is gone, or if that is outside of our PID namespace."""
    fields = process_stat(pid)
    return int(fields[1]) if len(fields) > 1 else 0


def ancestors(pid: int) -> list[int]:
    """This process and those above it, the nearest first, as far as our PID namespace goes."""
    found: list[int] = []
    while pid > 0 and len(found) < FAR:
        found.append(pid)
        pid = parent_of(pid)
    return found
