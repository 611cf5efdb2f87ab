"""The watcher's process: hear a daemon, tell its init, and go when the daemon is gone.

It runs beside the daemon, so what it imports does not delay a start. One loop can serve any number of daemons.
"""

import posix

from cross_init.errors import print_error, print_unexpected, why
from cross_init.kernel.linux import is_transient, reason
from cross_init.kernel.pidfds import has_ended
from cross_init.kernel.procfs import exit_status_if_known
from cross_init.model import HEARD_S
from cross_init.plan import WATCH
from cross_init.watch.detach import detach, ignore_stop_signals
from cross_init.watch.event_loop import EventLoop
from cross_init.watch.leftovers import Rest, by_main, end, is_clean, stages_of
from cross_init.watch.outcome import explain, is_ours_to_explain
from cross_init.watch.predecessor import forget, note
from cross_init.watch.watched import Watched
from cross_init.watch.witness import DONE, TELLING, TOLD, UP, say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.launch import Start
    from cross_init.model import Channel


REAPED_MS = 3000  # for the daemon's parent to take its exit status; supervisord looks once a second


class Watcher:
    """Watches one daemon from beside it. tidies: it removes what killed watchers have left."""

    tidies = True

    def __init__(
        self, loop: EventLoop, start: "Start", pid: int, pidfd: int, channel: "Channel", began: float, witness: int
    ) -> None:
        self.witness = witness
        self.loop = loop
        self.channel = channel
        self.leave_after_ready = start.request.end_after_ready
        self.watched = Watched(loop, start, pid, pidfd, began, self._tell)
        # Of what the daemon leaves, and where the next start sees that it is being ended.
        self.rest: Rest | None = None
        if start.request.ends_rest:
            has_group = not start.request.init.shares_groups
            self.rest = Rest(pid, 0, None, 0, (channel.mark,), self.watched.helpers, has_group)
        self.noted = ""
        if self.rest is not None and start.init.restarts:
            self.noted = note(start, pid, self.rest.began, self.tidies)
        loop.watch(pidfd, self._bury)
        if start.store is not None:
            self.watched.keep_descriptors(start.store, pidfd)
        channel.attach(self.watched)
        self.watched.observe()
        self._serve()

    def _serve(self) -> None:
        """Let whoever asks know how the service is."""
        self.watched.serve_status(WATCH)

    def _tell(self) -> None:
        watched = self.watched
        if has_ended(watched.pidfd):
            return  # its init sees that itself
        say(self.witness, TELLING)
        try:
            watched.init.ready(watched.service, watched.pid, watched.pidfd, watched.seconds)
        except ProcessLookupError:
            return  # it has ended meanwhile
        except OSError as error:
            self._told_in_vain(error)
            return
        self._has_told()

    def _told_in_vain(self, error: OSError) -> None:
        if not self.watched.notify_again(error):
            self._let_witness_go()

    def _has_told(self) -> None:
        """The init knows: what is there to be done now?"""
        watched = self.watched
        self._let_witness_go()
        if self.leave_after_ready and not self.channel.can_leave(watched.pid):
            # It has closed what it did not know, and would lose its socket with us.
            watched.reporter.say("the watcher stays: the daemon is not seen to hold the notification socket")
        elif self.leave_after_ready or not (self._is_needed() or watched.init.may_miss_readiness):
            self._leave()
            return
        if watched.init.may_miss_readiness:
            self.loop.cancel(watched.timer)
            watched.timer = self.loop.after(HEARD_S, self._look)

    def _let_witness_go(self) -> None:
        """Unless it has to stay, as we do: somebody relies on our counting the daemon's signs of life."""
        if self.watched.watchdog is not None:
            say(self.witness, TOLD)
        elif self.witness >= 0:
            say(self.witness, DONE)
            posix.close(self.witness)
            self.witness = -1

    def _leave(self) -> None:
        forget(self.noted)
        self.channel.leave()
        self.watched.close()

    def _look(self) -> None:
        """See whether the init has heard what it was told."""
        watched = self.watched
        try:
            advice = watched.init.check_heard(watched.service, watched.pid, watched.pidfd)
        except OSError as error:
            advice = f"looking whether {watched.init.called} has heard that it is ready failed: {why(error)}"
        if advice:
            watched.reporter.say(advice)
        if not self._is_needed():
            self._leave()

    def _is_needed(self) -> bool:
        """Whether there is something to do for the rest of the daemon's life."""
        start = self.watched.start
        return (
            self.channel.lasting
            or self.watched.health is not None
            or bool(start.removals)
            or self.rest is not None
            or any(condition.lasting for condition in start.conditions)
        )

    def _bury(self) -> None:
        """The daemon has ended: hear its last words, leave nothing."""
        try:
            self.channel.close()
        except OSError:
            pass  # its last words cannot be had
        pidfd = posix.dup(self.watched.pidfd)
        is_to_explain = is_ours_to_explain(self.watched)
        self.watched.init.ended()
        self.watched.close()
        self._end_rest(pidfd, is_to_explain)

    def _end_rest(self, pidfd: int, is_to_explain: bool) -> None:
        """End what the daemon has left, and say how it has ended if it never got ready."""
        status: int | None = None
        if self.rest is not None and self.rest.find():
            status = exit_status_if_known(pidfd, REAPED_MS)
            stages = stages_of(self.watched.start.request, status is not None and not is_clean(status))
            end(self.rest, self.watched.service, by_main(self.watched.pid), stages)
        forget(self.noted)
        if is_to_explain:  # at last, as its parent may take its time to hear how it has ended, and we hear it then
            explain(self.watched, exit_status_if_known(pidfd, REAPED_MS) if status is None else status)


def run(start: "Start", pid: int, pidfd: int, channel: "Channel", began: float, witness: int) -> None:
    """Watch one daemon until it ends. Runs in the watcher's process; does not return.

    witness: the pipe to who sees us killed before the init was told; -1 if that is the front.
    """
    try:
        detach({pidfd, witness, *start.descriptors(channel)})
        ignore_stop_signals()
        say(witness, UP)
        loop = EventLoop()
        Watcher(loop, start, pid, pidfd, channel, began, witness)
        loop.run()
    except Exception as error:  # unsaid, the init would wait for readiness and nobody would know why
        if is_transient(error):
            print_error(f"watching {start.service} (PID {pid}): {reason(error)}; nobody does from now on", 0)
        else:
            print_unexpected(error, 0)
        channel.discard()
        if start.endpoint is not None:
            start.endpoint.remove()
        for condition in start.conditions:
            condition.stop()
            condition.outlive()
        start.remove_sockets()
    finally:
        posix._exit(0)
