"""The watcher: hear a daemon on its notification socket, tell the init, and go when the daemon is gone.

It runs beside the daemon, so what it imports does not delay a start. One engine can serve any number of daemons.
"""

import _signal
import _socket
import posix
import sys
from time import monotonic

from cross_init.engine import Engine, Timer
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
KILL_S = 5.0  # a cancelled start's time to end, in seconds: Upstart's own default (init(5), kill timeout)
UNHEARD_S = 10.0  # after how long a daemon that we stopped should have been continued


class Daemon:
    """One daemon that is watched: who it is, how it is heard, and what it has said so far.

    began: when its start began, in seconds of the monotonic clock. told: its init knows that it is ready.
    """

    def __init__(
        self, engine: Engine, start: "Start", pid: int, pidfd: int, sock: _socket.socket, address: Address, began: float
    ) -> None:
        self.engine = engine
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
        self.status = ""
        self.timer: Timer | None = None
        engine.watch(sock.fileno(), self.hear)
        engine.watch(pidfd, self.bury)
        self.cancellation = self.init.cancellation(self.service, start.original)
        if self.cancellation is not None:
            engine.watch(self.cancellation.socket.fileno(), self.hear_cancellation)

    def hear(self) -> None:
        """Take in messages; not all that there may be, so that a flood of them does not hide the daemon's end."""
        for _ in range(AT_ONCE):
            if not self.receive():
                break
        if self.leave_after_ready and self.told:
            self.leave_after_ready = False
            if holds(self.pid, self.socket):
                self.leave()
            else:
                # It has closed what it did not know, and would lose its socket with us.
                self.reporter.say("the watcher stays: the daemon has closed its copy of the notification socket")

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
        self._forget_cancellation()  # from now on the init ends the daemon itself
        try:
            self.init.ready(self.service, self.pid, self.pidfd, monotonic() - self.began)
        except ProcessLookupError:
            return  # it has ended meanwhile; its init sees that itself
        except OSError as error:
            self.reporter.say(f"telling {self.init.name} that the daemon is ready failed: {error.strerror}")
            return
        self.engine.cancel(self.timer)
        self.timer = self.engine.after(UNHEARD_S, self._look)

    def _look(self) -> None:
        """See whether the init has heard what it was told."""
        try:
            advice = self.init.unheard(self.service, self.pid, self.pidfd)
        except OSError as error:
            advice = f"looking whether {self.init.name} has heard that the daemon is ready failed: {error.strerror}"
        if advice:
            self.reporter.say(advice)

    def hear_cancellation(self) -> None:
        """The init has news of the start: if it is cancelled, end the daemon, as the init itself would end it later."""
        assert self.cancellation is not None
        try:
            cancelled = self.cancellation.is_stop()
        except BlockingIOError:
            return
        except OSError:
            self._forget_cancellation()  # there is no more news; a stop signal still reaches the daemon
            return
        if cancelled:
            self._forget_cancellation()
            self.reporter.say(f"{self.init.name} cancels the start")
            self._end(_signal.SIGTERM)
            self.timer = self.engine.after(KILL_S, lambda: self._end(_signal.SIGKILL))

    def _end(self, number: int) -> None:
        """End the daemon's process group, which its init has made for it, or the daemon if it leads none."""
        try:
            if posix.getpgid(self.pid) == self.pid:
                posix.killpg(self.pid, number)
            else:
                _signal.pidfd_send_signal(self.pidfd, number)
        except OSError:
            pass  # it has ended

    def _forget_cancellation(self) -> None:
        if self.cancellation is not None:
            self.engine.forget(self.cancellation.socket.fileno())
            self.cancellation.socket.close()
            self.cancellation = None

    def leave(self) -> None:
        """Go while the daemon lives: whatever it says from now on is dropped by the kernel."""
        drop_everything(self.socket)
        while self.receive():
            pass
        self._close()

    def bury(self) -> None:
        """The daemon has ended: hear its last words, leave nothing."""
        for _ in range(AT_ONCE * AT_ONCE):
            if not self.receive():
                break
        self.address.remove()
        self._close()

    def _close(self) -> None:
        self._forget_cancellation()
        self.engine.cancel(self.timer)
        for fd in (self.socket.fileno(), self.pidfd):
            self.engine.forget(fd)
        self.socket.close()
        posix.close(self.pidfd)
        self.reporter.close()


def run(start: "Start", pid: int, pidfd: int, sock: _socket.socket, address: Address, began: float) -> None:
    """Watch one daemon until it ends. Runs in the watcher's process; does not return."""
    try:
        _leave_surroundings({sock.fileno(), pidfd})
        sweep(address)
        engine = Engine()
        Daemon(engine, start, pid, pidfd, sock, address, began)
        engine.run()
    finally:
        posix._exit(0)


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
    for name in posix.listdir("/proc/self/fd"):
        fd = int(name)
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
