"""What was wrong with a run: pure, from what was seen of it."""

from signal import SIGKILL

from tests.injection.calls import KILL, WRITES, Fault
from tests.injection.scene import Outcome
from tests.injection.shapes import Shape

FALSE_READY = "false ready"
DAEMON_LEFT = "daemon left"
NEVER_READY = "never ready"  # and nobody was told why
NOT_TOLD = "said why"  # the same, but people were: no harm, as it can be mended
HANG = "hang"
LEFTOVER = "leftovers"
TRACEBACK = "tracebacks"
MISTAKE = "mistakes"
SILENT = "silent ends"
HARM = (FALSE_READY, DAEMON_LEFT, NEVER_READY, HANG, LEFTOVER, TRACEBACK, MISTAKE, SILENT)
COLUMNS = (*HARM, NOT_TOLD)
OUTPUT = 2
DAEMON = "/daemon /run/faults/stage"


def judge(shape: Shape, fault: Fault | None, outcome: Outcome) -> dict[str, str]:
    """What was wrong, by its kind, with what tells more of it."""
    seen, found = outcome.seen, {}
    if seen.early:
        found[FALSE_READY] = "before the daemon had said so"
    elif seen.dead:
        found[FALSE_READY] = "the daemon is dead, and the init sees no failure"
    elif seen.notes:
        found[FALSE_READY] = "; ".join(seen.notes)
    daemons = [process for process in seen.processes if DAEMON in process]
    if (seen.left_alone or daemons) and not (fault is not None and is_known(shape, fault)):
        found[DAEMON_LEFT] = "; ".join(daemons) or f"it outlived who supervised it ({seen.left_alone})"
    has_failed = seen.status is not None
    if shape.waits and not seen.told and not has_failed and not _has_no_voice(fault, outcome):
        if seen.said and seen.text:
            found[NOT_TOLD] = seen.text.splitlines()[-1]
        elif seen.said:
            found[NEVER_READY] = "the daemon said it, the init was not told, and nobody why"
        else:
            found[HANG] = (
                f"the daemon {'has not got on' if seen.started else 'was not started'}: {seen.text or 'no word'}"
            )
    if shape.hands_over and seen.told and not has_failed:
        found[HANG] = "it does not end, though the init was told"
    if len(seen.processes) > len(daemons):
        found[LEFTOVER] = f"processes: {'; '.join(seen.processes)}"
    elif seen.zombies:
        found[LEFTOVER] = f"zombies: {'; '.join(seen.zombies)}"
    elif outcome.left:
        found[LEFTOVER] = f"after the next start: {', '.join(outcome.left)}"
    elif outcome.next_start:
        found[LEFTOVER] = f"the next start: {outcome.next_start}"
    for sign in ("Traceback", "Fatal Python error", "Exception ignored"):
        if sign in seen.text:
            found[TRACEBACK] = _line(seen.text, sign)
    if "a mistake in" in seen.text:
        found[MISTAKE] = _line(seen.text, "a mistake in")
    if has_failed and not seen.became and seen.status != 0 and not seen.text and not _explains_silence(fault, outcome):
        found[SILENT] = f"wait status {seen.status:#06x}"
    return found


def _explains_silence(fault: Fault | None, outcome: Outcome) -> bool:
    """Whether the main process was killed itself, ended as who was killed (its status says so), or could not write."""
    if fault is None:
        return False
    if fault.kind == KILL:
        return fault.role.partition(":")[0] == "main" or outcome.seen.status in (SIGKILL, (128 + SIGKILL) << 8)
    return _has_no_voice(fault, outcome)


def _has_no_voice(fault: Fault | None, outcome: Outcome) -> bool:
    """Whether the fault was that nothing could be written on standard error, by which a shell is told as well."""
    return fault is not None and fault.call in WRITES and bool(fault.error) and outcome.seen.hit_first == OUTPUT


def is_known(shape: Shape, fault: Fault) -> bool:
    """Whether a daemon that is left is what docs/trust.md says of this.

    The front knows that the daemon is ready, and is killed on its way out: nobody but its parent can tell that from an
    exit code 0.
    """
    return shape.init == "front" and (fault.role, fault.call, fault.error) == ("main", "exit_group", 0)


def _line(text: str, sign: str) -> str:
    lines = text.splitlines()
    at = next(number for number, line in enumerate(lines) if sign in line)
    return lines[at] if sign == "a mistake in" else " / ".join(lines[at : at + 8])
