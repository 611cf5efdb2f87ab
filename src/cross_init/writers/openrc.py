"""A service as OpenRC's: a script for openrc-run(8), to be put into /etc/init.d.

What is started anew is supervise-daemon's, all else start-stop-daemon's in the background. Who comes after a service
that says when it is ready waits for it by notify=, which OpenRC has since 0.60. Without a unit what is run to its end
needs no process that stays: OpenRC knows by itself that it was started.
"""

from cross_init.writers import told
from cross_init.writers.invocation import is_awaited, of_unit
from cross_init.writers.one_command import program_first
from cross_init.writers.quoting import comments, shell
from cross_init.writers.script import WIDTH, after, allowed, before, conditions, main_line, oneshot
from cross_init.writers.told import Told, absolute, at_least

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.definitions.definition import Definition

WRITES = told.WRITES
# openrc-run(8), "Dependencies": what its own services provide.
FACILITIES = {
    "network": "net",
    "names": "dns",
    "remote files": "netmount",
    "local files": "localmount",
    "log": "logger",
    "time": "ntp-client",
    "rpc": "rpcbind",
}
BACKGROUND = ("command_background=yes", "pidfile=/run/$RC_SVCNAME.init.pid")  # without "init" it may be the daemon's
LONGEST_S = 86400  # for what has no bound
SIGNALS = {
    "supervise-daemon": 'supervise-daemon "$RC_SVCNAME" --signal HUP',
    "": 'start-stop-daemon --signal HUP --pidfile "$pidfile"',
}


def write(definition: "Definition", remarks: list[str], expand: bool) -> dict[str, str]:
    """The script, by its name. Raises Failure."""
    service = Told(definition, remarks)
    supervisor = "supervise-daemon" if service.restart != "no" else ""
    parts = [f"description={shell(service.description)}\n"]
    functions: list[str] = []
    if expand and definition.readiness.type == "oneshot":
        functions = _task(service, [*_before(service), *oneshot(definition, remarks)])
    elif service.is_task:
        run = " ".join(map(shell, absolute(of_unit(definition))))
        functions = _task(service, [*conditions(definition, remarks, "return 1"), run])
    else:
        words = (
            program_first(main_line(definition, remarks)) if expand else [*map(shell, absolute(of_unit(definition)))]
        )
        parts.append("".join(f"{each}\n" for each in _process(service, words, supervisor, expand)))
        if expand:
            functions = [_function("start_pre", _before(service)), _function("stop_post", _after(service))]
        else:
            functions = [_function("start_pre", conditions(definition, remarks, "return 1"))]
        if service.reloads:
            functions.append(_told("reload", "Reloading", [SIGNALS[supervisor]]))
    parts += [_depend(service), *functions]
    text = "\n".join(filter(None, parts))
    # Its variables are openrc-run's, which reads command_args once more.
    twice = ("SC1003",) if "\\'\\'" in text else ()  # a quotation mark that is quoted in what is quoted
    marks = allowed(text, "SC2034", "SC2016", *twice, dialect="shell=sh ")
    return {service.name: f"#!/sbin/openrc-run\n{comments(remarks, WIDTH)}{marks}{text}"}


def _command(words: list[str]) -> list[str]:
    """The variables that say it. command_args is split at its blanks before a shell reads it (supervise-daemon.sh)."""
    rest = " ".join(words[1:])
    if rest == " ".join(rest.split()):
        return [f"command={words[0]}", f"command_args={shell(rest)}"]
    line = shell(f"exec {words[0]} {rest}")
    return [f"command_line={line}", "command=/bin/sh", "command_args='-c \"$command_line\"'"]


def _process(service: Told, words: list[str], supervisor: str, expand: bool) -> list[str]:
    """The variables that say what runs, and how it is watched."""
    context = service.definition.context
    found = [f"supervisor={supervisor}"] if supervisor else [*BACKGROUND]
    found += _command(words)
    if expand:
        # What it is run by looks at these before the unit's own commands have made a folder.
        found += [f"directory={shell(_folder(service))}"]
        found += [f"umask={context.umask:04o}"] * (context.umask != 0o022)
    if is_awaited(service.definition):
        found += ["# OpenRC has this since 0.60.", "notify=fd:3"]
    if service.is_logged:
        # output_logger= breaks what supervise-daemon starts anew with notify= (0.64).
        found += [f"{each}=/var/log/$RC_SVCNAME.log" for each in ("output_log", "error_log")]
    if supervisor:
        found += _restarts(service)
    stop_s = LONGEST_S if service.stop_s is None else at_least(service.stop_s)
    found.append(f"retry=TERM/{stop_s}/KILL/5")
    if service.reloads:
        found.append("extra_started_commands=reload")
    return found


def _folder(service: Told) -> str:
    folder = service.definition.context.working_directory or "/"
    if folder == "~":
        from cross_init.writers.standing import who

        folder = who(service.definition, service.remarks).home or "/"
    return folder


def _restarts(service: Told) -> list[str]:
    if service.restart == "on-failure":
        service.lose("Restart=on-failure", "supervise-daemon starts it anew after a success as well")
    found = [] if service.delay is None else [f"respawn_delay={at_least(service.delay)}"]
    if service.limit is not None:
        times, period = service.limit
        found += [f"respawn_max={times}"] + ([f"respawn_period={at_least(period)}"] if times else [])
    return found


def _before(service: Told) -> list[str]:
    """What comes before, in the shell that starts the main process, which has its variables from there."""
    own = ("umask ", "cd ")
    lines = before(service.definition, service.remarks, "return 1")
    return [_or_fail(line) for line in lines if not line.startswith(own)]


def _after(service: Told, with_stop: bool = False) -> list[str]:
    lines = after(service.definition, service.remarks, with_stop)
    return [_or_fail(line) if line.startswith("cd ") else line for line in lines]


def _or_fail(line: str) -> str:
    plain = ("export ", "unset ", "set -f", "read_environment() ", "[ ")
    return line if line.startswith(plain) or line.endswith(("|| :", "|| return 1")) else f"{line} || return 1"


def _task(service: Told, lines: list[str]) -> list[str]:
    """The functions of what is over when its commands are, and may be undone."""
    found = [_told("start", "Starting", [_or_fail(line) for line in lines[:-1]] + lines[-1:])]
    if service.definition.readiness.remain_after_exit and (stops := _after(service, True)):
        found.append(_told("stop", "Stopping", stops))
    return found


def _told(name: str, doing: str, lines: list[str]) -> str:
    """A function that says what it does, and how that went."""
    return _function(name, [f'ebegin "{doing} $RC_SVCNAME"', *lines, "eend $?"])


def _function(name: str, lines: list[str]) -> str:
    text = "".join(f"\t{line}\n" for each in lines for line in each.split("\n"))
    return f"{name}() {{\n{text}}}\n" if lines else ""


def _depend(service: Told) -> str:
    uses = [FACILITIES[each] for each in service.facilities]
    orders = (("after", service.after), ("before", service.before))
    rows = (("need", service.needs), ("want", service.wants), ("use", uses), *orders)
    for each in service.conflicts:
        service.lose(f"Conflicts={each}", "OpenRC stops no service for another one")
    return _function("depend", [f"{word} {' '.join(names)}" for word, names in rows if names])
