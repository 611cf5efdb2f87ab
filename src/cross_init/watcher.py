"""The watcher's engine: hear daemons on their notification sockets, tell the init, and go when they are gone.

Nothing is polled: the kernel says when a message is there and when a daemon has ended. The engine serves any number
of daemons; today each watcher has one. It runs beside the daemon, so what it imports does not delay a start.
"""

import _signal
import _socket
import posix
import sys
from select import POLLIN, poll
from time import monotonic

from cross_init.cli import complain_of_mistake
from cross_init.linux import descends, drop_everything
from cross_init.model import TEXT, Init, Service
from cross_init.news import MESSAGE_MAX, Assignments, Malformed, first, has, parse
from cross_init.notify_socket import Address, sweep
from cross_init.report import Reporter, report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.bridge import Start

FDS_MAX = 253  # SCM_MAX_FD: the kernel passes no more in one message (unix(7))
CREDENTIALS_SIZE = 12  # struct ucred: pid, uid, gid
ROOM = _socket.CMSG_SPACE(CREDENTIALS_SIZE) + _socket.CMSG_SPACE(4 * FDS_MAX)
AT_ONCE = 64  # messages that are read before the daemon's end is looked for again
UNHEARD_S = 10.0  # after how long a daemon that we stopped should have been continued


