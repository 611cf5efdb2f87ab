"""The neutral form between an init and a target: what every init system is described by, and what passes through us.

An init system is described once, as an Init (we run on it) and as a Target (we stand in for it). Both speak only in
the words of this file, so neither knows the other: N + M descriptions instead of N × M translations.

This file is on the way from start to exec. That way imports nothing that costs more than it saves: no os, no typing,
no dataclasses (see docs/design.md, "The hot path"). Hence the plain classes with slots.
"""

import _signal

from cross_init.errors import Failure
from cross_init.kernel.linux import Environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cross_init.kernel.evidence import Evidence
    from cross_init.offered import Cancellation, DescriptorHolder
    from cross_init.readiness.sd_notify import Assignments
    from cross_init.readiness.subject import Subject
    from cross_init.sockets.passed import Passed

# How an init hears that the service is ready, and how a daemon says that it is.
MESSAGE = "message"  # a datagram on a notification socket
STOP = "stop"  # the main process stops on a signal
DESCRIPTOR = "descriptor"  # a write to a descriptor
TEXT = "text"  # a line for a person
EXIT = "exit"  # the command that was started ends with 0 and leaves the daemon running, named by a PID file
FILE = "file"  # a PID file that names the main process appears
ASKED = "asked"  # nothing is said: whoever wants to know asks; cross-init check answers
EVENT = "event"  # words on standard output, between marks
NOTHING = "nothing"

SUCCESS, TIMEOUT = "success", "timeout"  # what has become of a service, or of a command, in systemd's words
STOPS = (_signal.SIGTERM, _signal.SIGINT, _signal.SIGQUIT, _signal.SIGHUP)  # they end what has not begun
UNBOUND_S = 1e9  # of what may take as long as it does
HEARD_S = 10.0  # after how long an init should have heard that the daemon is ready, see Init.check_heard()

# How a service is, for who asks.
STARTING, READY, RELOADING, STOPPING = "starting", "ready", "reloading", "stopping"
DOWN = "not running"  # as an init says it, where no bridge is there to be asked

# What is ended with the main process (systemd.kill(5), KillMode=), and which of these end more than that one.
CONTROL_GROUP, MIXED, PROCESS, NONE = "control-group", "mixed", "process", "none"
KILL_MODES = (CONTROL_GROUP, MIXED, PROCESS, NONE)
KILLS = (CONTROL_GROUP, MIXED)

# Who may tell the init that the service is ready.
MAIN = "main"  # only the main process
ANYONE = "anyone"  # any process of ours that knows how


def is_for(environ: Environment, pid: int) -> bool:
    """Whether LISTEN_FDS tells of descriptors that were passed to this process (LISTEN_PID, sd_listen_fds(3))."""
    return environ.get(b"LISTEN_PID") == str(pid).encode()


def announced(environ: Environment, pid: int, who: str) -> "list[Passed]":
    """The sockets of LISTEN_FDS from descriptor 3 on, if they are for the process pid (sd_listen_fds(3)).

    who: the init that passed them. Raises Failure if one is not open.
    """
    if not is_for(environ, pid):
        return []
    from cross_init.sockets.passed import listen_fds

    return listen_fds(environ, who)


class Service:
    """Who the daemon is for its init: the names of the service and of its instance ("" if it has none).

    is_guess: the init gave no name; it is the command's, which others may have as well.
    """

    __slots__ = ("instance", "is_guess", "name")

    def __init__(self, name: str, instance: str = "", is_guess: bool = False) -> None:
        self.name = name
        self.instance = instance
        self.is_guess = is_guess

    def __str__(self) -> str:
        return f"{self.name}/{self.instance}" if self.instance else self.name


class Claim:
    """An init's reason to say "I started this process": in words, and whether it was directly, as our parent."""

    __slots__ = ("because", "direct")

    def __init__(self, because: str, direct: bool) -> None:
        self.because = because
        self.direct = direct


