"""Restart= and its like (systemd.service(5)) as lines of a ./finish, which s6 and runit run at a service's end.

Such a script is given how the run script ended: its exit code, or a word that stands for "of a signal", and the signal.
"""

from cross_init.definitions.definition import INFINITY, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.definitions.definition import Definition

    Row = tuple[tuple[str, ...], bool]

# The keys that this says.
KEYS = ("Restart", "RestartSec", "RestartPreventExitStatus", "RestartForceExitStatus", "RestartKillSignal", "respawn")
CLEAN_SIGNALS = (1, 2, 13, 15)  # HUP INT PIPE TERM
ON_CODE = ("always", "on-failure")
ON_SIGNAL = ("always", "on-failure", "on-abnormal", "on-abort")
ON_CLEAN = ("always", "on-success")
SIGABRT = "6"  # what the watchdog sends


def rows(definition: "Definition", by_signal: str) -> "list[Row]":
    """Patterns of CODE:SIGNAL, and whether it is started anew then; the first that fits counts, and else it is."""
    said = definition.ending
    if said.restart_delay == INFINITY:
        return [(("*",), False)]
    codes, signals = said.success_exit_status
    cleanly = CLEAN_SIGNALS if definition.readiness.type != "oneshot" else ()
    clean = _patterns(((0, *codes), (*cleanly, *signals)), by_signal)
    watchdog: list[Row] = [((f"{by_signal}:{SIGABRT}",), True)] if said.restart == "on-watchdog" else []
    found = [
        (_patterns(said.restart_prevent_exit_status, by_signal), False),
        (_patterns(said.restart_force_exit_status, by_signal), True),
        (clean, said.restart in ON_CLEAN),
        *watchdog,
        ((f"{by_signal}:*",), said.restart in ON_SIGNAL),
        (("*",), said.restart in ON_CODE),
    ]
    known: set[str] = set()
    for at, (patterns, is_anew) in enumerate(found):
        found[at] = (tuple(each for each in patterns if each not in known), is_anew)
        known.update(patterns)
    found = [row for row in found if row[0]]
    while found and found[-1][1]:
        found.pop()
    merged: list[Row] = []
    for patterns, is_anew in found:
        if merged and merged[-1][1] == is_anew:
            before = () if patterns == ("*",) else merged[-1][0]  # it takes all that the others do
            merged[-1] = ((*before, *patterns), is_anew)
        else:
            merged.append((patterns, is_anew))
    return merged


def _patterns(statuses: tuple[tuple[int, ...], tuple[int, ...]], by_signal: str) -> tuple[str, ...]:
    codes, signals = statuses
    return (
        *(f"{code}:*" for code in dict.fromkeys(codes)),
        *(f"{by_signal}:{each}" for each in dict.fromkeys(signals)),
    )


def lines(definition: "Definition", by_signal: str, stays_down: str) -> list[str]:
    """The lines that have it stay down where it is not started anew. stays_down: the command that does."""
    found = rows(definition, by_signal)
    if not found:
        return []
    if found[0][0] == ("*",):
        return [stays_down]
    cases = [f"{' | '.join(patterns)}) {'' if is_anew else f'{stays_down} '};;" for patterns, is_anew in found]
    return ["case $1:$2 in", *cases, "esac"]


def delay(definition: "Definition") -> int:
    """How many seconds it is waited before it is started anew; 0 if the init's own second will do."""
    seconds = -(-definition.ending.restart_delay // SECOND)
    is_said = "restart_delay" in definition.origins and definition.ending.restart != "no"
    return seconds if is_said and 1 < seconds < 1 << 31 else 0
