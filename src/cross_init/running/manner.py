"""How a service is ended, if its unit says more of that than the bridge's options can.

What it says is in definitions/definition.py (Ending), what comes of it in watch/stages.py.
"""

import posix

from cross_init.definitions.definition import INFINITY, SECOND
from cross_init.running.words import OF_NEED
from cross_init.watch.stages import Manner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.definitions.definition import Definition, Ending


def manner_of(definition: "Definition") -> Manner:
    """All of it; what is left to chance (RuntimeRandomizedExtraSec=) is decided."""
    said = definition.ending
    found = Manner()
    found.stop, found.abort = said.kill_signal, said.watchdog_signal
    found.final = said.final_kill_signal if said.send_sigkill else 0
    found.hangs_up = said.send_sighup
    found.start_mode, found.stop_mode = said.timeout_start_failure_mode, said.timeout_stop_failure_mode
    found.start_s = seconds(INFINITY if said.timeout_start is None else said.timeout_start)
    found.stop_s = seconds(said.timeout_stop)
    found.abort_s = seconds(said.timeout_stop if said.timeout_abort is None else said.timeout_abort)
    # A Type=oneshot is over when it is active.
    found.runtime_s = _runtime(said) if definition.readiness.type != "oneshot" else None
    found.has_main = not _nobody_knows_main(definition)
    found.waits_for_all = definition.readiness.exit_type == "cgroup" or not found.has_main
    found.says_reloaded = definition.readiness.type == "notify-reload"
    found.needs = tuple(key for field, key in OF_NEED.items() if _is_needed(definition, found, field))
    return found


def seconds(usec: int) -> float | None:
    """None: there is no bound."""
    return None if usec == INFINITY else usec / SECOND


def _nobody_knows_main(definition: "Definition") -> bool:
    """Whether it forks away, and nothing says which its main process is."""
    said = definition.readiness
    return said.type == "forking" and not (said.guess_main_pid or said.pid_file)


def _runtime(said: "Ending") -> float | None:
    if said.runtime_max == INFINITY:
        return None
    extra = said.runtime_randomized_extra * int.from_bytes(posix.urandom(4)) / (1 << 32)
    return (said.runtime_max + extra) / SECOND


def _is_needed(definition: "Definition", found: Manner, field: str) -> bool:
    if field == "guess_main_pid":
        return _nobody_knows_main(definition)
    group = definition.readiness if field == "exit_type" else definition.ending
    if field == "watchdog_signal" and not definition.ending.watchdog:
        return False
    if field == "runtime_max":
        return found.runtime_s is not None
    return bool(getattr(group, field) != getattr(type(group), field))
