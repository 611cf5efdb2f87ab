"""The signals that are sent to this process, as news."""

import _signal
import posix
from _thread import allocate_lock, get_ident, start_new_thread
from select import POLLIN, poll

from cross_init.errors import Failure
from cross_init.kernel.linux import NO_THREAD, pending_signals
from cross_init.shapes.processes import PASSED_ON
from cross_init.watch.event_loop import EventLoop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

SI_KERNEL = -128  # si_code 0x80, as the low byte of it: the kernel sent the signal, as a terminal's driver does

UP = bytes(2)  # the thread's first news, which is of no signal
UP_S = 1.0


class Signals:
    """What is sent to this process, as news for a loop: callback(number, si_code).

    The signals have to be blocked, see block(). A thread waits for them, as Python has no signalfd(2) and a handler is
    not told who sent a signal.
    """

    def __init__(self, loop: EventLoop, callback: "Callable[[int, int], None]") -> None:
        self.callback = callback
        self.news, self.tell = posix.pipe2(posix.O_CLOEXEC)
        loop.watch(self.news, self._hear)
        self.loop = loop
        self.is_up = self.is_over = False
        self.thread = 0
        self.ended = allocate_lock()
        self._start()

    def _start(self) -> None:
        try:
            start_new_thread(self._wait, ())
        except RuntimeError:
            raise Failure(f"waiting for signals to pass on: {NO_THREAD} The daemon was ended") from None
        self.loop.after(UP_S, self._start_again)

    def _start_again(self) -> None:
        """A thread for which there was no memory ends without a word."""
        if not self.is_up:
            self._start()

    def close(self) -> None:
        """Take no signal any more: from now on each waits for who waits for it. Returns when the thread takes none."""
        self.is_over = True
        if self.thread:  # else it will see that it is over before it waits
            _signal.pthread_kill(self.thread, _signal.SIGCHLD)
            self.ended.acquire()

    def hear_rest(self) -> None:
        """Hear all that was sent till now, when nobody takes any more (close())."""
        come = poll()
        come.register(self.news, POLLIN)
        while come.poll(0):
            self._hear()
        # Not what waits for this thread alone: a SIGPIPE of our own, as a write into a broken pipe brings it.
        for number in pending_signals(posix.getpid()).intersection(PASSED_ON):
            self.callback(number, 0)

    def _wait(self) -> None:
        self.ended.acquire()  # one that is not the first waits here, and close() is to wake the one that takes signals
        self.thread = get_ident()
        try:
            posix.write(self.tell, UP)
            self._take()
        finally:
            self.ended.release()
        _signal.pause()  # for good: close() may be about to send this thread a signal, which has to be there for that

    def _take(self) -> None:
        while not self.is_over:
            try:
                got = _signal.sigwaitinfo((*PASSED_ON, _signal.SIGCHLD))
                posix.write(self.tell, bytes((got.si_signo, got.si_code & 0xFF)))
            except (OSError, MemoryError):
                continue  # one signal is lost, and not all that come after it

    def _hear(self) -> None:
        number, code = posix.read(self.news, 2)
        if not number:
            self.is_up = True
            return
        self.callback(number, code - 256 if code > 127 else code)
