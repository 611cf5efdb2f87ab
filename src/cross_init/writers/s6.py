"""A service as an s6 service directory (s6-supervise(8), "service directories"; s6-log(8))."""

from cross_init.definitions.definition import INFINITY, Definition
from cross_init.running.words import SIGTERM, unlike
from cross_init.running.words import signals as words_of_signals
from cross_init.writers import restart
from cross_init.writers.invocation import is_awaited
from cross_init.writers.quoting import shell
from cross_init.writers.script import CHECKS, after, run, whole
from cross_init.writers.unit_values import signal_name

WRITES = (*CHECKS, *restart.KEYS, "StartLimitIntervalSec", "StartLimitInterval", "StartLimitBurst", "respawn limit")
BY_SIGNAL = "256"  # $1 of a ./finish
STAYS_DOWN = "exec s6-svc -O {here}"
FAILED_FOR_GOOD = "exit 125"
NOTIFICATION_FD = "3\n"
MOMENT_MS = 5000  # what s6 gives a ./finish, and we the bridge to see to the end of what it runs
DEATHS_MOST = 4096  # of max-death-tally
DEATHS = "0-255,SIGABRT,SIGBUS,SIGFPE,SIGHUP,SIGILL,SIGINT,SIGKILL,SIGPIPE,SIGQUIT,SIGSEGV,SIGSYS,SIGTERM,SIGTRAP"


def write(definition: Definition, remarks: list[str], expand: bool) -> dict[str, str]:
    """The service directory's files. Raises Failure."""
    name = definition.name.rpartition(".")[0]
    found = {**service(definition, remarks, expand), "log/run": log(name), "log/notification-fd": NOTIFICATION_FD}
    return {f"{name}/{path}": text for path, text in found.items()}


def service(definition: Definition, remarks: list[str], expand: bool) -> dict[str, str]:
    """The files of the service itself. Raises Failure."""
    found = {"run": "", "finish": finish(definition, remarks, expand), **_times(definition, expand)}
    if is_awaited(definition):
        found["notification-fd"] = NOTIFICATION_FD
    has_own_signal = expand and says_signal(definition)
    if has_own_signal:
        found["down-signal"] = f"{signal_name(definition.ending.kill_signal)}\n"
    if _limit(definition):
        found["max-death-tally"] = f"{min(definition.ending.start_limit_burst, DEATHS_MOST)}\n"
    own = ("--success-exit-status", *(("--stop-signal",) if has_own_signal else ()))
    found["run"] = run(definition, remarks, expand, STAYS_DOWN, own)
    return {path: text for path, text in found.items() if text}


def says_signal(definition: Definition) -> bool:
    """Whether it is ended by another signal than SIGTERM, and by nothing else."""
    taken: set[str] = set()
    words_of_signals(definition, taken)
    return definition.ending.kill_signal != SIGTERM and "stop" not in unlike(definition, taken)


def finish(definition: Definition, remarks: list[str], expand: bool) -> str:
    """The script that is run at the end; "" if nothing is to be done then."""
    is_over = definition.readiness.type == "oneshot" and not definition.readiness.remain_after_exit
    behind = after(definition, remarks, is_over) if expand else []
    if len(behind) > 1:
        behind = ["(", *behind, ")"]
    anew = restart.lines(definition, BY_SIGNAL, FAILED_FOR_GOOD)
    seconds = restart.delay(definition)
    if seconds:
        anew.append(f'[ "$(s6-svstat -o wantedup .)" = false ] || sleep {seconds}')
    if interval := _limit(definition):
        count = min(definition.ending.start_limit_burst, DEATHS_MOST)
        anew.append(f"exec s6-permafailon {interval} {count} {DEATHS} true")
    if not (behind or anew):
        return ""
    note = ["# s6-svc -r is a service's own end to it: s6-svc -d and s6-svc -u start it anew."]
    is_trap = any(FAILED_FOR_GOOD in line for line in anew)
    return whole([*note * is_trap, *behind, *anew])


def _limit(definition: Definition) -> int:
    """The seconds in which it may be started so many times, 0 if nobody said that."""
    said = definition.ending
    is_said = {"start_limit_interval", "start_limit_burst"} & definition.origins.keys()
    seconds = said.start_limit_interval // 1_000_000
    return seconds if is_said and said.restart != "no" and said.start_limit_burst and seconds < 1 << 31 else 0


def stop_ms(definition: Definition) -> int:
    """How long a stop may take, 0 for ever."""
    said, commands = definition.ending, definition.commands
    if said.timeout_stop == INFINITY or not said.send_sigkill:
        return 0
    taken: set[str] = set()
    words_of_signals(definition, taken)
    runs = (len(commands.stop) if "stop" in unlike(definition, taken) else 0) + len(commands.stop_post)
    return (1 + runs) * said.timeout_stop // 1000 + (MOMENT_MS if runs else 0)


def _times(definition: Definition, expand: bool) -> dict[str, str]:
    found = {"timeout-kill": f"{stop_ms(definition)}\n"} if stop_ms(definition) else {}
    finishing = len(definition.commands.stop_post) * expand * definition.ending.timeout_stop // 1000
    finishing += restart.delay(definition) * 1000
    if finishing:
        is_endless = definition.ending.timeout_stop == INFINITY and expand and definition.commands.stop_post
        found["timeout-finish"] = "0\n" if is_endless else f"{finishing + MOMENT_MS}\n"
    return found


def log(name: str) -> str:
    """Its logger."""
    folder = shell(f"/var/log/s6/{name}")
    return f"#!/bin/sh\nmkdir -p {folder}\nexec s6-log -b -d3 T n20 s1000000 {folder}\n"
