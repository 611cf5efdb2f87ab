"""A program on a terminal of its own, and what a person sees there: so much of console_codes(4) as ours write."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from tests.support.command import PATH

LONGEST_S = 20
PART = re.compile(r"\x1b\[(\??\d*)([A-Za-z])|([^\x1b])", re.DOTALL)


class Terminal:
    """pid: the program; lines: what stands on the screen; wraps: whether a letter behind the last column does."""

    def __init__(self, pid: int, fd: int) -> None:
        self.pid = pid
        self.fd = fd
        self.lines = [""]
        self.row = 0
        self.column = 0
        self.wraps = True
        self.size = (24, 80)
        self.draws = 0  # how often something was written
        self.rest = ""
        self.mode = termios.tcgetattr(fd)

    def resize(self, rows: int, columns: int) -> None:
        """Have another size: who is in the foreground gets SIGWINCH."""
        self.size = (rows, columns)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, seconds: float) -> bool:
        """Take in what is written in this time; False if nothing is, or at the end."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return False
        try:
            text = os.read(self.fd, 65536).decode()
        except OSError:
            return False  # EIO: nobody has it open any more
        self.draws += 1
        for number, code, letter in PART.findall(text):
            self.write(letter) if letter else self.obey(number, code)
        return True

    def write(self, letter: str) -> None:
        """One letter, where the cursor is."""
        if letter == "\r":
            self.column = 0
        elif letter == "\n":
            self.row += 1
        else:
            if self.column >= self.size[1] and self.wraps:
                self.row, self.column = self.row + 1, 0
            while self.row >= len(self.lines):
                self.lines.append("")
            line = self.lines[self.row].ljust(self.column)
            at = min(self.column, self.size[1] - 1)
            self.lines[self.row] = line[:at] + letter + line[at + 1 :]
            self.column = at + 1
        while self.row >= len(self.lines):
            self.lines.append("")
        if self.row >= self.size[0]:  # it scrolls
            del self.lines[: self.row - self.size[0] + 1]
            self.row = self.size[0] - 1

    def obey(self, number: str, code: str) -> None:
        """A control sequence. Raises KeyError of one that is not known here."""
        if number + code in ("?7l", "?7h"):
            self.wraps = code == "h"
        elif code == "A":
            self.row = max(self.row - int(number or 1), 0)
        elif code == "H":
            self.row = self.column = 0
        elif code == "J":
            self.lines[self.row :] = [self.lines[self.row][: self.column]]
            if number == "2":
                self.lines = [""] * (self.row + 1)
        else:
            raise KeyError(number + code)

    def shows(self, what: Callable[[list[str]], bool], why: str) -> None:
        """Wait for the screen to be so."""
        end = time.monotonic() + LONGEST_S
        while not what(self.lines):
            assert self.read(max(end - time.monotonic(), 0)), f"{why}: {self.lines}"

    def press(self, key: bytes) -> None:
        """A key."""
        os.write(self.fd, key)

    def ended(self) -> int:
        """Its exit code, or minus the signal that it has died of."""
        while self.read(LONGEST_S):
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@contextmanager
def terminal(words: Sequence[str], rows: int = 24, columns: int = 120) -> Iterator[Terminal]:
    """Run this on a terminal; it ends with it."""
    pid, fd = pty.fork()
    if pid == 0:
        try:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            os.execve(words[0], [*words], {"PATH": PATH, "TERM": "xterm"})
        finally:
            os._exit(127)
    made = Terminal(pid, fd)
    made.size = (rows, columns)
    try:
        yield made
    finally:
        try:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass  # it was waited for
        os.close(fd)
