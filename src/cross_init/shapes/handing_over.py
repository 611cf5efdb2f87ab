"""The bridge's part in handing a daemon over (hand_over.py): from the fork until the daemon is the init's."""

import _signal
import posix

from cross_init.errors import FAILED, Failure, why
from cross_init.kernel.pidfds import has_ended, send
from cross_init.kernel.procfs import pending_signals
from cross_init.model import STOP, Channel
from cross_init.shapes.parent import ENDED, STOPPED, Keeper
from cross_init.shapes.processes import end_like
from cross_init.shapes.signals import Signals
from cross_init.watch.event_loop import EventLoop
from cross_init.watch.watched import Watched
from cross_init.watch.witness import TELLING, TOLD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.launch import Start


class HandOver:
    """The bridge's part. status: the daemon's wait status, if it has ended before it was ready."""

    def __init__(
        self, loop: EventLoop, start: "Start", keeper: "Keeper", pid: int, channel: Channel, began: float
    ) -> None:
        self.loop = loop
        self.start = start
        self.keeper = keeper
        self.channel = channel
        self.status: int | None = None
        self.is_stopped = False
        try:
            pidfd = posix.pidfd_open(pid)
        except ProcessLookupError:  # ended already, and the keeper has seen it; any process that ends soon will do
            pidfd = posix.pidfd_open(keeper.pid)
        self.watched = Watched(loop, start, pid, pidfd, began, loop.stop)
        stops = start.request.notify and start.target.says == STOP
        self.stops = self.watched.expect("the daemon to stop itself") if stops else None
        channel.attach(self.watched)
        self.watched.observe()
        loop.watch(keeper.news, self._hear_keeper)
        Signals(loop, self._signalled)

    def _hear_keeper(self) -> None:
        line = self.keeper.read_line()
        if line.startswith(STOPPED):
            if self.stops is not None:
                self.is_stopped = True
                stops, self.stops = self.stops, None
                stops()
                if not self.watched.ready:  # something else has to hold as well, for which it has to run
                    self.is_stopped = False
                    send(self.watched.pidfd, _signal.SIGCONT)
        elif line.startswith(ENDED):
            self.status = int(line.removeprefix(ENDED))
            self.loop.stop()
        else:
            send(self.watched.pidfd, _signal.SIGKILL)
            raise Failure(
                f"watching the daemon (PID {self.watched.pid}): the process that watched it was killed; "
                "so the daemon was, too"
            )

    def _signalled(self, number: int, code: int) -> None:
        """What is sent to the main process is meant for the daemon."""
        if number == _signal.SIGCHLD:
            return  # the keeper's end is seen by its pipe
        try:
            # An init that ends a whole group does so one by one; when it is done, the canary has it or has it not.
            self.start.init.settle(self.start.original)
        except OSError:
            pass  # then the daemon may get it twice, which is better than never
        if not pending_signals(self.keeper.pid) >> (number - 1) & 1:
            send(self.watched.pidfd, number)

    def finish(self) -> int:
        """The daemon is ready, or has ended: hand it over, or end as it did. Raises Failure."""
        if self.status is not None:
            self.channel.discard()
            self.start.init.ended()
            return FAILED if self.watched.timed_out else end_like(self.status)
        self.keeper.let_go()
        try:
            self._hand_over()
        finally:
            self.keeper.dismiss()
        return 0

    def _hand_over(self) -> None:
        """Tell the init, and let the daemon go on. Raises Failure."""
        init, pid, pidfd = self.start.init, self.watched.pid, self.watched.pidfd
        killed = Failure(f"handing the daemon (PID {pid}) over to {init.called}: it was killed meanwhile")

        def telling() -> None:
            if has_ended(pidfd):
                raise killed
            self.keeper.say(TELLING)

        try:
            init.hand_over(self.start.original, pid, telling)
        except BaseException as error:
            send(pidfd, _signal.SIGKILL)
            init.ended()
            if not isinstance(error, OSError):
                raise
            raise Failure(f"telling {init.called} that the daemon is ready: {why(error)}; it was ended") from None
        self.keeper.say(TOLD)
        if has_ended(pidfd):
            init.ended()
            raise killed
        if self.is_stopped:
            send(pidfd, _signal.SIGCONT)
        self.channel.leave()
