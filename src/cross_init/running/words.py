"""A unit's service in the bridge's own words: the options that have the engine run it. Pure but for sockets' names."""

from cross_init.definitions.definition import INFINITY, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.definitions.definition import Command, Definition
    from cross_init.kernel.linux import Environment

STARTED = ("--ready-when", "started")
KILL = ("/bin/kill", "/usr/bin/kill", "kill")
MAIN = ("$MAINPID", "${MAINPID}")
SIGHUP, SIGKILL, SIGTERM, SIGSTOP = 1, 9, 15, 19
# Fields by which a service is ended otherwise than these options can say (running/manner.py): those for which
# somebody has to stay, with their directives, and all of them.
OF_NEED = {
    "exit_type": "ExitType",
    "guess_main_pid": "GuessMainPID",
    "runtime_max": "RuntimeMaxSec",
    "final_kill_signal": "FinalKillSignal",
    "send_sighup": "SendSIGHUP",
    "watchdog_signal": "WatchdogSignal",
    "timeout_stop_failure_mode": "TimeoutStopFailureMode",
}
OF_MANNER = frozenset(
    (*OF_NEED, "kill_signal", "watchdog", "timeout_start_failure_mode", "send_sigkill", "reload_post"),
)


def readiness(definition: "Definition", given: "Environment") -> list[str]:
    """For which init the daemon was written, and how it says that it is ready. Raises Failure."""
    said = definition.readiness
    if definition.target == "upstart" and said.type != "forking":
        from cross_init.running.job import target

        return ["-t", target(definition, given), *(("-N",) if said.type == "stop" else STARTED)]
    access = ["--notify-access", said.notify_access] if is_heard(definition) else []
    if said.type in ("notify", "notify-reload"):
        return ["-t", "systemd", "-N", *(access if said.notify_access != "main" else [])]  # main: its own way
    if said.type == "forking":
        kind = "systemd:forking" if access or has_sockets(definition) else "sysv"
        return ["-t", kind, "-N", *(["--pid-file", said.pid_file] if said.pid_file else []), *access]
    if said.type == "dbus":
        bus = ["--bus", "session"] if definition.of_user else []
        return ["-t", "systemd", *access, "--ready-when", f"dbus:{said.bus_name}", *bus]
    return ["-t", "systemd", *access, *STARTED]


def is_heard(definition: "Definition") -> bool:
    """Whether it has a notification socket, whatever its readiness is. Nobody listens while a Type=oneshot is run."""
    return definition.readiness.notify_access != "none" and definition.readiness.type != "oneshot"


def has_sockets(definition: "Definition") -> bool:
    """Whether a socket unit is there for it."""
    if not definition.sockets:
        return False
    from cross_init.running.sockets import is_wanted

    return any(is_wanted(definition, socket) for socket in definition.sockets)


def signals(definition: "Definition", taken: set[str]) -> list[str]:
    """What the daemon gets for a stop and a reload. taken: gets those commands that are no more than that."""
    ending, commands = definition.ending, definition.commands
    stop, reload = ending.kill_signal, 0
    if len(commands.reload) == 1 and (number := sent_to_main(commands.reload[0])):
        taken.add("reload")
        reload = number
    elif definition.readiness.type == "notify-reload":
        reload = definition.readiness.reload_signal
    if len(commands.stop) == 1 and sent_to_main(commands.stop[0]) == stop:
        taken.add("stop")  # systemd would send it twice
    found = []
    if stop != SIGTERM:
        found += ["--stop-signal", str(stop)]
    if reload not in (0, SIGHUP):
        found += ["--reload-signal", str(reload)]
    return found


def unlike(definition: "Definition", taken: set[str]) -> set[str]:
    """Which of the two are commands of their own."""
    return {kind for kind in ("reload", "stop") if getattr(definition.commands, kind)} - taken


def sent_to_main(command: "Command") -> int:
    """The signal, if a command does nothing but send it to the main process; 0 if it does something else."""
    words = command.argv[1:]
    if command.path not in KILL or not words or words[-1] not in MAIN:
        return 0
    said = "".join(words[:-1])
    if not said:
        return SIGTERM
    name = (
        said.removeprefix("--signal").lstrip("=")
        if said.startswith("--")
        else said.removeprefix("-s").removeprefix("-")
    )
    if name.isdigit():
        return int(name) if int(name) not in (SIGKILL, SIGSTOP) else 0
    import _signal

    found: object = getattr(_signal, f"SIG{name.upper().removeprefix('SIG')}", 0)
    return found if isinstance(found, int) and name.isalnum() and found not in (SIGKILL, SIGSTOP) else 0


def ending(definition: "Definition") -> list[str]:
    """Which ends count as success, the watchdog, the descriptors that are kept."""
    said = definition.ending
    codes, numbers = said.success_exit_status
    found = []
    if codes or numbers:
        found += ["--success-exit-status", ",".join(map(str, (*codes, *(128 + number for number in numbers))))]
    if said.watchdog and said.watchdog != INFINITY and definition.readiness.type != "oneshot":  # which is over then
        grace = said.timeout_stop if said.timeout_abort is None else said.timeout_abort
        found += ["--watchdog", f"{said.watchdog / SECOND:g}:{min(grace, 86400 * SECOND) / SECOND:g}"]
    if said.file_descriptor_store_max and said.file_descriptor_store_preserve != "no":
        found += ["--fd-store", str(said.file_descriptor_store_max)]
    is_simple = definition.readiness.type in ("simple", "exec", "idle")
    if "timeout_start" in definition.origins and not is_simple and said.timeout_start not in (None, INFINITY):
        found += ["--ready-timeout", f"{(said.timeout_start or 0) / SECOND:g}"]
    return found
