"""Hear of a path that appears or changes, by inotify(7), also where folders on the way to it do not exist yet."""

import posix

from cross_init.errors import Failure
from cross_init.kernel.system_calls import inotify_add, inotify_open
from cross_init.readiness.repeated import FIRST_S, GROWTH, LONGEST_S

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cross_init.watch.event_loop import EventLoop, Timer

MODIFY, ATTRIB, CLOSE_WRITE, MOVED_FROM, MOVED_TO, CREATE, DELETE = 0x2, 0x4, 0x8, 0x40, 0x80, 0x100, 0x200
DELETE_SELF, MOVE_SELF, ONLYDIR = 0x400, 0x800, 0x01000000
EVENTS = MODIFY | ATTRIB | CLOSE_WRITE | MOVED_FROM | MOVED_TO | CREATE | DELETE | DELETE_SELF | MOVE_SELF | ONLYDIR


class PathWatch:
    """Calls back whenever something has happened that may be about this path; what, the callback has to look at.

    Where inotify is not to be had (the user's instances are used up, fs.inotify.max_user_instances; this Python has no
    module ctypes), it calls back in steps that grow.
    """

    def __init__(self, loop: "EventLoop", path: str, callback: "Callable[[], None]") -> None:
        self.loop = loop
        self.path = path
        self.callback = callback
        self.fd = -1
        self.folder = ""
        self.step = FIRST_S
        self.timer: Timer | None = None
        try:
            self.fd = inotify_open()
            loop.watch(self.fd, self._hear)
            self._follow()
        except (OSError, Failure, MemoryError):
            self._call_in_steps()

    def _hear(self) -> None:
        try:
            while posix.read(self.fd, 65536):
                pass
        except BlockingIOError:
            pass
        try:
            self._follow()
        except OSError:
            self._call_in_steps()
        self.callback()

    def _follow(self) -> None:
        """Watch the deepest folder on the way to the path that exists by now. Raises OSError."""
        while True:
            folder = self.path.rpartition("/")[0] or ("/" if self.path.startswith("/") else ".")
            while True:
                try:
                    inotify_add(self.fd, folder, EVENTS)
                    break
                except OSError:
                    if folder in ("/", "."):
                        raise
                    folder = folder.rpartition("/")[0] or ("/" if folder.startswith("/") else ".")
            if folder == self.folder:
                return
            self.folder = folder  # while it was found out, the next one may have been made: look again

    def _call_in_steps(self) -> None:
        self.close()
        self.timer = self.loop.after(self.step, self._step)

    def _step(self) -> None:
        self.step = min(self.step * GROWTH, LONGEST_S)
        self.timer = self.loop.after(self.step, self._step)
        self.callback()

    def close(self) -> None:
        """Hear no more."""
        self.loop.cancel(self.timer)
        if self.fd >= 0:
            self.loop.forget(self.fd)
            posix.close(self.fd)
            self.fd = -1
