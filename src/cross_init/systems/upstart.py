"""Upstart as the init: readiness by stopping ("expect stop", init(5)), sockets by UPSTART_FDS (socket-event(7)).

As the target: upstart_target.py.
"""

import _signal
import posix

from cross_init.errors import Failure
from cross_init.kernel.evidence import SHELLS, WRAPPERS, program
from cross_init.kernel.linux import Environment, read_for_decision
from cross_init.model import ANYONE, STOP, Claim, Service
from cross_init.model import Init as Base

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.kernel.evidence import Evidence
    from cross_init.offered import Cancellation
    from cross_init.sockets.passed import Passed
    from cross_init.systems.upstart_job import Found

SESSION = b"UPSTART_SESSION"  # where a session's Upstart listens
VARIABLES = b"UPSTART_"
# What upstart-socket-bridge(8) adds for the event; they are the job's own variables if there was no such event.
SOCKET_EVENT = (b"PROTO", b"PORT", b"ADDR", b"SOCKET_PATH")


class Init(Base):
    """We run as an Upstart job."""

    name = "upstart"
    passes = "UPSTART_FDS"
    hears = STOP
    from_whom = ANYONE
    clean_environment = True
    marks = (b"UPSTART_JOB",)
    job_type = "expect stop"
    may_miss_readiness = True
    takes_time = True  # as it is asked
    carried = ("is_parent", "session")
    variables = (SESSION,)
    is_parent: bool = False
    session = b""  # which Upstart it is, b"" for the system's
    job = Service("")
    was_looked = False
    found: "Found | None" = None

    def recognise(self, evidence: "Evidence") -> Claim | None:
        """By UPSTART_JOB; directly, if our parent is an init by name or by number."""
        if b"UPSTART_JOB" not in evidence.environ:
            return None
        return Claim("UPSTART_JOB is set", is_init(evidence))

    def why_not_parent(self, evidence: "Evidence") -> str | None:
        """Upstart answers on its socket, yet we are not in a job."""
        from cross_init.systems.upstart_control import is_there

        if not is_there():
            return None
        return (
            "Upstart runs here, but UPSTART_JOB is not set, so this is not a job: "
            "start it as one (initctl start), or say --init none to run it from a shell"
        )

    def service(self, evidence: "Evidence", command: str) -> Service:
        """From UPSTART_JOB and UPSTART_INSTANCE (init(5)); the latter may be empty."""
        environ = evidence.environ
        self.evidence = evidence
        self.is_parent, self.session = is_init(evidence), environ.get(SESSION, b"")
        if b"UPSTART_JOB" not in environ:
            return super().service(evidence, command)
        name, instance = (
            environ.get(key, b"").decode("utf-8", "replace") for key in (b"UPSTART_JOB", b"UPSTART_INSTANCE")
        )
        self.job = Service(name, instance)
        return self.job

    def state_of(self, service: str) -> tuple[str, int] | None:
        """As the system's Upstart says it. service: the job, and behind a slash its instance."""
        from cross_init.systems.upstart_control import is_there

        if not is_there():
            return None
        from cross_init.systems.upstart_job import state_of

        name, _, instance = service.partition("/")
        return state_of(Service(name, instance))

    def why_no_fork(self, environ: Environment) -> str | None:
        """Upstart traces us with expect fork and expect daemon: it would take the watcher for the daemon, for good."""
        if not is_init(self.evidence):
            return None
        if f"\nTracerPid:\t{posix.getppid()}\n" not in read_for_decision("/proc/self/status"):
            return None
        return (
            f"starting {self.job}: the job says expect fork or expect daemon, so Upstart would take a process of ours "
            "for the daemon: write expect stop in its place (and -N here), or no expect at all"
        )

    def why_unnotified(self, environ: Environment) -> str | None:
        """Where a shell stands between, it is the shell that Upstart waits for, and the job would be stuck for good."""
        found = self.look()
        if found is None or not found.is_tracked:
            return None
        return (
            f"it tracks {found.words}, which has started this one and stays, so it would wait "
            "for ever: write exec before cross-init-bridge there, and no pipe behind it (console log has Upstart keep "
            "what it says)"
        )

    def warnings(self, environ: Environment) -> list[str]:
        """That UPSTART_JOB may have come down from elsewhere."""
        found = self.look()
        if found is None or found.is_tracked:
            return []
        return [
            f"UPSTART_JOB={self.job.name} is set, so this is taken for that job; but {found.why}: if it has come down "
            "from elsewhere, unset UPSTART_JOB, or say --init none"
        ]

    def runs_already(self, job: Service) -> bool:
        """Whether the job is running for Upstart: nobody would continue what we stop then (init(8), "Job states")."""
        from cross_init.systems.upstart_job import Asked, text_of

        try:
            state = Asked(job, {SESSION: self.session}, b"state").answer()
        except OSError:
            return False
        return state is not None and text_of(state) == b"running"

    def look(self) -> "Found | None":
        """Who stands in Upstart's place, if it is a shell or the like that has started us, and not Upstart."""
        if not self.was_looked:
            self.was_looked = True
            evidence = self.evidence
            words = evidence.parent_words
            if b"UPSTART_JOB" in evidence.environ and not is_init(evidence) and program(words) in (*SHELLS, *WRAPPERS):
                from cross_init.systems.upstart_job import look

                self.found = look(self.job, evidence)
        return self.found

    def sockets(self, environ: Environment, pid: int) -> "list[Passed]":
        """UPSTART_FDS: one number or several, any numbers. Raises Failure if one is not open."""
        words = environ.get(b"UPSTART_FDS", b"").split()
        if not words:
            return []
        from cross_init.bounds import DESCRIPTOR_MAX, as_descriptor

        numbers = [number for number in map(as_descriptor, words) if number is not None]
        if len(numbers) < len(words):
            shown = environ[b"UPSTART_FDS"].decode("utf-8", "replace")
            raise Failure(
                f"Upstart passed sockets, but UPSTART_FDS={shown} is no list of descriptors, 0 to {DESCRIPTOR_MAX}"
            )
        return [_announced(number) for number in dict.fromkeys(numbers)]

    def strip(self, environ: Environment) -> None:
        """All that begins with UPSTART_, and what came with a socket event."""
        strip(environ)

    def reach(self, evidence: "Evidence") -> str:
        """By stopping the process, if Upstart says that it is the job's. Raises Failure if it is another one."""
        from cross_init.systems.upstart_job import main_process

        if main_process(self.job, evidence.environ) != evidence.pid:
            raise Failure(f"Upstart tracks another process for the job {self.job}, or has no such job")
        return ""

    def given(self, pid: int) -> Environment:
        """The job's name and its instance's."""
        from cross_init.systems.upstart_control import is_there
        from cross_init.systems.upstart_job import job_of

        job = job_of(pid) if is_there() else None
        if job is None:
            return {}
        return {b"UPSTART_JOB": job.name.encode(), b"UPSTART_INSTANCE": job.instance.encode()}

    def ready(self, service: Service, pid: int, pidfd: int, seconds: float) -> None:
        """Stop the main process: Upstart sees that, continues it and moves the job on. If it waits for that."""
        if self.is_parent and self.runs_already(service):
            from cross_init.errors import print_error

            print_error(f'{service} is ready, and the job does not wait for that: add "expect stop" to the job', 0)
            return
        _signal.pidfd_send_signal(pidfd, _signal.SIGSTOP)

    def cancellation(self, service: Service, environ: Environment) -> "Cancellation | None":
        """The job's goal, as Upstart tells it to whoever is connected; None if it does not let us in."""
        from cross_init.systems.upstart_control import Goal

        try:
            return Goal(service, environ)
        except (BlockingIOError, PermissionError) as error:  # what others can bring about
            from cross_init.errors import print_error

            print_error(
                f"asking Upstart whether the start of {service} is cancelled: {error.strerror}; not heard then", 0
            )
            return None
        except OSError:
            return None

    def stays_down(self, service: Service, environ: Environment) -> "Cancellation | None":
        """The same goal, when the job's main process has ended."""
        from cross_init.systems.upstart_control import Goal

        return Goal(service, environ, has_ended=True)

    def check_heard(self, service: Service, pid: int, pidfd: int) -> str | None:
        """The daemon still stands where we stopped it: this job does not wait for that, so we let it run again."""
        from cross_init.kernel.process_stat import process_state

        if process_state(pid) != "T":
            return None
        _signal.pidfd_send_signal(pidfd, _signal.SIGCONT)
        return 'was stopped to say "ready", but Upstart did not continue it, so we did: add "expect stop" to the job'


