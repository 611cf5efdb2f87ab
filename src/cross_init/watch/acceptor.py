"""Who connects to a socket of ours is let in, from a loop; where no descriptor is left for it, a little later."""

import _socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cross_init.watch.event_loop import EventLoop, Timer

PAUSE_S = 1.0  # until it is tried again where the kernel had no descriptor to give


class Acceptor:
    """Calls back with the connection of each client of a listening socket that does not block and is ours to close.

    at_once: how many are let in before others have their turn.
    """

    def __init__(
        self,
        loop: "EventLoop",
        listening: _socket.socket,
        callback: "Callable[[_socket.socket], None]",
        at_once: int = 1,
    ) -> None:
        self.at_once = at_once
        self.loop = loop
        self.socket = listening
        self.callback = callback
        self.pause: Timer | None = None
        self._let_in()

    def _let_in(self) -> None:
        self.pause = None
        self.loop.watch(self.socket.fileno(), self._accept)

    def _accept(self) -> None:
        for _ in range(self.at_once):
            try:
                fd, _ = self.socket._accept()  # type: ignore[attr-defined] # what socket.accept() itself calls
            except (BlockingIOError, ConnectionAbortedError):
                return  # it has gone
            except OSError:  # the client still waits, and whoever asks again at once would only spin
                self.loop.forget(self.socket.fileno())
                self.pause = self.loop.after(PAUSE_S, self._let_in)
                return
            self.callback(_socket.socket(fileno=fd))

    def stop(self) -> None:
        """Let nobody in any more; who has connected already goes on waiting."""
        self.loop.cancel(self.pause)
        self.loop.forget(self.socket.fileno())

    def close(self) -> None:
        """Let nobody in any more, and close the socket."""
        self.stop()
        self.socket.close()
