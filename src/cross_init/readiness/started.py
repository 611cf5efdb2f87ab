"""--ready-when started: the daemon has been started, and a socket that it was passed is open for clients.

No more than that, and so named: it is what systemd goes by for a service with a socket unit and Type=exec. A client's
connection waits in the socket until the daemon serves it, or is ended with it.

Whether the daemon has been started is whether exec has closed a descriptor that is marked for it, in the process that
was to become it. Nobody tells of that, so it is looked at in steps that grow.
"""

import posix

from cross_init.kernel.linux import Environment
from cross_init.kernel.process_stat import process_stat
from cross_init.readiness.condition import Condition
from cross_init.readiness.repeated import Repeated

EXITING = 0x4  # PF_EXITING of linux/sched.h, in the flags of proc_pid_stat(5): all is closed then, though never started
FLAGS = 6  # of the fields of process_stat()


class Started(Repeated):
    """A pipe's end that is closed at exec. The sockets are looked at before the start (own_sockets.py)."""

    travels = True

    def prepare(self, environ: Environment) -> None:
        """Make the mark. Raises OSError."""
        self.mark, end = posix.pipe2(posix.O_CLOEXEC)
        posix.close(end)
        self.link = f"pipe:[{posix.fstat(self.mark).st_ino}]"

    def carry(self) -> tuple[str, ...]:
        """By what the mark is known."""
        return (self.link,)

    def resume(self, words: list[str]) -> None:
        """The same. Raises ValueError."""
        (self.link,) = words

    def ask(self) -> None:
        """Look into the process."""
        pid = self.watched.pid
        flags = process_stat(pid)[FLAGS:][:1]
        folder = f"/proc/{pid}/fd"
        try:
            marked = any(link_of(f"{folder}/{name}") == self.link for name in posix.listdir(folder))
        except PermissionError:
            marked = False  # not ours to look at any more: so it is another program
        except OSError:
            marked = True
        # Its state is looked at once more: the descriptors go while it ends.
        now = process_stat(pid)[FLAGS:][:1]
        self.answer(not marked and flags == now and bool(now) and not int(now[0]) & EXITING)


def link_of(path: str) -> str:
    """What this link says; "" if it is gone."""
    try:
        return posix.readlink(path)
    except OSError:
        return ""


def make(kind: str, rest: str, text: str, bus: str) -> Condition:
    """There is only one."""
    return Started(text)