class Channel:
    """The way by which a daemon says that it is ready, and perhaps more. This one is for a daemon that says nothing.

    descriptors: the ends that the watching process needs. mark: a variable, with its value, that it gives the daemon
    and that no other process has; b"" if there is none.
    """

    descriptors: tuple[int, ...] = ()
    mark: bytes = b""
    lasting: bool = False  # it has more to tell when the daemon is ready
    kind: str = "silent"  # how a resident makes it again
    carried: tuple[str, ...] = ()  # the attributes that it takes, beside the descriptors

    def expose(self, environ: Environment) -> None:
        """Offer it to the daemon, in the process that becomes it. Raises OSError."""

    def resume(self) -> None:
        """It was made again, by a resident, and has what was carried."""

    def disown(self) -> None:
        """Its descriptors are closed by somebody else in this process."""

    def attach(self, watched: "Subject") -> None:
        """Listen, in the process that watches. Each readiness that it will tell is expected there."""

    def catch_up(self) -> None:
        """Take in what was said already: before the end of the process that said it is dealt with."""

    def can_leave(self, pid: int) -> bool:
        """Whether the watching process may end while the daemon lives, which must not notice it."""
        return True

    def leave(self) -> None:
        """Let go of it while the daemon, which is ready, goes on using it."""

    def let_go(self) -> None:
        """Another process of ours has it from now on: close our own descriptors of it."""

    def close(self) -> None:
        """The daemon is gone: leave nothing."""

    def discard(self) -> None:
        """There never was a daemon: leave nothing."""


