"""A service as a service directory of runit's (runsv(8), sv(8), svlogd(8))."""

from cross_init.definitions.definition import Definition
from cross_init.writers import restart
from cross_init.writers.invocation import FRONT_DOOR, is_awaited
from cross_init.writers.quoting import shell
from cross_init.writers.s6 import says_signal
from cross_init.writers.script import CHECKS, after, run, whole

WRITES = (*CHECKS, *restart.KEYS)
BY_SIGNAL = "-1"  # $1 of a ./finish
STAYS_DOWN = "exec sv once {here}"
# What control/t leaves to ./finish, as for that a stop by sv restart looks as if the service had ended by itself.
TOLD = "supervise/told"
CHECK = f"#!/bin/sh\nexec {FRONT_DOOR} check\n"
SIGNALS = {1: "hup", 2: "interrupt", 3: "quit", 10: "1", 12: "2", 14: "alarm"}


def write(definition: Definition, remarks: list[str], expand: bool) -> dict[str, str]:
    """The service directory's files. Raises Failure."""
    name = definition.name.rpartition(".")[0]
    signal = SIGNALS.get(definition.ending.kill_signal, "") if expand and says_signal(definition) else ""
    own = ("--success-exit-status", *(("--stop-signal",) if signal else ()))
    end = finish(definition, remarks, expand)
    found = {
        "run": run(definition, remarks, expand, STAYS_DOWN, own),
        "check": CHECK if is_awaited(definition) else "",
        "finish": end,
        "control/t": _control(signal, TOLD in end),
        "log/run": log(name),
    }
    return {f"{name}/{path}": text for path, text in found.items() if text}


def finish(definition: Definition, remarks: list[str], expand: bool) -> str:
    """The script that is run at the end; "" if nothing is to be done then."""
    is_over = definition.readiness.type == "oneshot" and not definition.readiness.remain_after_exit
    behind = after(definition, remarks, is_over) if expand else []
    if len(behind) > 1:
        behind = ["(", *behind, ")"]
    anew = restart.lines(definition, BY_SIGNAL, "sv down .")
    if anew:
        anew = [f"rm {TOLD} 2>/dev/null && exit", *anew]
    if seconds := restart.delay(definition):
        anew.append(f"grep -q down supervise/stat || sleep {seconds}")
    return whole([*behind, *anew]) if behind or anew else ""


def _control(signal: str, notes: bool) -> str:
    """What sv(8) runs instead of sending SIGTERM, if it ends with 0."""
    note = [f": >{TOLD}"] * notes
    send = f"exec sv {signal} ." if signal else "exit 1"
    return whole([*note, send]) if notes or signal else ""


def log(name: str) -> str:
    """Its logger."""
    folder = shell(f"/var/log/runit/{name}")
    return f"#!/bin/sh\nmkdir -p {folder}\nexec svlogd -tt {folder}\n"
