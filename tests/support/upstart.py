"""A small stand-in for Upstart: it does for one job what Upstart 1.13 was seen to do.

It starts the main process in a
session of its own with default signals and the job's variables, waits for it to stop if the job says "expect stop",
continues it, and stops it by SIGTERM to its process group. The test's process is a subreaper meanwhile, so what
double-forks away from the daemon becomes its child, as it becomes init's.

What differs: a job's output and error are a pipe, there a pseudo terminal; and it starts any sockets at any numbers,
there the socket bridge has them, and is told which by "start on". test_upstart_real_jobs.py sees that the rest agrees.
"""

import ctypes
import fcntl
import os
import select
import signal
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.processes import named, watcher_among
from tests.support.programs import PATH

PR_SET_CHILD_SUBREAPER = 36
LONGEST_S = 20
WITNESS = "cross-init-wit"


def reap(orphans: bool) -> None:
    """Whether what loses its parent among our descendants becomes our child."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, int(orphans), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


class Job:
    """One job with "expect stop" (or without), run by this very process. pid: its main process."""

    def __init__(self, name: str, command: Sequence[str], expect_stop: bool = True, instance: str = "") -> None:
        self.name = name
        self.command = list(command)
        self.expect_stop = expect_stop
        self.instance = instance
        self.pid = 0
        self.stops = 0
        self.log = b""
        self._log_fd = -1
        self._others = set(_children())
        self._status: int | None = None

    def spawn(
        self,
        sockets: Mapping[int, socket.socket] | None = None,
        event: Mapping[str, str] | None = None,
        user: int = 0,
    ) -> None:
        """Start the main process. sockets: number in the job -> socket, named in UPSTART_FDS in this order."""
        sockets = sockets or {}
        environ = {"PATH": PATH, "TERM": "linux", **(event or {})}
        if sockets:
            environ["UPSTART_EVENTS"] = " ".join(["socket"] * len(sockets))
            environ["UPSTART_FDS"] = " ".join(map(str, sockets))
        environ |= {"UPSTART_JOB": self.name, "UPSTART_INSTANCE": self.instance}
        self._log_fd, log = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.setsid()
                os.chdir("/")
                null = os.open("/dev/null", os.O_RDWR)
                above = max((*sockets, 2)) + 1
                high = [fcntl.fcntl(sock.fileno(), fcntl.F_DUPFD, above) for sock in sockets.values()]
                for fd, number in ((null, 0), (log, 1), (log, 2), *zip(high, sockets, strict=True)):
                    os.dup2(fd, number)
                keep = {0, 1, 2, *sockets}
                for fd in map(int, os.listdir("/proc/self/fd")):
                    if fd not in keep:
                        try:
                            os.close(fd)
                        except OSError:
                            pass
                for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
                    signal.signal(number, signal.SIG_DFL)
                if user:
                    os.setgroups([])
                    os.setgid(user)
                    os.setuid(user)
                os.execve(self.command[0], self.command, environ)
            finally:
                os._exit(255)
        os.close(log)

    def wait_running(self) -> bool:
        """initctl start's wait: True when the job runs, False when its main process ended before."""
        if not self.expect_stop:
            return True
        status = self._wait(os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            self._status = status
            return False
        self.stops += 1
        os.kill(self.pid, signal.SIGCONT)
        return True

    def is_stopped_again(self) -> bool:
        """Whether the main process has stopped since; it is continued if so, and counted."""
        pid, status = os.waitpid(self.pid, os.WNOHANG | os.WUNTRACED)
        if pid and os.WIFSTOPPED(status):
            self.stops += 1
            os.kill(self.pid, signal.SIGCONT)
            return True
        if pid:
            self._status = status
        return False

    def has_ended(self) -> bool:
        """Whether the main process has ended, without waiting for it."""
        if self._status is None:
            self.is_stopped_again()
        return self._status is not None

    def stop(self) -> int:
        """initctl stop: SIGTERM to the process group, then the wait status."""
        os.killpg(self.pid, signal.SIGTERM)
        return self.ended()

    def kill(self, number: int) -> None:
        """Send the main process a signal, as somebody else than the init."""
        os.kill(self.pid, number)

    def ended(self) -> int:
        """Wait for the main process to end; returns its wait status."""
        if self._status is None:
            self._status = self._wait(0)
        return self._status

    def orphans(self) -> list[int]:
        """Our other children: the watchers, and their witnesses."""
        return [pid for pid in _children() if pid != self.pid and pid not in self._others]

    def watcher(self) -> int:
        """The process that watches the main process."""
        return watcher_among(self.orphans)

    def witness(self) -> int:
        """The process that would see the watcher killed; 0 if there is none, or not yet under its own name."""
        return next((pid for pid in self.orphans() if named(pid) == WITNESS), 0)

    def orphans_gone_within(self, seconds: float) -> bool:
        """Reap what was orphaned to us; whether all of it ended in this time, without one look too many."""
        end = time.monotonic() + seconds
        while left := self.orphans():  # what they leave becomes ours in turn
            fd = os.pidfd_open(left[0])
            try:
                if not select.select([fd], [], [], max(0.0, end - time.monotonic()))[0]:
                    return False
            finally:
                os.close(fd)
            os.waitpid(left[0], 0)
        return True

    def said(self) -> str:
        """All that the job has written, when everything of it has ended."""
        while part := os.read(self._log_fd, 65536):
            self.log += part
        return self.log.decode()

    def close(self) -> None:
        """End all that is left, by the PIDs of our own children."""
        for pid in {self.pid, *self.orphans()} if self.pid else set():
            assert pid > 1
            try:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            except (ProcessLookupError, ChildProcessError):
                pass
        if self._log_fd >= 0:
            os.close(self._log_fd)

    def _wait(self, options: int) -> int:
        """waitpid(2) with an end to it, for the main thread.

        By a handler: another thread of the test's process, which does not wait for it, may be who gets the signal.
        """
        end = time.monotonic() + LONGEST_S
        woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        handler = signal.signal(signal.SIGCHLD, lambda number, frame: None)
        previous = signal.set_wakeup_fd(wake)
        try:
            while True:
                pid, status = os.waitpid(self.pid, options | os.WNOHANG)
                if pid:
                    return status
                left = end - time.monotonic()
                assert left > 0, f"the main process of {self.name} neither stopped nor ended"
                if select.select([woken], [], [], left)[0]:
                    os.read(woken, 4096)
        finally:
            signal.set_wakeup_fd(previous)
            signal.signal(signal.SIGCHLD, handler)
            os.close(woken)
            os.close(wake)


def _children() -> list[int]:
    return [int(word) for word in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
