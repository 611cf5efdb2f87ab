"""Hear what a daemon says on its notification socket (sd_notify(3)), and whether it may say it.

The watching process's side; notify_socket.py is the side of the process that becomes the daemon. A message is looked at
where it is, in the queue. What has no descriptors with it is taken off and heeded. What has, whoever sent it, a worker
takes off (receiving.py), and nothing further is read until it has: all is heeded in the order in which it was said.
"""

import _socket
import posix
from struct import pack
from time import monotonic

from cross_init.bounds import as_identity, as_pid, as_usec, in_seconds, number
from cross_init.errors import why
from cross_init.kernel.process_stat import open_descriptors
from cross_init.model import READY, RELOADING, STOPPING
from cross_init.readiness.membership import was_told
from cross_init.readiness.receiving import HEAD_ROOM, Carrying, Clearing, Head, drop, main_of, receive_all, stores
from cross_init.readiness.sd_notify import MESSAGE_MAX, Assignments, Malformed, first, has, parse
from cross_init.readiness.worker import workers_of
from cross_init.sockets.connection import may_claim
from cross_init.watch.log import ERRNO_MAX, is_no, report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.readiness.subject import Subject

SO_ATTACH_FILTER = 26  # socket(7); asm-generic/socket.h: the same number on every architecture that Python is built for
BPF_RETURN_0 = (0x06, 0, 0, 0)  # BPF_RET | BPF_K: accept 0 bytes of the packet, which drops it
AT_THE_END = 64  # messages that are read for its successor before the end of a process is dealt with
LAST_S = 3.0  # for all that is there at the end