class Init:
    """We run on it: recognise it, take the sockets that it passed, tell it the news in its own way."""

    name: str
    passes: str = ""  # how it passes sockets, in a word or two; "" if it has none
    hears: str = NOTHING  # how it is told that the service is ready
    from_whom: str = MAIN  # who may tell it
    instead: str = ""  # what to do where it hears nothing, in words for people
    moves_main: bool = False  # can be told that another process is the main process from now on
    news: tuple[str, ...] = ()  # what else it has an ear for: "status", "stopping", "main PID", ...
    clean_environment: bool = False  # gives a service none of the variables that it was itself started with
    marks: tuple[bytes, ...] = ()  # variables that nobody else sets
    job_type: str = ""  # what the job's file has to say for readiness to be heard
    folder: str = ""  # the service's own directory, where this init has one for each
    descriptors: tuple[int, ...] = ()  # which ready() needs to have open
    may_miss_readiness: bool = False  # whether unheard() has to be asked
    reads_pid_file: bool = False  # hears by FILE, if there is a --pid-file
    pid_file: str = ""  # its absolute path then
    state_file: str = ""  # where it is noted for who asks (ASKED) how the service is; "" if nowhere
    stays: str = ""  # why we stay the main process while there is readiness to be told, in words; "" if we need not
    ends_all: bool = False  # ends every process of the service when the main process has ended
    signals_all: bool = False  # sends a stop signal to every process of the service, not only to the main process
    shares_session: bool = False  # its services share one session and process group with each other
    restarts: bool = True  # starts a service anew that has ended
    shares_groups: bool = False  # others may be in the process group that a service leads, as in a shell's job
    speaker: int = 0  # the process that it is told by, where another one speaks as that
    keeps_sockets: str = ""  # how it keeps a service's listening sockets over a restart, in words for people
    untested: bool = False  # written to its manual: it does not run where this project is tested
    in_words: str = ""  # what it is in a sentence, if not its name
    options: str = ""  # what may stand behind its name and a colon, for people
    option_is_for: tuple[str, ...] = ()  # without one of these, what stands behind its name has no effect
    lost: str = ""  # why what it would be told by leads to nobody, in words; then it hears nothing
    carried: tuple[str, ...] | None = (
        None  # what a resident tells it by, of what was found out here; None: none can yet
    )
    variables: tuple[bytes, ...] = ()  # which of those that it gave are needed to reach it
    how: str = ""  # as what a resident makes it again, where it is told otherwise than in its own way
    takes_time: bool = False  # whether who tells it may have to wait
    seen_from_beside: bool = False  # all that a start looks at of it can be seen of another process's start as well
    # That one's descriptors here, by their numbers there; None: it is our own.
    inherited: "dict[int, int] | None" = None

    @property
    def called(self) -> str:
        """What it is in a sentence for people."""
        return self.in_words or self.name

    def configure(self, option: str) -> None:
        """Take in what stands behind the init's name and a colon, "" if nothing does. Raises Failure."""
        if option:
            takes = f"there it takes {self.options}" if self.options else "nothing may stand behind its name"
            raise Failure(f"--init {self.name}:{option}: {takes}")

    def recognise(self, evidence: "Evidence") -> Claim | None:
        """Whether this init started us, and by what evidence."""
        raise NotImplementedError

    @property
    def without_readiness(self) -> str:
        """What it means to tell it that the daemon is ready where it hears nothing, for people."""
        if self.lost:
            return f"{self.lost}; it goes to syslog"
        return (
            f"{self.name} waits for no daemon to be ready; it goes to syslog{f'; {self.instead}' * bool(self.instead)}"
        )

    def probe(self, evidence: "Evidence") -> None:
        """Find out what differs from service to service: by which of its ways it hears this one."""

    def is_lost(self, evidence: "Evidence") -> bool:
        """Whether what speaks for it came down from further up and leads to nobody. Asked if it is not direct."""
        return False

    def seen_from_inside(self, evidence: "Evidence") -> str:
        """By what we see that it has started who has entered a PID namespace for us; "" if it is not seen."""
        return ""

    def why_no_fork(self, environ: Environment) -> str | None:
        """Why nothing may be forked in this start, as this init would follow it. None: it may."""
        return None

    def waits_for_it(self, environ: Environment) -> str:
        """By what this service's job is seen to wait for readiness, in words; "" if it is not seen."""
        return ""

    def state_of(self, service: str) -> "tuple[str, int] | None":
        """How a service is as this init itself knows it, and its main process, 0 if it has none.

        service: its name; its directory, where this init has one for each. None: it knows of none such, or not whether
        it is ready. Raises OSError.
        """
        return None

    def unreachable(self, environ: Environment) -> str:
        """Why nobody can be told any more, in words; "" as long as somebody can. environ: as the init gave it."""
        return ""

    def why_not_parent(self, evidence: "Evidence") -> str | None:
        """This init runs the machine, did not start us, and that is a mistake to be pointed out: how. None: no."""
        return None

    def service(self, evidence: "Evidence", command: str) -> Service:
        """The service's name, for logs and for targets that pass it on."""
        return Service(command.rpartition("/")[2], is_guess=True)

    def sockets(self, environ: Environment, pid: int) -> "list[Passed]":
        """The sockets that the init passed to the process pid, in its order.

        Raises Failure when what it announces is not there.
        """
        return []

    def why_unnotified(self, environ: Environment) -> str | None:
        """Why readiness cannot be told in this start (the job's file does not ask for it); None: it can.

        If it can, descriptors holds what ready() needs, kept from the daemon.
        """
        return None

    def reach(self, evidence: "Evidence") -> str:
        """We stand beside the service, which evidence is of: get hold of what ready() needs.

        Returns why it cannot be told of it, in words; "" if it can. Raises OSError, and Failure if it is not its own.
        """
        return self.without_readiness.partition(";")[0]

    def given(self, pid: int) -> Environment:
        """The variables that name a service of this init's, which runs the machine, by its main process.

        They are the init's word; the process may have written over its own. Raises OSError.
        """
        return {}

    def warnings(self, environ: Environment) -> list[str]:
        """What the init expects of this service that a daemon written for another one will not do."""
        return []

    def strip(self, environ: Environment) -> None:
        """Remove the variables by which this init talks to its services: the daemon must not talk past us."""

    def watchdog_usec(self, environ: Environment) -> int:
        """How often this init wants a sign of life, in microseconds; 0 if it wants none."""
        return 0

    def pass_on(self, environ: Environment, assignments: "Assignments", descriptors: list[int]) -> None:
        """Tell it what the daemon said, as far as it has an ear for it; only from the main process. Raises OSError."""

    def ready(self, service: Service, pid: int, pidfd: int, seconds: float) -> None:
        """Tell it that the daemon (pid) is ready, seconds after its start. Raises OSError.

        pidfd: of the main process, which is the daemon itself unless we supervise it.
        An init that hears nothing is told nothing: it goes where all goes that an init has no ear for.
        """
        from cross_init.watch.log import Reporter

        reporter = Reporter(str(service), pid, False)
        reporter.say(f"ready after {seconds:.3f} s")
        reporter.close()

    def hand_over(self, environ: Environment, pid: int, telling: "Callable[[], None]") -> None:
        """Tell it that pid is the main process from now on and ready, and return when it knows. Raises OSError.

        telling: to be called right before it may have heard; raises Failure if the daemon has ended.
        """
        raise NotImplementedError

    def barrier(self, environ: Environment) -> None:
        """Return when the init has finished what it was doing when this was called (bounded). Raises OSError."""

    def waiting(self, environ: Environment, text: str) -> float | None:
        """Tell it that the start takes its time, and why. Returns after how many seconds to say it again, if ever."""
        return None

    def cancellation(self, service: Service, environ: Environment) -> "Cancellation | None":
        """What to listen to, while the daemon starts, for the news that the start is cancelled; None: it uses signals.

        environ: as the init gave it.
        """
        return None

    def stays_down(self, service: Service, environ: Environment) -> "Cancellation | None":
        """When the daemon has ended: what to ask, and to listen to, for whether it is to stay down.

        None: this init cannot say. environ: as the init gave it. Raises OSError.
        """
        return None

    def fd_store_max(self, environ: Environment) -> int:
        """How many descriptors this init itself keeps for the service over a restart; 0 if it keeps none."""
        return 0

    def descriptor_holder(self, service: Service) -> "DescriptorHolder | None":
        """Where descriptors of this service can be kept with this init's own means; None: nowhere."""
        return None

    def check_heard(self, service: Service, pid: int, pidfd: int) -> str | None:
        """A while after ready(): if nobody heard it, mend what can be and return the advice. Raises OSError."""
        return None

    def fails(self, pid: int, missing: str) -> bool:
        """The daemon (pid) has ended before it was ready; ended() comes next. Whether who waits for us says so itself.

        missing: what was still waited for; "": all was said already.
        """
        return False

    def ended(self) -> None:
        """The daemon, which was ready or not, has ended: leave nothing of what ready() made."""

    def let_go(self) -> None:
        """Another process of ours tells it from now on: close the descriptors, which ready() has not used."""
        from posix import close

        for fd in self.descriptors:
            close(fd)

    def disown(self) -> None:
        """Its descriptors are closed by somebody else in this process."""


