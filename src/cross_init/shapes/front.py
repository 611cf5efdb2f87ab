"""The front: for who waits for the command that it started to end, and takes that for readiness (model.EXIT).

    front      what was started; it ends with 0 when the daemon is ready, and leaves the daemon running
      bridge   in a session of its own; from here on everything is as in any other start, whatever the shape

The bridge says on a socket between the two when the daemon is ready. Until then the front answers for the daemon: it
ends as the daemon does, and a signal to it ends the daemon. That the front is gone, however it ended, is seen by the
socket's hanging up, and cancels the start as well. If it hangs up although nothing was said, somebody has killed the
process that watches the daemon: then the start has failed.
"""

import _signal
import _socket
import posix
from select import POLLIN, poll

from cross_init.errors import FAILED, Failure, print_error, why
from cross_init.kernel.linux import Environment, fork, is_transient, open_null
from cross_init.model import ANYONE, EXIT, STOPS, Init, Service

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cross_init.launch import Start

READY = b"ready"
# The daemon has, before it was ready: behind it stands its PID and what was waited for, or nothing if it was said why.
ENDED = b"ended"
OVER = b"over"  # the same: its time was over, and that was said. Anything else that the bridge says is why it failed.
KILLED = "the process that watched the daemon was killed"
LONGEST = 4096
END_MS = 2000  # how long the main process may take to end when nobody watches the daemon any more


class Answer(Init):
    """Any init with a front before it: what it is told, the front is told. pid_file: "" if there is to be none."""

    hears = EXIT
    from_whom = ANYONE
    moves_main = True
    carried = ("pid_file", "main")
    how = "front"

    def __init__(self, init: Init, front: _socket.socket, pid_file: str) -> None:
        self.name = init.name
        self.in_words = init.in_words
        self.front = front
        self.pid_file = pid_file
        self.main = posix.getpid()  # the front's child, unless it hands over
        self.last_word = ENDED
        self.descriptors = (front.fileno(),)

    @classmethod
    def again(cls, init: Init, descriptors: list[int]) -> "Answer":
        """The same in another process. init: what it is without that. Raises OSError."""
        front = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, descriptors[0]) if descriptors else None
        return cls(init, front or _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET), "")

    def let_go(self) -> None:
        """Close the socket, so that its end is seen when the other process is gone."""
        self._hang_up()

    def disown(self) -> None:
        """The socket would be closed with this object."""
        self.front.detach()

    def ready(self, service: Service, pid: int, pidfd: int, seconds: float) -> None:
        """Write the PID file and let the front end. Raises OSError."""
        try:
            self._name_main()
        except OSError as error:
            text = f"writing the PID file {self.pid_file}: {why(error)}"
            self._answer(text.encode("utf-8", "backslashreplace"))
            raise
        from cross_init.kernel.pidfds import has_ended

        if not has_ended(pidfd):  # else we are about to hear of it
            self._answer(READY)

    def hand_over(self, environ: Environment, pid: int, telling: "Callable[[], None]") -> None:
        """The same, with the daemon as the main process. Raises OSError, and who calls this ends the start then."""
        self.main = pid
        self._name_main()
        telling()
        self._answer(READY)

    def _name_main(self) -> None:
        if self.pid_file:
            from cross_init.notify.pid_file import write

            write(self.pid_file, self.main)

    def _answer(self, text: bytes) -> None:
        """Say this to the front and hang up. Raises OSError; if it is in vain, it sees us hang up."""
        try:
            self.front.send(text, _socket.MSG_NOSIGNAL)
        except OSError as error:
            if not is_transient(error):
                self._hang_up()
            raise
        self._hang_up()

    def _hang_up(self) -> None:
        try:
            self.front.close()
        except OSError:
            pass  # closed it is

    def cancellation(self, service: Service, environ: Environment) -> "FrontHangup":
        """The front hangs up."""
        return FrontHangup(self.front)

    def fails(self, pid: int, missing: str) -> bool:
        """The front says it, which knows how the daemon has ended."""
        self.last_word = ENDED + f"{pid} {missing}".encode("utf-8", "backslashreplace") if missing else OVER
        return True

    def ended(self) -> None:
        """The PID file names nobody any more; and the front need not wonder why we hang up."""
        if self.pid_file:
            from cross_init.notify.pid_file import remove

            remove(self.pid_file, self.main)
        if self.front.fileno() >= 0:
            try:
                self._answer(self.last_word)
            except OSError:
                pass  # it has gone


class FrontHangup:
    """That the front has hung up: it was told to end, or was killed. See offered.Cancellation."""

    def __init__(self, front: _socket.socket) -> None:
        self.socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, posix.dup(front.fileno()))
        self.fileno, self.close = self.socket.fileno, self.socket.close

    def is_stop(self) -> bool:
        """It says nothing, so whatever can be read is the end."""
        return True


def split(start: "Start") -> None:
    """Fork: return as the bridge, whose init is the front from now on; as the front, end when it is time to.

    Raises Failure.
    """
    pid_file = ""
    is_ours = start.request.followed is not None or not start.target.forks  # else the daemon itself writes it
    if start.request.pid_file and is_ours:
        from cross_init.notify.pid_file import place

        pid_file = place(start.request.pid_file, start.program)
    front, bridge = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    # Ignored, it would take the bridge's exit status away from us.
    children = _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
    pid = fork("leaving the command that was started")
    if pid:
        bridge.close()
        start.close_sockets()
        posix._exit(_answer(start, front, pid, pid_file))
    assert isinstance(children, int)
    _signal.signal(_signal.SIGCHLD, children)
    front.close()
    posix.setsid()
    null = open_null()
    posix.dup2(null, 0)
    posix.close(null)
    start.init = Answer(start.init, bridge, pid_file)


def _answer(start: "Start", front: _socket.socket, pid: int, pid_file: str) -> int:
    """The front's whole life; returns the exit code to end with, or dies of the signal to die of. Raises Failure."""
    caught: list[int] = []

    def cancel(number: int, frame: object) -> None:
        caught.append(number)
        try:
            front.shutdown(_socket.SHUT_WR)
        except OSError:
            pass  # it has ended meanwhile

    for number in STOPS:
        if _signal.getsignal(number) != _signal.SIG_IGN:  # as nohup(1) leaves it
            _signal.signal(number, cancel)
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, STOPS)
    said = front.recv(LONGEST)
    if said == READY:
        return 0
    pidfd = posix.pidfd_open(pid)  # our child, not waited for: the PID is still its own
    poller = poll()
    poller.register(pidfd, POLLIN)
    has_ended = said == OVER or said.startswith(ENDED)
    reason = "" if has_ended else said.decode() or KILLED
    # Killed, or at odds with the PID file: what remains of this start is the bridge's session, the daemon in it.
    remains = reason not in ("", KILLED) or not poller.poll(END_MS)
    if remains:
        posix.killpg(pid, _signal.SIGKILL)
    status = posix.waitpid(pid, 0)[1]
    if pid_file:
        from cross_init.notify.pid_file import remove

        remove(pid_file, pid)
    if remains or (reason and not caught and posix.WIFSIGNALED(status)):
        raise Failure(f"{reason or KILLED}; so the daemon was ended, too")
    from cross_init.shapes.processes import end_like

    main, _, missing = said.removeprefix(ENDED).decode("utf-8", "replace").partition(" ") if has_ended else ("", "", "")
    if missing:
        from cross_init.watch.outcome import describe

        print_error(describe(start, int(main), status, missing, bool(caught)), FAILED)
    if caught:
        return end_like(caught[0])
    return FAILED if status == 0 or said == OVER else end_like(status)
