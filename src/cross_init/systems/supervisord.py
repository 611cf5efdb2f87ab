"""supervisord: it waits for no readiness, but passes on what a child writes between two marks on standard output.

A PROCESS_COMMUNICATION event (supervisord.org/events.html, "PROCESS_COMMUNICATION Event Type") for its event listeners.
Only who has the service's standard output can write it, so the watcher keeps that until the daemon is ready.

An [fcgi-program] has its socket as standard input, which counts as passed on every init (gather.py).
"""

import posix

from cross_init.errors import Failure
from cross_init.kernel.linux import Environment
from cross_init.model import ANYONE, EVENT, Claim, Service
from cross_init.model import Init as Base

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.kernel.evidence import Evidence

# What supervisord sets for each child (supervisord.org/subprocess.html, "Subprocess Environment").
ENABLED, NAME, GROUP = b"SUPERVISOR_ENABLED", b"SUPERVISOR_PROCESS_NAME", b"SUPERVISOR_GROUP_NAME"
VARIABLES = (ENABLED, NAME, GROUP, b"SUPERVISOR_SERVER_URL")
BEGIN, END = "<!--XSUPERVISOR:BEGIN-->", "<!--XSUPERVISOR:END-->"
OPTION = "event"


class Init(Base):
    """We run as a program of supervisord; for supervisorctl it is RUNNING when it has lived for startsecs."""

    name = "supervisord"
    passes = "standard input"  # to an [fcgi-program]
    from_whom = ANYONE
    carried = ()
    instead = "with --init supervisord:event its event listeners are told"
    option_is_for = ("--notify", "--ready-when")
    options = f"{OPTION}, to tell supervisord's event listeners"

    def configure(self, option: str) -> None:
        """Whether to write events: their program has to have stdout_capture_maxbytes. Raises Failure."""
        if option and option != OPTION:
            raise Failure(f"--init {self.name}:{option}: there it takes {self.options}")
        if option:
            self.hears = EVENT
            self.job_type = "stdout_capture_maxbytes = 1KB"

    def recognise(self, evidence: "Evidence") -> Claim | None:
        """By SUPERVISOR_ENABLED; directly, if it is supervisord that is our parent."""
        if ENABLED not in evidence.environ:
            return None
        return Claim(f"{ENABLED.decode()} is set", is_supervisord(evidence))

    def service(self, evidence: "Evidence", command: str) -> Service:
        """As supervisorctl(1) shows it: the process, behind its group if that has another name."""
        if NAME not in evidence.environ:
            return super().service(evidence, command)
        self.folder = place_of(evidence)
        name, group = (evidence.environ.get(key, b"").decode("utf-8", "replace") for key in (NAME, GROUP))
        return Service(name if group in ("", name) else f"{group}:{name}")

    def strip(self, environ: Environment) -> None:
        """What says that supervisord started this process: it is not so for what the daemon starts."""
        for variable in VARIABLES:
            environ.pop(variable, None)

    def why_unnotified(self, environ: Environment) -> str | None:
        """For an event, standard output has to be the pipe that supervisord reads."""
        if self.hears != EVENT:
            return None
        from fcntl import F_DUPFD_CLOEXEC, fcntl

        try:
            if posix.fstat(1).st_mode & 0o170000 == 0o010000:
                self.descriptors = (fcntl(1, F_DUPFD_CLOEXEC, 3),)
                return None
        except OSError:
            pass
        return "standard output, where events are written, is no pipe to supervisord: do not redirect it"

    def ready(self, service: Service, pid: int, pidfd: int, seconds: float) -> None:
        """Write the event, in one piece: the daemon may write there at any time (pipe(7), PIPE_BUF)."""
        if self.hears != EVENT:
            super().ready(service, pid, pidfd, seconds)
        for fd in self.descriptors:
            from cross_init.notify.descriptor import tell

            tell(fd, f"{BEGIN}cross-init ready {service} {pid}{END}".encode("utf-8", "replace"))


def place_of(evidence: "Evidence") -> str:
    """By what this supervisord is told from another, which may have a program of this name: where and how it runs.

    "" if it is not our parent.
    """
    if not is_supervisord(evidence):
        return ""
    try:
        where = posix.readlink(f"/proc/{evidence.parent}/cwd")
    except OSError:
        where = ""  # another user may not look
    return " ".join((where, *evidence.parent_words))


def is_supervisord(evidence: "Evidence") -> bool:
    """Whether our parent is one: by its name, or, where "python3 -m" started it, by its command line."""
    from cross_init.kernel.linux import read_for_decision

    if evidence.parent_name == "supervisord":
        return True
    return "supervisord" in read_for_decision(f"/proc/{evidence.parent}/cmdline")
