"""Hear what a daemon says on its notification socket (sd_notify(3)), and whether it may say it.

The watching process's side; notify_socket.py is the side of the process that becomes the daemon.
"""

import _socket
import posix
import sys

from cross_init.bounds import as_identity, as_pid, as_usec, in_seconds
from cross_init.kernel_knows import process_of
from cross_init.model import READY, RELOADING, STOPPING
from cross_init.news import MESSAGE_MAX, Assignments, Malformed, first, has, parse
from cross_init.report import is_no, report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.watched import Watched

FDS_MAX = 253  # SCM_MAX_FD: the kernel passes no more in one message (unix(7))
CREDENTIALS_SIZE = 12  # struct ucred: pid, uid, gid
ROOM = _socket.CMSG_SPACE(CREDENTIALS_SIZE) + _socket.CMSG_SPACE(4 * FDS_MAX)
SO_ATTACH_FILTER = 26  # socket(7); asm-generic/socket.h: the same number on every architecture that Python is built for
BPF_RETURN_0 = (0x06, 0, 0, 0)  # BPF_RET | BPF_K: accept 0 bytes of the packet, which drops it
AT_ONCE = 64  # messages that are read before the daemon's end is looked for again


class Listener:
    """One daemon's notification socket, heard on its behalf. access: whose messages count (NotifyAccess=)."""

    def __init__(self, watched: "Watched", sock: _socket.socket, access: str) -> None:
        self.watched = watched
        self.socket = sock
        self.access = access
        self.held = watched.expect("READY=1")
        watched.engine.watch(sock.fileno(), self.hear)

    def hear(self) -> None:
        """Take in messages; not all that there may be, so that a flood of them does not hide the daemon's end."""
        for _ in range(AT_ONCE):
            if self.socket.fileno() < 0 or not self.receive():  # closed: what was just heard let us leave
                return

    def counts(self, sender: int) -> bool:
        """Whether what this process says is said for the service (systemd.service(5), NotifyAccess=)."""
        if self.access in ("main", "exec"):
            return sender == self.watched.pid
        return self.access == "all" and self.watched.belongs(sender)

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
            self._take(body, sender, descriptors)
        finally:
            # Only now: the descriptor of a BARRIER=1 being closed says that all before it was dealt with.
            for fd in descriptors:
                posix.close(fd)
        return True

    def _take(self, body: bytes, sender: int, descriptors: list[int]) -> None:
        try:
            message = parse(body)
        except Malformed as error:
            self.watched.reporter.say(f"ignored a notification from process {sender}: {error}")
            return
        if has(message, "BARRIER", "1"):
            return  # nothing else counts beside it (sd_notify(3))
        if not self.counts(sender):
            self.watched.reporter.say(
                f"ignored a notification from process {sender}, which may not speak for the service "
                f"(--notify-access {self.access}, process {self.watched.pid})"
            )
            return
        self._heed(message, descriptors)

    def _heed(self, message: Assignments, descriptors: list[int]) -> None:
        access = first(message, "NOTIFYACCESS")
        if access in ("none", "main", "exec", "all"):
            self.access = access
        if self.watched.follow is not None:
            self._follow(message, descriptors)
        usec = as_usec(first(message, "EXTEND_TIMEOUT_USEC") or "")
        if usec is not None and self.watched.deadline is not None and not self.watched.ready:
            self.watched.extend(in_seconds(usec))
        self._note(message)
        if self.watched.watchdog is not None:
            self.watched.watchdog.heed(message)
        if self.watched.keeping is not None:
            self.watched.keeping.heed(message, descriptors)
        if self.watched.pass_on is not None:
            self.watched.pass_on(message, descriptors)
        else:
            self._report(message)
        if has(message, "READY", "1"):
            self.held()

    def _follow(self, message: Assignments, descriptors: list[int]) -> None:
        """The daemon names another main process: by number, or by a pidfd that comes with the message.

        With the number may come what tells it from another process that has the number now: sd_notify(3), MAINPIDFDID.
        """
        assert self.watched.follow is not None
        if has(message, "MAINPIDFD", "1") and len(descriptors) == 1:
            self.watched.follow(process_of(descriptors[0]), descriptors[0], None)
            return
        named = {key: value for key in ("MAINPID", "MAINPIDFDID") if (value := first(message, key)) is not None}
        for key, value in named.items():
            if what := is_no(key, value):
                where = "does not name a process of the service as its main process"
                self.watched.reporter.say(f"{where}: {key}={value} is no {what}")
                return
        if "MAINPID" in named:
            self.watched.follow(as_pid(named["MAINPID"]), -1, as_identity(named.get("MAINPIDFDID", "")))

    def _note(self, message: Assignments) -> None:
        """What state it is in, for who asks."""
        watched = self.watched
        status = first(message, "STATUS")
        self.is_new = status is not None and status != watched.status
        if status is not None:
            watched.status = status
        if has(message, "STOPPING", "1"):
            watched.enter(STOPPING)
        elif has(message, "READY", "1"):
            if watched.ready:
                watched.enter(READY)
        elif has(message, "RELOADING", "1") and watched.ready:
            watched.enter(RELOADING)

    def _report(self, message: Assignments) -> None:
        """What the init has no ear for, to people."""
        for key, value in message:
            if key.startswith("MAINPID") and (self.watched.follow is not None or value == str(self.watched.pid)):
                continue  # it is followed; or it is the main process already, as systemd-notify(1) says each time
            if self.watched.keeping is not None and key in ("FDSTORE", "FDSTOREREMOVE"):
                continue
            if key == "STATUS" and not self.is_new:
                continue
            line = report(key, value)
            if line:
                self.watched.reporter.say(line)

    def is_held_by(self, pid: int) -> bool:
        """Whether this process has the socket open, so that it will be there when we are gone."""
        wanted = f"socket:[{posix.fstat(self.socket.fileno()).st_ino}]"
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

    def silence(self) -> None:
        """From now on the kernel drops what arrives; what is there already is still taken in."""
        drop_everything(self.socket)
        while self.receive():
            pass

    def close(self) -> None:
        """Hear the daemon's last words, and close."""
        self.watched.engine.forget(self.socket.fileno())
        for _ in range(AT_ONCE * AT_ONCE):
            if not self.receive():
                break
        self.socket.close()


def numbers(data: bytes) -> list[int]:
    """The C ints in data."""
    return [int.from_bytes(data[at : at + 4], sys.byteorder, signed=True) for at in range(0, len(data) - 3, 4)]


def drop_everything(sock: _socket.socket) -> None:
    """Make this datagram socket a black hole: from now on every message to it succeeds and vanishes.

    The kernel drops each one as it arrives and closes the descriptors in it, so a sender is never held up, not even
    when nobody reads. What is queued already stays readable. No privilege is needed. Raises OSError.
    """
    from array import array
    from struct import pack

    instruction = array("B", pack("HBBI", *BPF_RETURN_0))
    where, _ = instruction.buffer_info()
    sock.setsockopt(_socket.SOL_SOCKET, SO_ATTACH_FILTER, pack("HP", 1, where))
