"""A shell with job control on a pseudo terminal, reduced to what a test needs: one job, in the foreground.

The shell is a process of its own, as only a leader of the terminal's session can do this. It says on a pipe how its
job stops and ends, and continues it in the foreground when it is told to.
"""

import json
import os
import pty
import select
import signal
import time
from collections.abc import Sequence

LONGEST_S = 15

# argv: the pipe to tell, the pipe to be told by, and the job's command.
SHELL = """
import json, os, signal, sys
tell, told, command = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # it puts others into the foreground while it is not there itself
begin, go = os.pipe()
pid = os.fork()
if pid == 0:
    os.setpgid(0, 0)
    os.close(go)
    os.read(begin, 1)
    for fd in (tell, told, begin):
        os.close(fd)
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    os.execv(command[0], command)
os.setpgid(pid, pid)
os.tcsetpgrp(0, pid)
os.close(go)
os.write(tell, json.dumps({"pid": pid}).encode() + b"\\n")
while True:
    _, status = os.waitpid(pid, os.WUNTRACED)
    os.tcsetpgrp(0, os.getpgrp())
    os.write(tell, json.dumps({"stopped" if os.WIFSTOPPED(status) else "ended": status}).encode() + b"\\n")
    if not os.WIFSTOPPED(status) or not os.read(told, 1):
        break
    os.tcsetpgrp(0, pid)
    os.killpg(pid, signal.SIGCONT)
"""


class Terminal:
    """A terminal with such a shell. job: the PID of its job, which leads the job's process group."""

    def __init__(self, command: Sequence[str], environ: dict[str, str]) -> None:
        self.shown = b""
        news, tell = os.pipe()
        told, self._order = os.pipe()
        self.shell, self.master = pty.fork()
        if self.shell == 0:
            try:
                for fd in (tell, told):
                    os.set_inheritable(fd, True)
                words = ["python3", "-ISc", SHELL, str(tell), str(told), *command]
                os.execve("/usr/bin/python3", words, environ)
            finally:
                os._exit(255)
        os.close(tell)
        os.close(told)
        self._news = os.fdopen(news)
        self.job = 0
        self.job = self._hear("pid")

    def type(self, keys: bytes) -> None:
        """Press these keys."""
        os.write(self.master, keys)

    def stopped(self) -> int:
        """Wait for the shell to see its job stop; returns by which signal."""
        return os.WSTOPSIG(self._hear("stopped"))

    def continue_job(self) -> None:
        """What "fg" does."""
        os.write(self._order, b"f")

    def ended(self) -> int:
        """Wait for the shell to see its job end; returns its exit code, or minus the signal that it died of."""
        return os.waitstatus_to_exitcode(self._hear("ended"))

    def shows(self, text: bytes) -> None:
        """Wait for this to stand on the terminal."""
        end = time.monotonic() + LONGEST_S
        while text not in self.shown:
            left = max(0.0, end - time.monotonic())
            assert select.select([self.master], [], [], left)[0], f"{text!r} is not in {self.shown!r}"
            self.shown += os.read(self.master, 65536)

    def close(self) -> None:
        """End the job and the shell. The terminal hangs up for whoever else is on it."""
        if self.job:
            try:
                os.killpg(self.job, signal.SIGKILL)
            except ProcessLookupError:
                pass
        os.kill(self.shell, signal.SIGKILL)
        os.waitpid(self.shell, 0)
        os.close(self.master)
        os.close(self._order)
        self._news.close()

    def _hear(self, key: str) -> int:
        ready = select.select([self._news], [], [], LONGEST_S)[0]
        assert ready, f"waited in vain for the shell's job to be {key}; the terminal shows {self.shown!r}"
        said = json.loads(self._news.readline())
        assert key in said, said
        number = said[key]
        assert isinstance(number, int)
        return number
