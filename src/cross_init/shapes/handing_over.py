"""The bridge's part in handing a daemon over (hand_over.py): from the fork until the daemon is the init's."""

import _signal
import posix

from cross_init.errors import FAILED, Failure, print_error, why
from cross_init.kernel.linux import pending_signals
from cross_init.kernel.pidfds import has_ended, send
from cross_init.kernel.procfs import exit_status_of_other
from cross_init.model import STOP, Channel
from cross_init.shapes.keeper import ENDED, STOPPED, Keeper
from cross_init.shapes.processes import end_like
from cross_init.shapes.signals import Signals
from cross_init.watch.event_loop import EventLoop
from cross_init.watch.outcome import explain, is_ours_to_explain
from cross_init.watch.watched import Watched
from cross_init.watch.witness import TELLING, TOLD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.launch import Start


TOLD_AS_WELL_S = 0.02  # for a signal that all processes of the service get
OTHERS_CHILD_S = 0.1  # for a parent to wait for its child; some never do


class Ended(Failure):
    """The daemon has, while it was being handed over."""


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
        self.is_beside = False  # the daemon is the init's, and we are there still
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
        self.signals = Signals(loop, self._signalled)

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
            self.loop.forget(self.keeper.news)
            # Who tells all processes of a service to stop may come to this one last, and then that was no failure.
            self.loop.after(0 if self.watched.is_told_to_stop else TOLD_AS_WELL_S, self.loop.stop)
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
        self.watched.is_told_to_stop |= number == _signal.SIGTERM
        if self.is_beside:
            send(self.watched.pidfd, number)
            return
        try:
            # An init that ends a whole group does so one by one; when it is done, the canary has it or has it not.
            self.start.init.barrier(self.start.original)
        except OSError:
            pass  # then the daemon may get it twice, which is better than never
        if number not in pending_signals(self.keeper.pid):
            send(self.watched.pidfd, number)

    def finish(self) -> int:
        """The daemon is ready, or has ended: hand it over, or end as it did. Raises Failure."""
        if self.status is not None:
            self.channel.discard()
            if is_ours_to_explain(self.watched):
                explain(self.watched, self.status)
            self.start.init.ended()
            return FAILED if self.watched.timed_out else end_like(self.status)
        if nobody := self.start.init.unreachable(self.start.original):
            return self._stay(nobody)
        self.keeper.let_go()
        self.is_beside = True
        try:
            unanswered = self._hand_over()
        except Ended:
            if not self._is_told_to_stop():
                raise
            return end_like(_signal.SIGTERM)
        finally:
            self.keeper.dismiss()
        if unanswered:
            return self._stay_beside(unanswered)
        self._pass_late()
        return 0

    def _pass_late(self) -> None:
        """The daemon gets what was sent to the main process while that was we, and was not passed on yet.

        It may have it already, with all of its group: twice is better than never.
        """
        self.signals.close()
        self.signals.hear_rest()

    def _is_told_to_stop(self) -> bool:
        """Whether its end comes of a stop of the whole service, which is no failure; this one may be told last."""
        self.loop.forget(self.keeper.news)
        self.loop.after(TOLD_AS_WELL_S, self.loop.stop)
        self.loop.run()
        return self.watched.is_told_to_stop

    def _stay(self, nobody: str) -> int:
        """There is nobody to hand it over to, and why: go on as it is. Returns the exit code to end with."""
        print_error(
            f"telling {self.start.init.called} that the daemon (PID {self.watched.pid}) is ready: {nobody}; nobody is "
            "told, and it goes on below this process",
            0,
        )
        if self.is_stopped:
            send(self.watched.pidfd, _signal.SIGCONT)
        self.loop.run()
        return self.finish()

    def _stay_beside(self, unanswered: str) -> int:
        """Nobody has said that he was told. Be the main process for whoever still takes us for that; the exit code."""
        print_error(
            f"telling {self.start.init.called} that the daemon (PID {self.watched.pid}) is ready: {unanswered}; "
            "it goes on, and this process ends with it",
            0,
        )
        self.loop.forget(self.keeper.news)
        self.loop.watch(self.watched.pidfd, self._ended_beside)
        self.loop.run()
        self.start.init.ended()
        return end_like(exit_status_of_other(self.watched.pidfd))

    def _ended_beside(self) -> None:
        """It has ended; when its new parent has taken its exit status, the pidfd hangs up."""
        self.loop.watch(self.watched.pidfd, self.loop.stop, 0)
        self.loop.after(OTHERS_CHILD_S, self.loop.stop)

    def _hand_over(self) -> str:
        """Tell the init, and let the daemon go on. Returns why it may not have been told. Raises Failure."""
        init, pid, pidfd = self.start.init, self.watched.pid, self.watched.pidfd
        killed = Ended(f"handing the daemon (PID {pid}) over to {init.called}: it was killed meanwhile")

        def telling() -> None:
            if has_ended(pidfd):
                raise killed
            self.keeper.say(TELLING)

        unanswered = ""
        try:
            init.hand_over(self.start.original, pid, telling)
        except TimeoutError as error:  # who reads there is busy, or has stopped: no reason to end a daemon
            unanswered = why(error)
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
        if not unanswered:
            self.channel.leave()
        return unanswered
