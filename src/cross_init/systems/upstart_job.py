"""What Upstart says of a job: which process it tracks, where a shell has started us; and how it is, for who asks.

Either the shell is the job's main process (a script without exec, or a pipe behind the command), or the variables of a
job have come down to a shell that is none.
"""

import _socket
import posix
from time import monotonic

from cross_init.kernel.between import ancestors, named
from cross_init.kernel.evidence import command_line
from cross_init.kernel.linux import Environment
from cross_init.model import DOWN, READY, STARTING, STOPPING, Service
from cross_init.systems.upstart_control import ERROR, INSTANCE, PROPERTIES, REPLY, call
from cross_init.systems.upstart_control import Goal as Connection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.kernel.evidence import Evidence

PATIENCE_S = 1.0
MANAGER = b"/com/ubuntu/Upstart"
MAIN = b"main\0"  # how the main process is called among those of a job


class Found:
    """is_tracked: the process that is named in words is the job's main one. Else why it is doubted."""

    __slots__ = ("is_tracked", "why", "words")

    def __init__(self, main: int, words: list[str], why: str = "") -> None:
        self.words = named(main, words)
        self.why = why
        self.is_tracked = not why


# The states of a job that is not stopped (init(8), "Job states"), as far as its main process is there.
STATES = {
    b"spawned": STARTING,
    b"post-start": STARTING,
    b"running": READY,
    b"stopping": STOPPING,
    b"pre-stop": STOPPING,
}


def state_of(job: Service) -> tuple[str, int] | None:
    """How this instance is, and its main process; None if Upstart has none such. Raises OSError."""
    state = Asked(job, {}, b"state").answer()
    if state is None:
        return None
    word = STATES.get(text_of(state), DOWN)
    processes = Asked(job, {}, b"processes").answer() if word != DOWN else None
    return word, main_of(processes) if processes else 0


def look(job: Service, evidence: "Evidence") -> Found | None:
    """What Upstart says, or that it says nothing; None if it tracks this very process."""
    parent = f"{named(evidence.parent, evidence.parent_words)} has started this one"
    try:
        main = main_process(job, evidence.environ)
    except OSError:
        return Found(0, [], f"{parent}, and no Upstart answers")
    if main == posix.getpid():
        return None
    if main in ancestors(evidence.parent):
        return Found(main, command_line(main))
    tracks = f"Upstart tracks process {main} for it" if main else "Upstart has no such job running"
    return Found(0, [], f"{parent}, and {tracks}")


def main_process(job: Service, environ: Environment) -> int:
    """The PID that Upstart tracks, 0 if it has no such job or no process for it. Raises OSError."""
    said = Asked(job, environ, b"processes").answer()
    return main_of(said) if said is not None else 0


class Asked(Connection):
    """The same connection, with another question."""

    def __init__(self, job: Service, environ: Environment, what: bytes) -> None:
        """Connect and ask for this property. Raises OSError."""
        self.asks_for = what
        self.kind = 0
        self.said = b""
        super().__init__(job, environ)

    def _next(self) -> tuple[int, bytes, bytes] | None:
        message = super()._next()
        if message is not None and message[0] in (REPLY, ERROR):
            self.kind, _, self.said = message
        return message

    def answer(self) -> bytes | None:
        """What it is, as a variant; None if Upstart knows no such instance. Closes. Raises OSError."""
        try:
            return self.next_answer(monotonic() + PATIENCE_S)
        finally:
            self.close()

    def next_answer(self, end: float) -> bytes | None:
        """The answer's body, None if it is an error. end: until when to wait for it. Raises OSError."""
        from select import POLLIN, poll

        poller = poll()
        poller.register(self.fileno(), POLLIN)
        while not self.kind:
            if not poller.poll(max(0.0, end - monotonic()) * 1000):
                raise TimeoutError(110, "Upstart does not answer")
            self.is_stop()
        kind, self.kind = self.kind, 0
        return self.said if kind == REPLY else None


class Census(Asked):
    """All instances of all jobs, over one connection."""

    def question(self) -> bytes:
        """Which jobs there are."""
        return call(MANAGER, b"com.ubuntu.Upstart0_6", b"GetAllJobs")

    def take(self) -> dict[int, Service]:
        """The jobs, each by its main process. Closes. Raises OSError."""
        end = monotonic() + PATIENCE_S
        found: dict[int, Service] = {}
        try:
            for job in paths_of(self.next_answer(end)):
                for instance in paths_of(self._ask(end, job, b"com.ubuntu.Upstart0_6.Job", b"GetAllInstances")):
                    get = (PROPERTIES, b"Get", INSTANCE.encode(), b"processes")
                    main = main_of(self._ask(end, instance, *get) or b"")
                    if main:
                        found[main] = service_at(instance)
        finally:
            self.close()
        return found

    def _ask(self, end: float, path: bytes, *words: bytes) -> bytes | None:
        self.socket.send(call(path, *words), _socket.MSG_NOSIGNAL)
        return self.next_answer(end)


def job_of(pid: int) -> Service | None:
    """The job of the system's Upstart of which this is the main process, as Upstart itself says. Raises OSError.

    What a process shows as its variables may be gone: it has shown something else in their place (setproctitle(3)).
    """
    return Census(Service(""), {}, b"").take().get(pid)


def paths_of(body: bytes | None) -> list[bytes]:
    """The paths in an answer of the type ao (D-Bus specification, "Marshaling")."""
    found: list[bytes] = []
    at, body = 4, body or b""
    while at + 4 <= len(body):
        size = int.from_bytes(body[at : at + 4], "little")
        found.append(body[at + 4 : at + 4 + size])
        at = -(-(at + 4 + size + 1) // 4) * 4
    return found


def service_at(path: bytes) -> Service:
    """The job and its instance of which this is the path (upstart_control.object_path())."""
    name, instance = path.split(b"/")[-2:]
    return Service(plain(name), plain(instance))


def plain(part: bytes) -> str:
    """A part of a path, with what stands for other letters as these."""
    if part == b"_":
        return ""
    first, *rest = part.split(b"_")
    text = first + b"".join(bytes((int(each[:2], 16),)) + each[2:] for each in rest)
    return text.decode("utf-8", "replace")


def text_of(body: bytes) -> bytes:
    """The text in a variant of s (D-Bus specification, "Marshaling"); empty if it is none."""
    size = int.from_bytes(body[4:8], "little")
    return body[8 : 8 + size] if body.startswith(b"\x01s\0") else b""


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
