"""How a unit's service is ended: which signals come, one behind the other, and how long each is waited for. Pure.

As systemd has it (systemd.kill(5); service.c, service_enter_signal() and service_dispatch_timer()): what a stop begins
with, or what a start, a stop or a watchdog that is too late leads to; and then all of it once more for what is left.
"""

from _signal import SIGABRT, SIGHUP, SIGKILL, SIGTERM

from cross_init.model import MIXED

TERMINATE, ABORT, KILL = "terminate", "abort", "kill"  # TimeoutStopFailureMode=, and by what an end may begin

# Signals that come together; how long is waited behind them, in seconds (None: for as long as it takes); which of the
# words above they are for.
Stage = tuple[tuple[int, ...], float | None, str]


class Manner:
    """What a unit says of its end. final: 0 if nobody is sent it. hangs_up: SIGHUP comes with the stop.

    start_s, stop_s, abort_s: TimeoutStartSec= and so on. start_mode, stop_mode: by what an end begins when these are
    over. runtime_s: for how long it runs at most, None: for ever. waits_for_all: it ends with its last process.
    has_main: its main process is known, so how that ends counts. says_reloaded: it says when it has done what a signal
    told it. needs: the directives for which somebody has to stay.
    """

    stop, abort, final = int(SIGTERM), int(SIGABRT), int(SIGKILL)
    hangs_up = waits_for_all = says_reloaded = False
    has_main = True
    start_mode = stop_mode = TERMINATE
    start_s: float | None = None
    stop_s: float | None = None
    abort_s: float | None = None
    runtime_s: float | None = None
    needs: tuple[str, ...] = ()

    def stages(self, first: str) -> list[Stage]:
        """Those of one end that begins so."""
        found: list[Stage] = []
        if first == TERMINATE:
            more = (int(SIGHUP),) if self.hangs_up and self.stop != SIGHUP else ()
            found.append(((self.stop, *more), self.stop_s, TERMINATE))
        if first == ABORT or (first == TERMINATE and self.stop_mode == ABORT):
            found.append(((self.abort,), self.abort_s, ABORT))
        if self.final:
            found.append(((self.final,), self.stop_s, KILL))
        return found

    def whole(self, first: str) -> list[Stage]:
        """The same, and all once more for what that has not ended."""
        return [*self.stages(first), *self.stages(TERMINATE)]

    def of_rest(self, kill_mode: str, is_last: bool) -> list[Stage]:
        """For what the main process has left. is_last: these, or all that were there by then, were told before."""
        found = self.stages(TERMINATE) if is_last else self.whole(TERMINATE)
        return [stage for stage in found if kill_mode != MIXED or stage[2] == KILL]
