"""A service as sysvinit's: an LSB script for /etc/init.d, with the start-stop-daemon(8) of dpkg.

A start returns when the service is ready (--notify-await). Nobody starts it anew. Without a unit what is run to its
end needs no process that stays: a file says that it was started.
"""

from cross_init.writers import told
from cross_init.writers.invocation import is_awaited, of_unit
from cross_init.writers.one_command import program_first, sets_folder
from cross_init.writers.quoting import comments, shell
from cross_init.writers.script import WIDTH, after, allowed, before, conditions, main_line, oneshot
from cross_init.writers.told import Told, absolute, at_least

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.definitions.definition import Definition

WRITES = told.WRITES
# insserv(8); what a daemon of any kind is behind is said always.
FACILITIES = {
    "network": "$network",
    "names": "$named",
    "remote files": "$remote_fs",
    "local files": "$local_fs",
    "log": "$syslog",
    "time": "$time",
    "rpc": "$portmap",
}
ALWAYS = ("$remote_fs", "$syslog")
LONGEST_S = 86400
DAEMON = 'start-stop-daemon --start --oknodo --background --make-pidfile --pidfile "$PIDFILE"'
STOP = 'start-stop-daemon --stop --oknodo --remove-pidfile --pidfile "$PIDFILE" --retry TERM/{}/KILL/5'
RELOAD = 'start-stop-daemon --stop --signal HUP --pidfile "$PIDFILE"'
STATUS = 'start-stop-daemon --status --pidfile "$PIDFILE"'


def write(definition: "Definition", remarks: list[str], expand: bool) -> dict[str, str]:
    """The script, by its name. Raises Failure."""
    service = Told(definition, remarks)
    is_over = service.is_task or (expand and definition.readiness.type == "oneshot")
    text = _task(service, expand) if is_over else _daemon(service, expand)
    head = _head(service)
    return {service.name: f"#!/bin/sh\n{head}{comments(remarks, WIDTH)}{allowed(text)}{text}"}


def _head(service: Told) -> str:
    facilities = [FACILITIES[each] for each in service.facilities if FACILITIES[each] not in ALWAYS]
    needs = " ".join([*ALWAYS, *facilities, *service.needs])
    rows = [("Provides", service.name), ("Required-Start", needs), ("Required-Stop", needs)]
    if should := " ".join([*service.wants, *(each for each in service.after if each not in service.wants)]):
        rows += [("Should-Start", should), ("Should-Stop", should)]
    if service.before:
        rows.append(("X-Start-Before", " ".join(service.before)))
    rows += [("Default-Start", "2 3 4 5" if service.is_enabled else ""), ("Default-Stop", "0 1 6")]
    rows.append(("Short-Description", service.description))
    lines = "".join(f"# {f'{key}:':18} {value}".rstrip() + "\n" for key, value in rows)
    for each in service.conflicts:
        service.lose(f"Conflicts={each}", "no script stops another one's service")
    if service.restart != "no":
        service.lose(f"Restart={service.definition.ending.restart}", "nobody starts it anew")
    return f"### BEGIN INIT INFO\n{lines}### END INIT INFO\n"


def _daemon(service: Told, expand: bool) -> str:
    definition, remarks = service.definition, service.remarks
    words = [*map(shell, absolute(of_unit(definition)))]
    lines = [] if expand else conditions(definition, remarks, "exit 0")
    context = definition.context
    options: list[str] = []
    if expand:
        words = program_first(main_line(definition, remarks))
        lines = ["set -e", *before(definition, remarks, "exit 0")]
        is_there = sets_folder(definition)
        options.append(f"--chdir {shell(context.working_directory or '/')}" if is_there else '--chdir "$PWD"')
        lines = [each for each in lines if not (each.startswith("cd ") and is_there)]
    if is_awaited(definition):
        limit = LONGEST_S if service.start_s is None else at_least(service.start_s)
        options.append(f"--notify-await --notify-timeout {limit}")
    if service.is_logged:
        options.append(f"--output /var/log/{service.name}.log")
    main = f"{' '.join([DAEMON, *options])} \\\n\t--startas {words[0]} -- {' '.join(words[1:])}"
    stop_s = LONGEST_S if service.stop_s is None else at_least(service.stop_s)
    stops = [STOP.format(stop_s), *(after(definition, remarks) if expand else ())]
    reload = RELOAD if service.reloads else ""
    # /run/NAME.pid may be the daemon's own.
    return f"PIDFILE=/run/{service.name}.init.pid\n" + _cases([*lines, main], stops, STATUS, reload)


def _task(service: Told, expand: bool) -> str:
    definition, remarks = service.definition, service.remarks
    starts = [*conditions(definition, remarks, "exit 0"), " ".join(map(shell, absolute(of_unit(definition))))]
    stops: list[str] = []
    if expand:
        starts = ["set -e", *before(definition, remarks, "exit 0"), *oneshot(definition, remarks)]
    if not definition.readiness.remain_after_exit:
        return _cases(starts, stops or [":"], "exit 4", "")
    starts = ['[ ! -e "$STARTED" ] || exit 0', *starts, ': >"$STARTED"']
    stops = ['[ -e "$STARTED" ] || exit 0', *after(definition, remarks, True), 'rm -f "$STARTED"']
    return f"STARTED=/run/{service.name}.started\n" + _cases(starts, stops, '[ -e "$STARTED" ] || exit 3', "")


def _cases(starts: list[str], stops: list[str], status: str, reload: str) -> str:
    """The functions, and what is called by which word."""
    rows = [
        ("start", "start"),
        ("stop", "stop"),
        *([("reload | force-reload", reload)] if reload else []),
        ("restart" if reload else "restart | force-reload", '"$0" stop && exec "$0" start'),
        ("status", status),
    ]
    usage = "start|stop|reload|restart|force-reload|status" if reload else "start|stop|restart|force-reload|status"
    rows.append(("*", f'echo "usage: $0 {usage}" >&2; exit 3'))
    cases = "".join(f"{word}) {command} ;;\n" for word, command in rows)
    return f"\n{_function('start', starts)}\n{_function('stop', stops)}\ncase $1 in\n{cases}esac\n"


def _function(name: str, lines: list[str]) -> str:
    """Each is the last that the script does, so what it sets and where it ends is no matter."""
    return f"{name}() {{\n" + "".join(f"\t{line}\n" for each in lines for line in each.split("\n")) + "}\n"
