"""Conditions that the kernel does not tell of: ask again, in steps that grow."""

import _socket

from cross_init.readiness.condition import Condition

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cross_init.readiness.subject import Subject
    from cross_init.watch.event_loop import Timer

FIRST_S = 0.01
GROWTH = 1.5
LONGEST_S = 2.0  # most starts are over by then; a late answer costs at most this much


class Repeated(Condition):
    """Asks until the answer is yes. A subclass has ask(), which calls answer() at once or later."""

    step = FIRST_S
    watched: "Subject"
    held: "Callable[[], None]"
    timer: "Timer | None" = None
    over = False

    def attach(self, watched: "Subject") -> None:
        """Ask for the first time."""
        self.watched = watched
        self.held = watched.expect(self.text)
        self.timer = watched.loop.after(0, self.ask)

    def ask(self) -> None:
        """Look whether it holds."""
        raise NotImplementedError

    def answer(self, holds: bool) -> None:
        """What ask() has found."""
        if self.over:
            return
        if holds:
            self.over = True
            self.held()
        else:
            self.timer = self.watched.loop.after(self.step, self.ask)
            self.step = min(self.step * GROWTH, LONGEST_S)

    def stop(self) -> None:
        """Ask no more."""
        self.over = True
        if self.timer is not None:
            self.watched.loop.cancel(self.timer)


class Connecting(Repeated):
    """Asks over a socket. A subclass makes one in ask(), and closes it by close()."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.socket: _socket.socket | None = None

    def close(self) -> None:
        """Be done with the attempt that is under way."""
        if self.socket is not None:
            self.watched.loop.forget(self.socket.fileno())
            self.socket.close()
            self.socket = None

    def stop(self) -> None:
        """Ask no more, and leave who was asked."""
        super().stop()
        if self.timer is not None:
            self.close()
