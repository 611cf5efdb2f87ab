"""A daemon of which nothing is heard for a while: one line that says what is waited for, and why that may be.

What stands between the bridge and the daemon is seen in the variables and the parents of the service's processes
(proc_pid_environ(5)). A worker looks: reading them waits for memory that the process may have mapped from a file system
which does not answer.
"""

import posix

from cross_init.errors import print_error
from cross_init.kernel.between import named, parent_of
from cross_init.kernel.evidence import command_line, waits_for_command
from cross_init.kernel.procfs import start_of_living, variables
from cross_init.model import MESSAGE, Target
from cross_init.readiness.condition import Condition
from cross_init.readiness.worker import Task, workers_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.readiness.subject import Subject
    from cross_init.readiness.worker import Tell
    from cross_init.watch.event_loop import Timer

SILENT_S = 30.0  # longer than most daemons take
LOOK_S = 2.0  # for the worker
PROCESSES_MOST = 64  # of the service that are looked at
SHOWN = 80  # letters of a command line
FOUND = b"f"  # the worker's word for what it has found
OF_ITS_TARGET = (b"LISTEN_PID", b"WATCHDOG_PID")  # which name the process that we have become


class Silence(Condition):
    """Says once that nothing was heard for SILENT_S; it asks for nothing to hold. target: None if it says nothing."""

    def __init__(self, service: str, target: Target | None) -> None:
        super().__init__("")
        self.service = service
        self.target = target
        self.watched: Subject | None = None
        self.timer: Timer | None = None

    def attach(self, watched: "Subject") -> None:
        """Wait."""
        self.watched = watched
        self.timer = watched.loop.after(SILENT_S, self._too_long)

    def _too_long(self) -> None:
        self.timer = None
        watched = self.watched
        if watched is None or watched.has_spoken:
            return
        if self.target is None:
            self.say("")
        else:
            workers_of(watched).send(Look(self, watched, self.target))

    def say(self, found: str) -> None:
        """The line. found: what speaks for one reason; "": the reasons that there often are."""
        watched = self.watched
        if watched is None or watched.has_spoken or not watched.outstanding:
            return
        reasons = found or (self.target.when_silent if self.target is not None else "")
        if watched.unheard and not found:
            reasons = (
                f"process {watched.unheard} has spoken, which may not (--notify-access {watched.notify_access}): say "
                "--notify-access all if it is the service's"
            )
        who, missing = f"{self.service} (PID {watched.pid})", " and ".join(watched.outstanding)
        print_error(
            f"waiting for {who} to be ready: after {SILENT_S:g} s nothing was heard of it, and it still waits for "
            f"{missing}{f': {reasons}' if reasons else ''}",
            0,
        )

    def stop(self) -> None:
        """Wait no more."""
        if self.watched is not None:
            self.watched.loop.cancel(self.timer)
            self.watched = None


class Look(Task):
    """What the service's processes have to say of why nothing is heard."""

    def __init__(self, silence: Silence, watched: "Subject", target: Target) -> None:
        super().__init__(set(), LOOK_S)
        self.silence = silence
        self.watched = watched
        self.target = target
        self.found = ""

    def do(self, tell: "Tell") -> None:
        """In the worker."""
        others = {self.watched.pid, posix.getpid(), posix.getppid()}  # the last two are ours
        pids = [self.watched.pid, *(pid for pid in self.watched.family() if pid not in others)]
        seen = [each for each in map(see, pids[:PROCESSES_MOST]) if each is not None]
        tell(FOUND, reason(seen, self.target, self.watched.notify_access))

    def hear(self, kind: bytes, text: bytes) -> None:
        """What it has found."""
        if kind == FOUND:
            self.found = text.decode("utf-8", "replace")

    def over(self, done: bool) -> None:
        """Say it, or what can be said without."""
        self.silence.say(self.found)


class Seen:
    """A process of the service. environ: its variables' entries as it was started; None: they are not to be had."""

    def __init__(self, pid: int, parent: int, words: list[str], environ: list[bytes] | None) -> None:
        self.pid = pid
        self.parent = parent
        self.words = words
        self.environ = environ

    def __str__(self) -> str:
        return named(self.pid, self.words, SHOWN)

    def lacks(self, variable: bytes) -> bool:
        """Whether it was started without it. Who has written over its variables, as for ps(1), shows none of them."""
        if self.environ is None or not all(b"=" in entry for entry in self.environ):
            return False
        return not any(entry.startswith(variable + b"=") for entry in self.environ)

    def is_told_otherwise(self, variable: bytes) -> bool:
        """Whether this variable of its has the PID of another process."""
        wanted = b"%b=%d" % (variable, self.pid)
        return any(each.startswith(variable + b"=") and each != wanted for each in self.environ or [])


def see(pid: int) -> Seen | None:
    """This process, None if it has ended or is nothing to us."""
    try:
        if not start_of_living(pid):
            return None
        words = command_line(pid)
    except OSError:
        return None
    try:
        environ = variables(pid).split(b"\0")
        environ = environ[:-1] if environ[-1] == b"" else environ
    except OSError:
        return Seen(pid, parent_of(pid), words, None)
    return Seen(pid, parent_of(pid), words, environ)


def reason(processes: list[Seen], target: Target, access: str) -> str:
    """What is seen in these, the first of which is the main process, that keeps us from hearing; "" if nothing is.

    Pure.
    """
    if not processes:
        return ""
    found: list[str] = []
    lacking = {each.pid: each for each in processes if target.variable and each.lacks(target.variable)}
    first = next((each for each in lacking.values() if each.parent not in lacking), None)
    if first is not None:
        name = target.variable.decode()
        found.append(
            f"{first} has no {name}, which what was run before it has dropped (su -, sudo, env -i): have it kept, by "
            f"su without the dash, or sudo --preserve-env={name}"
        )
    main = processes[0]
    child = next((each for each in processes if each.parent == main.pid), None)
    if child is not None and waits_for_command(main.words):
        misled = [variable.decode() for variable in OF_ITS_TARGET if child.is_told_otherwise(variable)]
        means = f", and {' and '.join(misled)} in its variables mean that one" if misled else ""
        others = ", or say --notify-access all" if target.says == MESSAGE and access != "all" else ""
        found.append(
            f"{main} is what is listened to, and waits for {child}{means}: write exec before that there{others}"
        )
    return "; ".join(found)
