"""The shape "watch": this process becomes the daemon; a watcher beside it hears the daemon and tells the init.

The init goes on tracking the PID that it started. The watcher is forked twice, so that the daemon has no child that
it did not make, and no zombie; it leads a session of its own, so that a signal to the daemon's process group does not
reach it; it knows of the daemon's end by a pidfd, whatever user the daemon has become.

Beside it stands a witness (witness.py) until the init has been told, for the case that the watcher is killed before:
the init would wait for ever. Where the watcher counts signs of life (--watchdog), it stays. Both are there before the
daemon runs, so there is no moment at which one kill is not seen. A front (front.py) is a witness by itself.
"""

import _signal
import posix
from time import monotonic

from cross_init.errors import Failure, print_error
from cross_init.kernel.linux import NO_PROCESS, fork, reason
from cross_init.model import EXIT, NOTHING, Channel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.launch import Start

NO_WATCHER = b"n"  # to the witness: the watcher, which it would take for killed, was not started
BEFORE_MS = 2000  # from the watcher's fork till the daemon is there, at most
TERMINAL = 4  # its place in the fields of process_stat(): the terminal that controls it, 0 if none does


def run(start: "Start") -> int:
    """Start the watcher and become the daemon. Does not return; raises Failure, OSError."""
    began = monotonic()
    start.lay_out()
    pid = posix.getpid()
    pidfd = posix.pidfd_open(pid)  # taken before the first fork, so it cannot name another process
    start.shared = pidfd
    channel = start.channel(start.request.end_after_ready)
    try:
        if is_handed_over(start, pid, pidfd, channel, began):
            become(start, channel)
        # Ignored (as nohup-like wrappers may leave it), it would take the helper's status away from us.
        children = _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
        line = posix.pipe2(posix.O_CLOEXEC) if needs_witness(start) else ()
        before, open_here = posix.pipe2(posix.O_CLOEXEC)
        helper = fork("starting the watcher")
        if helper == 0:
            posix.close(open_here)  # it stays open in the process that becomes the daemon alone, until exec
            _in_helper(start, pid, pidfd, channel, began, line, before)
        status = posix.waitpid(helper, 0)[1]
        if status:
            if line:
                posix.write(line[1], NO_WATCHER)
            killed = posix.WIFSIGNALED(status)
            why_not = "the process that was to start it was killed" if killed else NO_PROCESS
            raise Failure(f"starting the watcher: {why_not}")
        for fd in line:
            posix.close(fd)
        assert isinstance(children, int)
        _signal.signal(_signal.SIGCHLD, children)  # also drops the helper's SIGCHLD if that is blocked (sigaction(2))
        become(start, channel)
    except BaseException:
        # Failed before the daemon was there. A watcher that is there already does this again when it sees our end.
        channel.discard()
        start.note_failure()
        raise
    return 0


def become(start: "Start", channel: Channel) -> None:
    """Become the daemon, whose watcher is there. Does not return; raises Failure, OSError."""
    if start.init.shares_session and start.request.ends_rest:
        lead_session()
    start.let_stops()
    start.expose(channel)  # from here on standard error may lead to the watcher: it has to be there
    start.execute()


def is_handed_over(start: "Start", pid: int, pidfd: int, channel: Channel, began: float) -> bool:
    """Whether a resident of this user's watches the daemon, so that no watcher is needed. Raises Failure."""
    request = start.request
    reason = "none is there"
    if request.resident and not request.own_watcher:
        from cross_init.resident.handover import offer

        reason = offer(start, pid, pidfd, channel, began, request.resident)
        if not reason:
            return True
    if request.need_resident:
        raise Failure(f"--need-resident: handing the daemon over to a resident: {reason}; start cross-init serve")
    return False


def await_predecessors(start: "Start") -> None:
    """Before its sockets are opened, which may be the very ones that the last start's processes still have."""
    if start.init.restarts and start.request.ends_rest and (left := predecessors(start)):
        from cross_init.watch.predecessor import wait

        wait(start, left)


def predecessors(start: "Start") -> list[str]:
    """The names of the files of this very service's watchers: the last may be about to end what its daemon left."""
    from cross_init.readiness.notify_socket import WATCHED, socket_folder

    try:
        return posix.listdir(f"{base}/{WATCHED}{start.trace}") if (base := socket_folder()) else []
    except OSError:
        return []  # there is none, mostly; and whoever may not look there waits for nobody


def lead_session() -> None:
    """Have what the daemon leaves known by its session, where its init gives it none of its own (as chpst -P does)."""
    from cross_init.kernel.process_stat import process_stat

    if process_stat(posix.getpid())[TERMINAL : TERMINAL + 1] == ["0"]:
        try:
            posix.setsid()
        except OSError:
            pass  # it leads a process group already


def needs_witness(start: "Start") -> bool:
    """Whether it matters to somebody that the watcher was killed, and nobody else would see it."""
    return start.init.hears not in (EXIT, NOTHING) or bool(start.request.watchdog[0])


def _in_helper(
    start: "Start",
    pid: int,
    pidfd: int,
    channel: Channel,
    began: float,
    line: tuple[int, int] | tuple[()],
    before: int,
) -> None:
    """Fork the witness, if there is to be one, and the watcher. Does not return.

    Both from here: one that the other had to fork would be waited for longer, by what a process takes to begin.
    line: from the watcher to the witness, see witness.py. before: hangs up when the daemon is there, or nothing of it.
    """
    code = 1
    try:
        start.let_stops()
        posix.setsid()
        if line and posix.fork() == 0:
            posix.close(line[1])
            # Do nothing before the watcher is up, or is killed: it would delay the daemon's start.
            if posix.read(line[0], 1) != NO_WATCHER:
                from cross_init.watch.witness import be_beside_watcher

                be_beside_watcher(start, pid, pidfd, line[0], began)
            posix._exit(0)
        if posix.fork() == 0:
            _await_daemon(before)
            try:
                from cross_init.watch.watcher import run as run_watcher
            except Exception as error:
                # An upgrade is under way, say. Unsaid, nobody would know why it never gets ready.
                print_error(
                    f"starting the watcher: {reason(error)}; nobody hears whether the daemon is ready: start it anew", 0
                )
                channel.discard()
                if start.endpoint is not None:
                    start.endpoint.remove()
                for condition in start.conditions:
                    condition.outlive()
                raise
            run_watcher(start, pid, pidfd, channel, began, line[1] if line else -1)
        code = 0
    finally:
        posix._exit(code)


def _await_daemon(before: int) -> None:
    """In the watcher: do nothing before the daemon is there, which would wait for the processor meanwhile.

    Not for ever: what becomes the daemon may be stuck, at a program on a network file system, say.
    """
    from select import poll

    hangs_up = poll()
    hangs_up.register(before, 0)
    hangs_up.poll(BEFORE_MS)