def is_init(evidence: "Evidence") -> bool:
    """Whether our parent is an init, by number or by name."""
    return evidence.parent == 1 or evidence.parent_name in ("init", "upstart")


def strip(environ: Environment) -> None:
    """Remove Upstart's variables; the event's own only where a socket event is among UPSTART_EVENTS."""
    if b"socket" in environ.get(b"UPSTART_EVENTS", b"").split():
        for variable in SOCKET_EVENT:
            environ.pop(variable, None)
    for variable in [known for known in environ if known.startswith(VARIABLES)]:
        del environ[variable]


def _announced(fd: int) -> "Passed":
    """The listening socket at fd. Raises Failure if there is none."""
    from cross_init.sockets.passed import describe

    passed = None
    try:
        passed = describe(fd)
        what = f"what is open there is a {passed.kind}, which listens to nobody"
    except Failure:
        what = "nothing is open there"
    if passed is None or not passed.listening:
        # Seen with 1.13.2: UPSTART_FDS stays set over a respawn, while the socket is passed only once. Without the
        # socket the daemon could not serve anybody; a job that has ended is started anew, with it, by the next client.
        raise Failure(
            f"taking the socket that UPSTART_FDS={fd} announces: {what}; after a respawn Upstart passes none: "
            "let the job end (no respawn), and the next client starts it with its socket"
        )
    return passed
