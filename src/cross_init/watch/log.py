"""What a daemon says and its init has no ear for: to syslog under the service's name, at a bounded rate.

Without a syslog it goes to standard error. Only the watcher's process uses this.
"""

import _socket
import errno
import posix
from time import localtime, monotonic, strftime

import cross_init.kernel.nonblocking  # noqa: F401 (it may be needed when the program's files were replaced)
from cross_init.bounds import PID_MAX, UINT64_MAX, number
from cross_init.errors import NAME, say, say_what_was_dropped

LOG = "/dev/log"
FACILITY_DAEMON = 3 << 3
INFO = 6
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
LINE_MAX = 1000  # characters of what was said
BURST = 30  # lines at once ...
PER_SECOND = 1.0  # ... and then so many
# Said to no one: pings, which may come many times a second, and what only belongs to another assignment.
UNSAID = ("WATCHDOG", "MONOTONIC_USEC", "FDNAME", "FDPOLL", "NOTIFYACCESS", "BARRIER", "READY")
ERRNO_MAX = 4095  # MAX_ERRNO, linux/err.h
# What has to be a number: its bounds, and in words what it would be the number of.
NUMBERS = {
    "MAINPID": (1, PID_MAX, "a process"),
    "MAINPIDFDID": (1, UINT64_MAX, "a pidfd"),
    "WATCHDOG_USEC": (0, UINT64_MAX, "microseconds"),
    "EXTEND_TIMEOUT_USEC": (0, UINT64_MAX, "microseconds"),
    "ERRNO": (0, ERRNO_MAX, "an error"),
}


def report(key: str, value: str) -> str | None:
    """One assignment of sd_notify(3) as a line for the log; None if it is not for the log."""
    if key in UNSAID:
        return None
    if key == "STATUS":
        return f"status: {value}"
    if what := is_no(key, value):
        return f"says {key}={value}, which is ignored: it is no {what}"
    if key == "ERRNO":
        return f"error: {posix.strerror(int(value))} (errno {value})"
    said = {"STOPPING": "stopping", "RELOADING": "reloading"}.get(key)
    if said is not None and value == "1":
        return said
    if key == "FDSTORE":
        return "wants descriptors to be kept (FDSTORE=1), which its init does not do; --fd-store does"
    if key == "MAINPID":
        return f"says that its main process is {value} now, which its init cannot be told"
    return f"says {key}={value}"


def is_no(key: str, value: str) -> str:
    """What an assignment would have to say and does not, in words; "" if it says that, or may say anything."""
    if key not in NUMBERS:
        return ""
    least, most, what = NUMBERS[key]
    return f"number of {what}, {least} to {most}" if number(value, least, most) is None else ""


def printable(text: str) -> str:
    """What a daemon says must not forge lines or move a terminal's cursor."""
    shown = "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in text[: LINE_MAX + 1])
    return shown[:LINE_MAX] + ("..." if len(shown) > LINE_MAX else "")


class Bucket:
    """How many lines may still be said: BURST at first, PER_SECOND more with time."""

    def __init__(self, now: float) -> None:
        self.tokens = float(BURST)
        self.filled = now
        self.left_out = 0

    def take(self, now: float) -> bool:
        """Whether a line may be said at this time (seconds of a clock that only goes on)."""
        self.tokens = min(float(BURST), self.tokens + (now - self.filled) * PER_SECOND)
        self.filled = now
        if self.tokens < 1:
            self.left_out += 1
            return False
        self.tokens -= 1
        return True


class Reporter:
    """Says lines under a service's name: to syslog, or to standard error where asked to or left with that."""

    def __init__(self, name: str, pid: int, to_stderr: bool) -> None:
        self.name = printable(name)  # an init takes a service's name from anywhere, as from an event
        self.pid = pid
        self.to_stderr = to_stderr
        self.log: _socket.socket | None = None
        self.bucket = Bucket(monotonic())

    def say(self, text: str) -> None:
        """Say one line, if the rate allows."""
        if self.bucket.take(monotonic()):
            self._say_what_was_left_out()
            if not self._write(text):
                self.bucket.left_out += 1

    def close(self) -> None:
        """The last line: how many were left out, if any were."""
        self._say_what_was_left_out()
        say_what_was_dropped()
        if self.log is not None:
            self.log.close()

    def _say_what_was_left_out(self) -> None:
        count = self.bucket.left_out
        if count and self._write(f"({count} lines left out: more than {PER_SECOND:g} a second, or than the log takes)"):
            self.bucket.left_out = 0

    def _write(self, text: str) -> bool:
        """Say this; False if whoever takes it takes nothing just now: the daemon must not wait for that."""
        line = printable(text)
        if not self.to_stderr:
            now = localtime()
            stamp = f"{MONTHS[now.tm_mon - 1]} {now.tm_mday:2} {strftime('%H:%M:%S', now)}"
            entry = f"<{FACILITY_DAEMON | INFO}>{stamp} {self.name}[{self.pid}]: {line}"
            try:
                if self._send(entry.encode("utf-8", "backslashreplace")):
                    return True
            except BlockingIOError:
                return False
        return say(f"{NAME}: {self.name}[{self.pid}]: {line}")

    def _send(self, entry: bytes) -> bool:
        """Give it to syslog; False if there is none. Raises BlockingIOError if that takes nothing just now."""
        for _ in range(2):  # once more after syslog was started anew
            try:
                if self.log is None:
                    self.log = connect()
                end = b"\0" if self.log.type == _socket.SOCK_STREAM else b""
                self.log.send(entry + end, _socket.MSG_NOSIGNAL)
            except BlockingIOError:
                raise
            except OSError:
                if self.log is not None:
                    self.log.close()
                    self.log = None
                continue
            return True
        return False


def connect() -> _socket.socket:
    """Connected to syslog, by datagrams, or by a stream where it has that (syslog(3)); never waits. Raises OSError."""
    for kind in (_socket.SOCK_DGRAM, _socket.SOCK_STREAM):
        log = _socket.socket(_socket.AF_UNIX, kind | _socket.SOCK_CLOEXEC)
        log.setblocking(False)
        try:
            log.connect(LOG)
        except OSError as error:
            log.close()
            if error.errno == errno.EPROTOTYPE:
                continue
            raise
        return log
    raise OSError(errno.EPROTOTYPE, "no kind of socket that syslog takes")