class Listener:
    """One daemon's notification socket, heard on its behalf.

    access: whose messages count (NotifyAccess=). address: of the socket, as the daemon has it in its variables.
    is_secret: nobody else can know it; an abstract name the kernel shows to everybody.
    """

    def __init__(self, watched: "Subject", sock: _socket.socket, access: str, address: bytes, is_secret: bool) -> None:
        self.watched = watched
        self.socket = sock
        self.access = access
        self.address = address
        self.is_secret = is_secret
        self.reaped: dict[int, int] = {}
        watched.reaped = self.reaped  # whoever waits for the daemon's processes says so
        self.held = watched.expect("READY=1") if watched.says_ready else None
        self.workers = workers_of(watched)
        self.heeded: Head | None = None  # what was, but for what came with it
        self.has_failed = False  # reading it, and that was said
        self.may_claim: bool | None = None  # whether a worker may speak as the main process; None: nobody has asked
        self.workers.attend(sock.fileno(), self.hear)

    def hear(self) -> None:
        """Take in messages; not all that there may be, so that a flood of them does not hide the daemon's end."""
        for _ in range(self.watched.loop.at_once):
            if self.workers.are_at_work or not self.receive():
                return

    def resume(self, messages: "list[tuple[bytes, list[tuple[int, int, bytes]]]]") -> None:
        """Heed what was taken off by who kept this socket meanwhile: each message with what the kernel said of it."""
        for body, extra in messages:
            head = Head(body, extra, 0)
            message, complaint = self.judge(head)
            if message is not None:
                self.heed(message, head.sender)
            elif complaint:
                self.watched.reporter.say(complaint)

    def counts(self, head: Head) -> bool:
        """Whether what its sender says is said for the service (systemd.service(5), NotifyAccess=)."""
        sender = head.sender
        if sender == self.watched.pid:
            return self.access != "none"
        if self.access != "all":
            return False
        # Root may name another process as the sender: systemd-notify(1) names its parent, which we are to orphans.
        return (
            sender == posix.getpid()
            or head.sent_ns <= self.reaped.get(sender, 0)
            or self.watched.belongs(sender)
            or was_told(self.watched, self.socket, self.address, self.is_secret, head)
        )

    def receive(self) -> bool:
        """Take in one message, or have a worker do so if there are descriptors with it; False if none is waiting."""
        head = self.peek()
        if head is None:
            return False
        message, complaint = self.judge(head)
        if head.has_descriptors and message is not None and self.wants(message):
            if self.watched.pass_on is not None and stores(message) and not self._may_claim():
                return self._pass_on_ourselves(head, message)
            self.workers.send(Carrying(self, head, message))
            return True
        if not head.is_same(self.heeded):  # if it is, who was to take it off did not come to that
            self.heeded = head
            if message is not None:
                self.heed(message, head.sender)
            elif complaint:
                self.watched.reporter.say(complaint)
            if self.heeded is not head:
                return True  # what was heeded has had it taken off
        if not head.has_descriptors:
            return self.take_off()  # only now, so that it is there still if we are killed in between
        if self.socket.fileno() >= 0:
            self.workers.send(Clearing(self))
        return True

    def peek(self) -> Head | None:
        """The message that is next, which stays where it is; None if there is none, or not just now.

        There is no room for descriptors, so the kernel gives us none, and drops none: the message still has them.
        """
        if self.socket.fileno() < 0:  # what was heard before let us leave
            return None
        try:
            body, extra, flags, _ = self.socket.recvmsg(
                MESSAGE_MAX + 1, HEAD_ROOM, _socket.MSG_PEEK | _socket.MSG_DONTWAIT
            )
        except BlockingIOError:
            self.reaped.clear()
            return None
        except OSError as error:
            self._stumble(error)
            return None
        head = Head(body, extra, flags)
        for pid in [pid for pid, ended_ns in self.reaped.items() if ended_ns < head.sent_ns]:
            del self.reaped[pid]  # all that it has said was heard
        return head

    def take_off(self) -> bool:
        """Take the next message off the queue, with nothing that came with it; False if that cannot be just now."""
        try:
            drop(self.socket)
        except OSError as error:
            self._stumble(error)
            return False
        self.heeded = None
        return True

    def _stumble(self, error: OSError) -> None:
        """The kernel has no memory, say. It is tried again, and said once."""
        if not self.has_failed:
            self.has_failed = True
            self.watched.reporter.say(f"reading its notification socket: {why(error)}; trying again")
        self.workers.pause()

    def judge(self, head: Head) -> tuple[Assignments | None, str]:
        """What this message says, if it counts; else None, and what is to be said of it, "" for nothing."""
        try:
            message = parse(head.body)
        except Malformed as error:
            return None, f"ignored a notification from process {head.sender}: {error}"
        if has(message, "BARRIER", "1"):
            return None, ""  # nothing else counts beside it (sd_notify(3))
        if not self.counts(head):
            if self.is_secret or head.user in (0, posix.geteuid()):  # else anybody may have sent it
                self.watched.unheard = head.sender
            return None, (
                f"ignored a notification from process {head.sender}, which may not speak for the service "
                f"(--notify-access {self.access}, process {self.watched.pid}; with --notify-access all whatever was "
                "started in the service may)"
            )
        return message, ""

    def was_held_up(self) -> None:
        """By descriptors that nobody wants."""

    def wants(self, message: Assignments) -> bool:
        """Whether there is something to be done with the descriptors of this message."""
        follows = self.watched.follow is not None and has(message, "MAINPIDFD", "1")
        keeps = self.watched.keeping is not None or self.watched.pass_on is not None
        return follows or (keeps and stores(message))

    def _may_claim(self) -> bool:
        if self.may_claim is None:
            self.may_claim = may_claim()
        return self.may_claim

    def _pass_on_ourselves(self, head: Head, message: Assignments) -> bool:
        """Pass its descriptors on to an init that hears only the main process, which we are.

        Only who may speak for the service comes so far, and only where we have not the right to let a worker speak as
        us (CAP_SYS_ADMIN). That a close() takes its time, or for ever, is the service's own doing then; where its main
        process is of our own user, it could as well stop us.
        """
        try:
            descriptors = receive_all(self.socket)
        except OSError as error:
            self._stumble(error)
            return False
        try:
            self.heed(message, head.sender, descriptors, main_of(message, descriptors))
        finally:
            for fd in descriptors:
                try:
                    posix.close(fd)
                except OSError:
                    pass  # a file whose flush fails; it is closed all the same (close(2))
        return True

    def heed(
        self,
        message: Assignments,
        sender: int,
        descriptors: "list[int] | None" = None,
        main: tuple[int, str] | None = None,
        is_carried: bool = False,
    ) -> None:
        """Do what a message of this process says that counts.

        main: the PID and the start of the process that a pidfd means that came with it. is_carried: a worker keeps its
        descriptors, or passes them on; otherwise there are none, but for those that we have to pass on.
        """
        self.watched.has_spoken = True
        is_main = sender == self.watched.pid
        if not is_main and has(message, "STOPPING", "1"):
            # A helper that stops is no service that does; an init that heard it would end the service.
            message = tuple(each for each in message if each[0] != "STOPPING")
            self.watched.reporter.say(
                f"process {sender} says that it stops; it is not the main process, so that ends nothing"
            )
        access = first(message, "NOTIFYACCESS")
        if access in ("none", "main", "exec", "all"):
            self.access = access
        if self.watched.follow is not None:
            self._follow(message, main)
        usec = as_usec(first(message, "EXTEND_TIMEOUT_USEC") or "")
        if usec is not None and self.watched.deadline is not None:
            self.watched.extend(in_seconds(usec))
        self._note(message, is_main)
        if self.watched.watchdog is not None:
            self.watched.watchdog.heed(message)
        if self.watched.keeping is not None and not (is_carried and stores(message)):
            self.watched.keeping.heed(message)
        if self.watched.pass_on is None:
            self._report(message)
        elif not (is_carried and stores(message)):
            self.watched.pass_on(message, descriptors or [], 0)
        if self.held is not None and has(message, "READY", "1"):
            self.held()
        self.watched.remember()

    def _follow(self, message: Assignments, main: tuple[int, str] | None) -> None:
        """The daemon names another main process: by number, or by a pidfd that comes with the message.

        With the number may come what tells it from another process that has the number now: sd_notify(3), MAINPIDFDID.
        """
        assert self.watched.follow is not None
        if main is not None:
            self.watched.follow(as_pid(str(main[0])), None, main[1])
            return
        named = {key: value for key in ("MAINPID", "MAINPIDFDID") if (value := first(message, key)) is not None}
        for key, value in named.items():
            if what := is_no(key, value):
                where = "does not name a process of the service as its main process"
                self.watched.reporter.say(f"{where}: {key}={value} is no {what}")
                return
        if "MAINPID" in named:
            self.watched.follow(as_pid(named["MAINPID"]), as_identity(named.get("MAINPIDFDID", "")), "")

    def _note(self, message: Assignments, is_main: bool) -> None:
        """What state it is in, for who asks. Only the main process says that it stops, or that it does so no longer."""
        watched = self.watched
        status = first(message, "STATUS")
        self.is_new = status is not None and status != watched.status
        if status is not None:
            watched.status = status
        error = number(first(message, "ERRNO") or "", 0, ERRNO_MAX)
        if is_main and error is not None:
            watched.failure = error
        elif is_main and has(message, "READY", "1"):
            watched.failure = 0
        if has(message, "STOPPING", "1"):
            watched.enter(STOPPING)
        elif has(message, "READY", "1"):
            if watched.ready and (is_main or watched.state != STOPPING):
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
        return wanted in (open_descriptors(pid) or {}).values()

    def catch_up(self) -> None:
        """Take in what is there, with what it takes to do so, for a bounded time."""
        until = monotonic() + LAST_S
        for _ in range(AT_THE_END):
            while self.workers.are_at_work and monotonic() < until:
                self.workers.wait(until)
            if self.workers.are_at_work or monotonic() > until or not self.receive():
                return

    def silence(self) -> None:
        """Hear what is there; the kernel drops what comes later, and no sender notices. Raises OSError."""
        drop_everything(self.socket)
        self._finish()

    def close(self) -> None:
        """Hear the last words; who speaks later is told that nobody listens (EPIPE), and holds nothing up."""
        if self.socket.fileno() >= 0:
            self.socket.shutdown(_socket.SHUT_RD)  # what is queued stays readable
            self._finish()

    def _finish(self) -> None:
        """Take in what is left, for a bounded time, and be done."""
        self.workers.close_door()
        until = monotonic() + LAST_S
        while monotonic() < until:
            if self.workers.are_at_work:
                self.workers.wait(until)
            elif not self.receive():
                break
        # Not closed: that would drop what is in its queue, with the descriptors in that, for which a process may have
        # to wait (worker.py). One that ends waits for no connection that lingers.
        self.socket.detach()


def drop_everything(sock: _socket.socket) -> None:
    """Make this datagram socket a black hole: from now on every message to it succeeds and vanishes.

    The kernel drops each one as it arrives and closes the descriptors in it, so a sender is never held up, not even
    when nobody reads. What is queued already stays readable. No privilege is needed. Raises OSError.
    """
    from array import array  # with it comes half a megabyte of the standard library, which would be in each watcher

    instruction = array("B", pack("HBBI", *BPF_RETURN_0))
    where, _ = instruction.buffer_info()
    sock.setsockopt(_socket.SOL_SOCKET, SO_ATTACH_FILTER, pack("HP", 1, where))
