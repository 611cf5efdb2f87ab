"""Which process Upstart tracks for a job: asked where a shell has started us, before anything waits for that.

Either the shell is the job's main process (a script without exec, or a pipe behind the command), or the variables of a
job have come down to a shell that is none.
"""

import posix
from time import monotonic

from cross_init.kernel.between import ancestors, command_line
from cross_init.model import Service
from cross_init.systems.upstart_control import ERROR, REPLY
from cross_init.systems.upstart_control import Goal as Connection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.kernel.evidence import Evidence

PATIENCE_S = 1.0
MAIN = b"main\0"  # how the main process is called among those of a job
SHOWN = 100  # letters of a command line


class Found:
    """is_tracked: the process main, with its command line in words, is the job's. Else why it is doubted."""

    __slots__ = ("is_tracked", "main", "why", "words")

    def __init__(self, main: int, words: list[str], why: str = "") -> None:
        self.main = main
        self.words = " ".join(words)[:SHOWN]
        self.why = why
        self.is_tracked = not why


def look(job: Service, evidence: "Evidence") -> Found | None:
    """What Upstart says, or that it says nothing; None if it tracks this very process."""
    parent = f"process {evidence.parent} ({' '.join(evidence.parent_words)[:SHOWN]}) has started this one"
    try:
        main = main_process(job, evidence)
    except OSError:
        return Found(0, [], f"{parent}, and no Upstart answers")
    if main == posix.getpid():
        return None
    if main in ancestors(evidence.parent):
        return Found(main, command_line(main))
    tracks = f"Upstart tracks process {main} for it" if main else "Upstart has no such job running"
    return Found(0, [], f"{parent}, and {tracks}")


def main_process(job: Service, evidence: "Evidence") -> int:
    """The PID that Upstart tracks, 0 if it has no such job or no process for it. Raises OSError."""
    asked = Asked(job, evidence)
    try:
        end = monotonic() + PATIENCE_S
        while asked.main is None:
            if not asked.wait(end - monotonic()):
                raise TimeoutError(110, "Upstart does not answer")
            asked.is_stop()
        return asked.main
    finally:
        asked.close()


class Asked(Connection):
    """The same connection, with another question. main: the answer, None as long as there is none."""

    asks_for = b"processes"

    def __init__(self, job: Service, evidence: "Evidence") -> None:
        """Connect and ask. Raises OSError."""
        self.main: int | None = None
        super().__init__(job, evidence.environ)

    def _next(self) -> tuple[int, bytes, bytes] | None:
        message = super()._next()
        if message is not None and message[0] in (REPLY, ERROR):
            self.main = main_of(message[2]) if message[0] == REPLY else 0
        return message

    def wait(self, seconds: float) -> bool:
        """Whether something has come in this time."""
        from select import POLLIN, poll

        poller = poll()
        poller.register(self.fileno(), POLLIN)
        return seconds > 0 and bool(poller.poll(seconds * 1000))


def main_of(body: bytes) -> int:
    """The main process in a variant of a(si), names and PIDs (D-Bus specification, "Marshaling"); 0: none."""

    def number(at: int) -> int:
        return int.from_bytes(body[at : at + 4], "little")

    if not body.startswith(b"\x05a(si)\0"):
        return 0
    at = 16
    end = min(at + number(8), len(body))
    while at < end:
        behind = at + 4 + number(at) + 1
        aligned = -(-behind // 4) * 4
        if body[at + 4 : behind] == MAIN:
            return number(aligned)
        at = -(-(aligned + 4) // 8) * 8
    return 0
