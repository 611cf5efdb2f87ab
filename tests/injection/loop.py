"""Waiting for whatever comes first: descriptors with what is to be called, and a condition that ends the waiting."""

import os
import select
import time
from collections.abc import Callable

LOOK_S = 0.1


class Loop:
    """Descriptors, each with its callback."""

    def __init__(self) -> None:
        self.poller = select.poll()
        self.callbacks: dict[int, Callable[[], None]] = {}

    def watch(self, fd: int, callback: Callable[[], None]) -> None:
        """Call back whenever it can be read, or has hung up."""
        self.poller.register(fd, select.POLLIN)
        self.callbacks[fd] = callback

    def forget(self, fd: int) -> None:
        """Do not any more."""
        if self.callbacks.pop(fd, None) is not None:
            self.poller.unregister(fd)

    def until(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Call back until this holds; False if it does not in these seconds. It is looked at every LOOK_S at least."""
        end = time.monotonic() + seconds
        while not holds():
            left_s = end - time.monotonic()
            if left_s <= 0:
                return False
            for fd, _ in self.poller.poll(min(left_s, LOOK_S) * 1000):
                callback = self.callbacks.get(fd)
                if callback is not None:
                    callback()
        return True

    def catch_up(self) -> None:
        """Call back for what is there already."""
        for fd, _ in self.poller.poll(0):
            callback = self.callbacks.get(fd)
            if callback is not None:
                callback()


class Lines:
    """What a process writes into a pipe, line by line; "" at the end. has_ended: nobody writes any more."""

    def __init__(self, loop: Loop, fd: int, callback: Callable[[str], None]) -> None:
        self.loop = loop
        self.fd = fd
        self.callback = callback
        self.rest = b""
        self.has_ended = False
        os.set_blocking(fd, False)
        loop.watch(fd, self._read)

    def _read(self) -> None:
        try:
            part = os.read(self.fd, 65536)
        except BlockingIOError:
            return
        if not part:
            self.close()
        *lines, self.rest = (self.rest + part).split(b"\n")
        for line in lines:
            self.callback(line.decode("utf-8", "replace"))
        if not part:
            self.callback("")

    def close(self) -> None:
        """Read no more."""
        if not self.has_ended:
            self.has_ended = True
            self.loop.forget(self.fd)
            os.close(self.fd)