class Target:
    """We stand in for it: give the daemon sockets, variables and signals as it expects them, and hear what it says."""

    name: str
    takes: str = ""  # how its daemons are passed sockets, in a word or two; "" if they open their own
    first_fd: int = 0  # the number from which on its daemons are passed sockets, if it is always the same
    lists: bool = False  # its daemons get one socket, and only if it was asked for several, as a list
    says: str = NOTHING  # how the daemon says that it is ready
    silence: str = ""  # why it does not say so where another form of it is ready by itself, in words
    when_silent: str = ""  # why nothing is heard of one that should say so, as it often is, in words
    variable: bytes = b""  # in which it finds how to say so, if it does in one
    news: tuple[str, ...] = ()  # what else its daemons may say
    ignores_sigpipe: bool = False  # starts its services with SIGPIPE ignored
    clients_at_a_time: int = 0  # how many of its daemons, if each serves one connection; 0: one daemon serves all
    clients_per_source: int = 0  # of these, how many from one host, or of one user; 0: as many as there may be
    turns_away = False  # whether a client more is turned away, or has to wait
    forks: bool = False  # its daemons leave the process that was started, which ends when they are ready
    speaks: bool = False  # and may have more to say, by messages, which say nothing of their readiness
    options: str = ""  # what may stand behind its name and a colon, for people
    option: str = ""  # what stands there
    notify_socket: str = ""  # of what kind the name of its notification socket is to be (--notify-socket)

    def configure(self, option: str) -> None:
        """Take in what stands behind the target's name and a colon, "" if nothing does. Raises Failure."""
        if option:
            takes = f"there it takes {self.options}" if self.options else "nothing may stand behind its name"
            raise Failure(f"--target {self.name}:{option}: {takes}")

    def listen_to(self) -> None:
        """Something was asked for that takes a daemon which says more than that it is ready."""

    def refuse(self, sockets: "list[Passed]", together: bool) -> None:
        """Raise Failure if daemons of this kind cannot be given these sockets. together: several were asked for."""

    def channel(self, leaving: bool) -> Channel:
        """A new way for the daemon to say that it is ready. leaving: we go before the daemon does. Raises OSError."""
        return Channel()

    def lay_out(self, environ: Environment, sockets: "list[Passed]", service: Service, pid: int) -> None:
        """Describe the sockets, which stand from first_fd on if there is one, in environ, for the daemon with this pid.

        Called in the process that becomes the daemon. Raises OSError.
        """
        raise NotImplementedError

    def strip(self, environ: Environment) -> None:
        """Remove this protocol's variables that were inherited from elsewhere: lay_out says what is true."""

    def announce_fd_store(self, environ: Environment, most: int) -> None:
        """Let the daemon know how many descriptors are kept for it over a restart, if its kind asks for that."""

    def announce_watchdog(self, environ: Environment, usec: int, pid: int) -> None:
        """Have the daemon (pid) give a sign of life at least every usec microseconds, if its kind can."""
