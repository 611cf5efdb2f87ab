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

from cross_init.errors import Failure, print_error, why
from cross_init.kernel.linux import NO_PROCESS, fork, process_stat, reason
from cross_init.model import EXIT, NOTHING, Channel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.launch import Start

BORN = b"b"
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
        pair = Pair() if needs_witness(start) else None
        helper = fork("starting the watcher")
        if helper == 0:
            _in_helper(start, pid, pidfd, channel, began, pair)
        if posix.waitpid(helper, 0)[1] != 0:
            raise Failure(f"starting the watcher: {NO_PROCESS}")
        assert isinstance(children, int)
        _signal.signal(_signal.SIGCHLD, children)  # also drops the helper's SIGCHLD if that is blocked (sigaction(2))
        if pair is not None:
            pair.await_both()
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
    if process_stat(posix.getpid())[TERMINAL : TERMINAL + 1] == ["0"]:
        try:
            posix.setsid()
        except OSError:
            pass  # it leads a process group already


def needs_witness(start: "Start") -> bool:
    """Whether it matters to somebody that the watcher was killed, and nobody else would see it."""
    return start.init.hears not in (EXIT, NOTHING) or bool(start.request.watchdog[0])


class Pair:
    """The watcher and its witness, as they come to be: the helper's child is the witness, and forks the watcher.

    born: from the witness to us, when the watcher is there, so that we need not wait for the second fork meanwhile.
    line: from the watcher to the witness, see witness.py. Raises OSError.
    """

    def __init__(self) -> None:
        self.born = posix.pipe2(posix.O_CLOEXEC)
        self.line = (-1, -1)

    def await_both(self) -> None:
        """To be called when the helper has ended. Raises Failure if they did not come to be."""
        posix.close(self.born[1])
        said = posix.read(self.born[0], 1024)
        if said != BORN:
            raise Failure(f"starting the watcher: {said.decode() or 'the process that was to start it was killed'}")

    def split(self) -> bool:
        """In the witness, fork the watcher. Returns whether this is the witness. Raises OSError."""
        posix.close(self.born[0])  # the limit on open files may be a low one
        try:
            self.line = posix.pipe2(posix.O_CLOEXEC)
            is_witness = bool(posix.fork())
        except OSError as error:
            import errno

            posix.write(self.born[1], (NO_PROCESS if error.errno == errno.EAGAIN else why(error)).encode())
            raise
        posix.close(self.line[is_witness])
        if is_witness:
            posix.write(self.born[1], BORN)
        posix.close(self.born[1])
        if is_witness:
            # Do nothing before the watcher is up, or is killed: it would delay the daemon's start.
            posix.read(self.line[0], 1)
        return is_witness


def _in_helper(start: "Start", pid: int, pidfd: int, channel: Channel, began: float, pair: Pair | None) -> None:
    """Between the two forks. Does not return. pair: if there is to be a witness."""
    code = 1
    try:
        posix.setsid()
        if posix.fork() == 0:
            if pair is not None and pair.split():
                from cross_init.watch.witness import be_beside_watcher

                be_beside_watcher(start, pid, pidfd, pair.line[0], began)
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
            run_watcher(start, pid, pidfd, channel, began, pair.line[1] if pair is not None else -1)
        code = 0
    finally:
        posix._exit(code)