class Daemon:
    """One daemon that is watched: who it is, how it is heard, and what it has said so far.

    began: when its start began, in seconds of the monotonic clock. told: its init knows that it is ready.
    """

    def __init__(
        self, start: "Start", pid: int, pidfd: int, sock: _socket.socket, address: Address, began: float
    ) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self.socket = sock
        self.address = address
        self.began = began
        self.init: Init = start.init
        self.service: Service = start.service
        self.access = start.wish.notify_access
        self.leave_after_ready = start.wish.end_after_ready
        self.reporter = Reporter(str(start.service), pid, self.init.hears == TEXT)
        self.told = False
        self.look_again: float | None = None  # when to see whether the init has heard it
        self.status = ""

    def counts(self, sender: int) -> bool:
        """Whether what this process says is said for the service (systemd.service(5), NotifyAccess=)."""
        if self.access in ("main", "exec"):
            return sender == self.pid
        return self.access == "all" and sender > 0 and descends(sender, self.pid)

    def receive(self) -> bool:
        """Take in one message; False if none is waiting. Every descriptor that came with it is closed."""
        try:
            body, extra, _, _ = self.socket.recvmsg(MESSAGE_MAX + 1, ROOM, _socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        sender = 0
        descriptors: list[int] = []
        for level, kind, data in extra:
            if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
                descriptors += numbers(data)
            elif level == _socket.SOL_SOCKET and kind == _socket.SCM_CREDENTIALS:
                sender = numbers(data)[0]
        try:
            self._take(body, sender)
        finally:
            # Only now: the descriptor of a BARRIER=1 being closed says that all before it was dealt with.
            for fd in descriptors:
                posix.close(fd)
        return True

    def _take(self, body: bytes, sender: int) -> None:
        try:
            message = parse(body)
        except Malformed as error:
            self.reporter.say(f"ignored a notification from process {sender}: {error}")
            return
        if has(message, "BARRIER", "1"):
            return  # nothing else counts beside it (sd_notify(3))
        if not self.counts(sender):
            self.reporter.say(
                f"ignored a notification from process {sender}, which may not speak for the service "
                f"(--notify-access {self.access}, process {self.pid})"
            )
            return
        self._heed(message)

    def _heed(self, message: Assignments) -> None:
        access = first(message, "NOTIFYACCESS")
        if access in ("none", "main", "exec", "all"):
            self.access = access
        for key, value in message:
            if key == "STATUS" and value == self.status:
                continue
            if key == "STATUS":
                self.status = value
            line = report(key, value)
            if line:
                self.reporter.say(line)
        if has(message, "READY", "1") and not self.told:
            self.told = True
            self._tell()

    def _tell(self) -> None:
        try:
            self.init.ready(self.service, self.pid, self.pidfd, monotonic() - self.began)
        except ProcessLookupError:
            return  # it has ended meanwhile; its init sees that itself
        except OSError as error:
            self.reporter.say(f"telling {self.init.name} that the daemon is ready failed: {error.strerror}")
            return
        self.look_again = monotonic() + UNHEARD_S

    def look(self) -> None:
        """See whether the init has heard what it was told."""
        self.look_again = None
        try:
            advice = self.init.unheard(self.service, self.pid, self.pidfd)
        except OSError as error:
            advice = f"looking whether {self.init.name} has heard that the daemon is ready failed: {error.strerror}"
        if advice:
            self.reporter.say(advice)

    def can_leave(self) -> bool:
        """Whether --end-after-ready's time has come: the daemon is ready, and holds the socket itself.

        One that has closed what it did not know would lose its socket with us, so there we stay.
        """
        if not (self.leave_after_ready and self.told):
            return False
        self.leave_after_ready = False
        if holds(self.pid, self.socket):
            return True
        self.reporter.say("the watcher stays: the daemon has closed its copy of the notification socket")
        return False

    def leave(self) -> None:
        """Go while the daemon lives: whatever it says from now on is dropped by the kernel."""
        drop_everything(self.socket)
        while self.receive():
            pass
        self.reporter.close()

    def bury(self) -> None:
        """The daemon has ended: hear its last words, leave nothing."""
        for _ in range(AT_ONCE * AT_ONCE):
            if not self.receive():
                break
        self.socket.close()
        posix.close(self.pidfd)
        self.address.remove()
        self.reporter.close()


def run(start: "Start", pid: int, pidfd: int, sock: _socket.socket, address: Address, began: float) -> None:
    """Watch one daemon until it ends. Runs in the watcher's process; does not return."""
    try:
        _leave_surroundings({sock.fileno(), pidfd})
        sweep(address)
        serve([Daemon(start, pid, pidfd, sock, address, began)])
    except Exception as error:  # a mistake of ours; unsaid, the init would wait for readiness and nobody would know why
        complain_of_mistake(error)
    finally:
        posix._exit(0)


def serve(daemons: list[Daemon]) -> None:
    """Hear these daemons until none is left."""
    poller = poll()
    by_fd: dict[int, Daemon] = {}
    for daemon in daemons:
        for fd in (daemon.socket.fileno(), daemon.pidfd):
            poller.register(fd, POLLIN)
            by_fd[fd] = daemon

    def forget(daemon: Daemon) -> None:
        for fd in (daemon.socket.fileno(), daemon.pidfd):
            poller.unregister(fd)
            del by_fd[fd]

    while by_fd:
        deadlines = [daemon.look_again for daemon in by_fd.values() if daemon.look_again is not None]
        wait_ms = max(0, int((min(deadlines) - monotonic()) * 1000) + 1) if deadlines else None
        events = poller.poll(wait_ms)
        for daemon in {by_fd[fd] for fd, _ in events}:
            for _ in range(AT_ONCE):
                if not daemon.receive():
                    break
            if daemon.can_leave():
                forget(daemon)
                daemon.leave()
        for fd, _ in events:
            gone = by_fd.get(fd)
            if gone is not None and fd == gone.pidfd:
                forget(gone)
                gone.bury()
        now = monotonic()
        for daemon in set(by_fd.values()):
            if daemon.look_again is not None and daemon.look_again <= now:
                daemon.look()


def numbers(data: bytes) -> list[int]:
    """The C ints in data."""
    return [int.from_bytes(data[at : at + 4], sys.byteorder, signed=True) for at in range(0, len(data) - 3, 4)]


def holds(pid: int, sock: _socket.socket) -> bool:
    """Whether the process has this socket open."""
    wanted = f"socket:[{posix.fstat(sock.fileno()).st_ino}]"
    folder = f"/proc/{pid}/fd"
    try:
        names = posix.listdir(folder)
    except OSError:
        return False
    for name in names:
        try:
            if posix.readlink(f"{folder}/{name}") == wanted:
                return True
        except OSError:
            continue
    return False


def _leave_surroundings(keep: set[int]) -> None:
    """Keep nothing of the daemon's but standard error: no folder busy, no port taken, no pipe held open."""
    posix.chdir("/")
    null = posix.open("/dev/null", posix.O_RDWR | posix.O_CLOEXEC)
    posix.dup2(null, 0)
    posix.dup2(null, 1)
    try:
        descriptors = [int(name) for name in posix.listdir("/proc/self/fd")]
    except OSError:  # no /proc here
        descriptors = list(range(posix.sysconf("SC_OPEN_MAX")))
    for fd in descriptors:
        if fd > 2 and fd not in keep:
            try:
                posix.close(fd)
            except OSError:
                pass  # the descriptor by which the folder was read
    try:
        fd = posix.open("/proc/self/comm", posix.O_WRONLY)
        posix.write(fd, b"cross-init")
        posix.close(fd)
    except OSError:
        pass  # only the name that ps(1) shows
    # Whoever ends all processes, as at shutdown, ends the daemon as well, and then we go; SIGKILL is for emergencies.
    for number in (_signal.SIGTERM, _signal.SIGINT, _signal.SIGHUP, _signal.SIGPIPE):
        _signal.signal(number, _signal.SIG_IGN)
