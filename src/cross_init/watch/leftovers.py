"""What a main process leaves behind when it ends: found, told to end, and ended (systemd.kill(5), KillMode=).

The workers of a daemon that was killed keep its port, and every further start would fail. Whose they are is known by
what they do not lose with their parents: who supervises has adopted them; from beside the daemon they are known by the
session, or the process group, that the main process led, and by a variable that nobody else has (the address of the
notification socket), if their user is root, ours, or that of the main process when it was started. What was there
before the daemon, of the same run script say, is let alone. A unit's may have a control group, which tells of all.
"""

import _signal
import posix
from select import POLLIN, poll
from time import monotonic

from cross_init.errors import print_error
from cross_init.kernel.linux import contents, retry_transient
from cross_init.kernel.pidfds import send
from cross_init.kernel.process_stat import process_stat, process_state
from cross_init.kernel.procfs import START_TIME, is_descendant, own_start_time, process_owner, start_time, variables
from cross_init.model import MIXED, UNBOUND_S
from cross_init.watch.outcome import names_of
from cross_init.watch.stages import KILL, TERMINATE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from cross_init.kernel.control_group import Group
    from cross_init.request import Request
    from cross_init.watch.stages import Stage

# The same after a crash: what does not heed SIGTERM then waits, as often as not, for a main process that is no more,
# and the service is down meanwhile.
CRASH_S = 5.0
CLEAN = (_signal.SIGHUP, _signal.SIGINT, _signal.SIGTERM, _signal.SIGPIPE)  # systemd.service(5), SuccessExitStatus=
LOOK_S = 1.0  # after which it is looked again for what was forked meanwhile; and then it is said that it takes time
KILLED_S = 5.0  # for what was sent SIGKILL to go; what is in the middle of a system call may not
WAITED_FOR = 64  # of so many the end is waited for at once: descriptors may be few
SHOWN = 5  # PIDs in a line


class Rest:
    """The processes of one service.

    main: the first main process, whose session or group the others may be in. root: whose descendants they are, 0 if
    that cannot tell. since: those that were started before, in ticks since boot, are not the service's; 0: before the
    daemon. marks: variables, as they stand in a process, that only those of this start have. helpers: processes of our
    own. has_group: who leads a process group of its own is known by that as well.
    """

    def __init__(
        self,
        main: int,
        root: int,
        group: "Group | None",
        since: int = 0,
        marks: "Iterable[bytes]" = (),
        helpers: "Iterable[int]" = (),
        has_group: bool = True,
    ) -> None:
        self.main = main
        self.root = root
        self.marks = [b"\0%b\0" % mark for mark in marks if mark]
        # Whose variables are read: who may map a file system of its own into its memory can hold up whoever reads it.
        self.users = (0, posix.geteuid(), process_owner(main))
        self.helpers = helpers
        self.told: frozenset[int] = frozenset()  # those that were sent a stop with the main process, but not by it
        self.group = group
        self.has_group = has_group
        self.began = start_time(main)
        # From beside the daemon: our own start, as the daemon was a program of ours until then.
        self.since = since or int((self.began if root else own_start_time()) or 0)
        self.own_words: str | None = None  # until it is needed

    def find(self) -> list[int]:
        """All that live; none where there is no /proc. Raises OSError if it cannot be read just now."""
        leader = self._leader()
        try:
            names = posix.listdir("/proc")
        except FileNotFoundError:
            return []
        return [int(name) for name in names if name.isdigit() and self._counts(int(name), leader)]

    def _leader(self) -> str:
        """Whose session or group counts: the main process's, unless its number is another one's by now."""
        return str(self.main) if start_time(self.main) in ("", self.began) else ""

    def _counts(self, pid: int, leader: str) -> bool:
        if pid in (1, posix.getpid()):
            return False
        fields = process_stat(pid)
        if len(fields) <= START_TIME or fields[0] in "ZX" or pid in self.helpers:
            return False
        is_in_group = self.group is not None and self.group.has(pid)  # where nothing was before
        if int(fields[START_TIME]) < self.since and not is_in_group:
            return False
        group, session = fields[2:4]
        is_led = leader and (session == leader or (self.has_group and group == leader))
        counts = is_in_group or is_led or (self.root and is_descendant(pid, self.root)) or self._is_marked(pid)
        if self.own_words is None:
            self.own_words = words_of(posix.getpid())
        return bool(counts) and words_of(pid) != self.own_words  # else it is ours: it has not become another program

    def _is_marked(self, pid: int) -> bool:
        try:
            told = b"\0" + variables(pid) if self.marks and process_owner(pid) in self.users else b""
        except OSError:
            return False  # it has ended, or is not for us to look at
        return any(mark in told for mark in self.marks)

    def send(self, numbers: "Sequence[int]", but: int) -> bool:
        """Send these signals to them all, but to this process; SIGCONT to what stands still, as it would not hear it.

        Whether there was one.
        """
        is_any = False
        for pid in self.find():
            pidfd = self._open(pid) if pid != but else -1
            if pidfd >= 0:
                is_any = True
                try:
                    for number in numbers:
                        send(pidfd, number)
                    self.told |= {pid}
                    if process_state(pid) == "T":
                        send(pidfd, _signal.SIGCONT)
                finally:
                    posix.close(pidfd)
        return is_any

    def _open(self, pid: int) -> int:
        """A pidfd of this process, which was found; -1 if it is not there any more, or its number is another's."""
        before = start_time(pid)
        try:
            pidfd = posix.pidfd_open(pid)
        except OSError:
            return -1
        if before and start_time(pid) == before and self._counts(pid, self._leader()):
            return pidfd
        posix.close(pidfd)
        return -1


