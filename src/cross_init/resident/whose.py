"""Which service a process is the main process of, and which init has started it, as it is seen from beside it.

The kernel says who has sent a message. Everything else follows from that process: its parent, which has to be a
supervisor of our own user's, and by that one's ways, as detection goes by them (detect.py), the service. What a process
can choose about itself, its variables and its command line, is used for names alone.

All that is read of a process by its number is that process's, as a pidfd of it is held meanwhile.
"""

import posix
from time import CLOCK_BOOTTIME, clock_gettime, monotonic, time_ns

from cross_init.detect import CLUES, first_claims, init_named, present
from cross_init.errors import Failure, why
from cross_init.kernel.evidence import Evidence
from cross_init.kernel.linux import read
from cross_init.kernel.pidfds import has_ended
from cross_init.kernel.process_stat import process_stat
from cross_init.kernel.procfs import START_TIME, field, process_of, process_owner
from cross_init.resident.variables import environment_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.model import Claim, Init, Service

TICK_S = 1 / posix.sysconf("SC_CLK_TCK")
# The parents of services, by name: supervisord may be called as Python is.
SUPERVISORS = {name for _, _, parents in CLUES for name in parents} | {
    *("supervisord", "python3", "python", "upstart", "launchd"),
}
NO_SUPERVISOR = "which no supervisor has started: only the main process of a service is heard here"
# Supervisors that have a directory for each service, or no name for it: its variables say nothing more.
SAYS_IT_ALL = ("s6-supervise", "runsv", "supervise", "shepherd", "circusd")
ASKED_MAX, USERS_MAX = 50, 256
# Of each user: a second of the monotonic clock, and how often it was asked then.
budget: dict[int, tuple[int, int]] = {}
# Where the parent adopts what has lost its own, its services lead sessions of their own, which others seldom do.
ADOPTS = ("dinit", "finit", "upstart", "systemd", "container", "launchd")


class Stranger(Exception):
    """It is the main process of no service that we may act for; the text says why."""


class Owner:
    """A service, as its main process shows it.

    pid, pidfd, started: the process, and when it was started, in ticks since boot. began: the same by the monotonic
    clock. unreached: why its init cannot be told from here that it is ready, "" if it can.
    """

    __slots__ = ("began", "init", "pid", "pidfd", "service", "started", "unreached")

    def __init__(self, pid: int, pidfd: int, started: str) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self.started = started
        self.began = monotonic() - (clock_gettime(CLOCK_BOOTTIME) - int(started) * TICK_S)
        self.init: Init
        self.service: Service
        self.unreached = ""


def owner_of(pid: int, user: int, sent_ns: int) -> Owner:
    """The service whose main process has sent this. Raises Stranger, and OSError of what passes.

    user: as the kernel says who has sent it. sent_ns: when, in nanoseconds of the real clock.
    """
    ours = posix.geteuid()
    if pid <= 0:
        raise Stranger("which is in another PID namespace")
    if ours and user != ours:
        raise Stranger(f"which is user {user}'s, and not this one's")
    try:
        pidfd = posix.pidfd_open(pid)
    except ProcessLookupError:
        raise Stranger("which has ended") from None
    try:
        return _owner(pid, pidfd, user, sent_ns)
    except BaseException:
        posix.close(pidfd)
        raise


def owner_again(pidfd: int) -> Owner:
    """The same of a process that was heard before. Raises Stranger, and OSError of what passes."""
    pid = process_of(pidfd)
    if pid is None:
        raise Stranger("which has ended")
    return _owner(pid, pidfd, 0, time_ns())


def _owner(pid: int, pidfd: int, user: int, sent_ns: int) -> Owner:
    """What costs little is looked at first, as anybody may have it looked at any number of times."""
    fields = process_stat(pid)
    if len(fields) <= START_TIME or was_started_later(int(fields[START_TIME]), sent_ns):
        raise Stranger("which has ended")
    parent = int(fields[1])
    evidence = Evidence({}, (pid, parent))
    if evidence.parent_name not in SUPERVISORS:
        raise Stranger(NO_SUPERVISOR)
    if process_owner(parent) != posix.geteuid():
        raise Stranger(f"whose supervisor, process {parent}, is not this user's")
    if namespace_of(str(pid)) != namespace_of("self"):
        raise Stranger("which is in another PID namespace")
    leads = fields[3] == str(pid)
    if parent == 1 and not leads:
        raise Stranger("which process 1 has adopted, as it leads no session")
    users = field(f"/proc/{pid}/status", "Uid").split()
    if user and str(user) not in users:
        raise Stranger(f"which was user {user}'s, and is not")
    claims = direct_claims(evidence) if evidence.parent_name in SAYS_IT_ALL else _named(evidence, users, user)
    if not claims:
        raise Stranger(NO_SUPERVISOR)
    init = claims[0][0]
    if init.name in ADOPTS and parent and not leads:
        raise Stranger(f"which {init.called} may have adopted, as it leads no session")
    owner = Owner(pid, pidfd, fields[START_TIME])
    owner.init = init
    try:
        init.probe(evidence)
        owner.service = init.service(evidence, read(f"/proc/{pid}/comm").rstrip("\n"))
        owner.unreached = init.reach(evidence)
    except Failure as failure:
        raise Stranger(f"of which it is not known whose it is: {failure}") from None
    except OSError as error:
        owner.unreached = why(error)
    if has_ended(pidfd) or process_stat(pid)[1:2] != [str(parent)]:
        raise Stranger("which has ended, or has lost its parent")
    return owner


def _named(evidence: Evidence, users: list[str], user: int) -> "list[tuple[Init, Claim]]":
    """The inits that have started it, by its variables, or where these are gone by what the machine's init says."""
    if not may_ask(user, int(monotonic())):
        raise Stranger(f"as it was asked for too many of user {user}'s just now")
    evidence.environ.update(environment_of(evidence.pid, users))
    claims = direct_claims(evidence)
    if not claims and evidence.parent == 1:
        for name in present():
            evidence.environ.update(init_named(name).given(evidence.pid))
        claims = direct_claims(evidence)
    return claims


def namespace_of(process: str) -> str:
    """Its PID namespace, "" if it is not for us to see (namespaces(7))."""
    try:
        return posix.readlink(f"/proc/{process}/ns/pid")
    except OSError:
        return ""


def direct_claims(evidence: Evidence) -> "list[tuple[Init, Claim]]":
    """The inits that are its own parent."""
    return [(init, claim) for init, claim in first_claims(evidence) if claim.direct]


def may_ask(user: int, second: int) -> bool:
    """Whether more may be found out about a process of this user's, which takes its time; not too often in a second."""
    counted, asked = budget.get(user, (0, 0))
    if counted != second:
        asked = 0
    if len(budget) > USERS_MAX:
        budget.clear()
    budget[user] = (second, asked + 1)
    return user == 0 or asked < ASKED_MAX


def was_started_later(started: int, sent_ns: int) -> bool:
    """Whether a process that was started at this time, in ticks since boot, cannot have sent what was sent then."""
    ago_s = max(time_ns() - sent_ns, 0) / 1e9
    return started * TICK_S > clock_gettime(CLOCK_BOOTTIME) - ago_s + TICK_S