def is_clean(status: int) -> bool:
    """Whether a main process that has ended so has done what it was to do."""
    return posix.WTERMSIG(status) in CLEAN if posix.WIFSIGNALED(status) else status == 0


def words_of(pid: int) -> str:
    """A process's command line, as it stands in /proc; "" if it has none."""
    try:
        return contents(f"/proc/{pid}/cmdline", 4096)
    except OSError:
        return ""


def stages_of(request: "Request", crashed: bool) -> "list[Stage]":
    """What they are sent, where no unit says it: SIGTERM and after --stop-timeout SIGKILL; with "mixed" that at once.

    crashed: nobody has told the main process to end, and it has failed.
    """
    killed: Stage = ((_signal.SIGKILL,), KILLED_S, KILL)
    if request.kill_mode == MIXED:
        return [killed]
    is_short = crashed and "--stop-timeout" not in request.given
    return [((_signal.SIGTERM,), CRASH_S if is_short else request.stop_timeout, TERMINATE), killed]


def end(
    rest: Rest, service: object, left_by: str, stages: "Sequence[Stage]", reap: "Callable[[], None]" = lambda: None
) -> bool:
    """End what was left, with SIGCONT for what was stopped, and return when that is gone: whether it took too long.

    left_by: who has left it, in words. reap: wait for what has ended, where that is ours to do.
    """
    seconds = 0.0
    found: list[int] = []
    for at, (numbers, limit_s, _) in enumerate(stages):
        sent, limit_s = names_of(numbers), UNBOUND_S if limit_s is None else limit_s
        if at:
            print_error(f"{service}: {shown(found)} did not end within {seconds:g} s: sending {sent}", 0)
        seconds, told, is_said = limit_s, set[int](), at > 0 or len(stages) < 2
        until, is_sent = monotonic() + limit_s, False
        while True:
            reap()
            found = retry_transient(rest.find)
            left_s = until - monotonic() if is_sent else limit_s  # to find them takes its time on a busy machine
            if not found or left_s <= 0:
                break
            if not is_said and limit_s - left_s >= LOOK_S:
                is_said = True
                print_error(
                    f"{service}: {left_by} left {shown(found)}, told to end "
                    f"({sent}); {names_of(stages[1][0])} comes {limit_s:g} s after that (--stop-timeout)",
                    0,
                )
            if not is_sent:
                until, is_sent = monotonic() + limit_s, True
            _send_and_wait(rest, found, told, numbers, min(left_s, LOOK_S))
        if not found:
            return at > 0
    if found:
        print_error(f"{service}: {shown(found)} cannot be ended, and may keep what it has open", 0)
    return bool(found)


def reap_all() -> None:
    """Wait for whatever has ended: all else that we wait for is over."""
    try:
        while posix.waitpid(-1, posix.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def by_main(pid: int) -> str:
    """Who has left it, in words: the main process."""
    return f"its main process (PID {pid}) has ended and has"


def _send_and_wait(rest: Rest, found: list[int], told: set[int], numbers: "Sequence[int]", seconds: float) -> None:
    """Tell those that were not told yet, or all that they are killed; return when all are gone, or after this time."""
    awaited = poll()
    pidfds: list[int] = []
    kills = _signal.SIGKILL in numbers
    for pid in found:
        pidfd = rest._open(pid)
        if pidfd < 0:
            continue
        if kills or pid not in told:
            told.add(pid)
            for number in numbers if kills else (*numbers, _signal.SIGCONT):
                send(pidfd, number)
        if len(pidfds) < WAITED_FOR:
            awaited.register(pidfd, POLLIN)
            pidfds.append(pidfd)
        else:
            posix.close(pidfd)
    until = monotonic() + seconds
    left = len(pidfds)
    while left and (wait_s := until - monotonic()) > 0:
        for pidfd, _ in retry_transient(awaited.poll, wait_s * 1000):
            awaited.unregister(pidfd)
            left -= 1
    for pidfd in pidfds:
        posix.close(pidfd)


def shown(pids: list[int]) -> str:
    """So many processes, and which, in words."""
    listed = ", ".join(map(str, pids[:SHOWN])) + (", ..." if len(pids) > SHOWN else "")
    return f"{len(pids)} process{'es' * (len(pids) > 1)} ({listed})"
