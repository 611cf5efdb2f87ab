"""A service as an Upstart job: a file for /etc/init (init(5)).

A job that is waited for says `expect stop`, and then no `respawn`: Upstart takes a start that fails for one that runs.
What has been run to its end and remains is a job without a main process.
"""

from cross_init.definitions.definition import INFINITY
from cross_init.writers import told
from cross_init.writers.invocation import BRIDGE, is_awaited, of_unit
from cross_init.writers.one_command import sets_folder, taken
from cross_init.writers.quoting import comments, shell
from cross_init.writers.script import (
    WIDTH,
    after,
    before,
    conditions,
    environment,
    main_line,
    oneshot,
    place,
    variables,
)
from cross_init.writers.standing import is_daemons_alone
from cross_init.writers.told import Told, absolute, at_least

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.definitions.definition import Definition

WRITES = (*told.WRITES, "RestartPreventExitStatus")
LEVELS = "runlevel [2345]"  # which comes when files and networks are there
THERE = ("network", "local files", "remote files", "log")
DOWN = "{ stop; exit 0; }"  # cancels the start
LONGEST_S = 86400
CLEAN = ("HUP", "INT", "PIPE", "TERM")  # signals that are no failure (systemd.service(5), SuccessExitStatus=)
# Those that the bridge may have as well (writers/standing.py).
LIMITS = ("CORE", "MEMLOCK", "MSGQUEUE", "NICE", "NOFILE", "NPROC", "RSS", "RTPRIO", "SIGPENDING")


def write(definition: "Definition", remarks: list[str], expand: bool) -> dict[str, str]:
    """The job's file. Raises Failure."""
    service = Told(definition, remarks)
    is_awaited_for = is_awaited(definition) and not (expand and definition.readiness.type == "oneshot")
    parts = [[f"description {quoted(service.description)}"], _events(service)]
    if expand:
        parts += _expanded(service, is_awaited_for)
    else:
        first = script("pre-start", conditions(definition, remarks, DOWN))
        run = [f"exec {' '.join(map(shell, absolute(of_unit(definition))))}"]
        parts += [_policy(service, is_awaited_for), first, run]
    text = "\n".join("".join(f"{each}\n" for each in part) for part in parts if part)
    return {f"{service.name}.conf": comments(remarks, WIDTH) + text}


def quoted(text: str) -> str:
    """One word of a stanza. Told has taken care that it is one line."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _events(service: Told) -> list[str]:
    starts = [f"started {each}" for each in service.needs]
    stops = [f"stopping {each}" for each in service.needs]
    for each in service.needs:
        service.lose(f"Requires={each}", "it is started when that is, and does not start it")
    for each in (*service.wants, *service.after):
        service.lose(f"After={each}", "Upstart cannot wait for what may not come")
    for each in service.before:
        service.lose(f"Before={each}", f"say in that job: start on started {service.name}")
    service.facilities = [each for each in service.facilities if each not in THERE]
    service.no_facilities("Upstart")
    stops += [f"starting {each}" for each in service.conflicts]
    found = [f"start on {' and '.join(starts) or LEVELS}"] if service.is_enabled else []
    return [*found, f"stop on {' or '.join(['runlevel [016]', *stops])}"]


def _policy(service: Told, is_awaited_for: bool) -> list[str]:
    """Readiness, restarts, times."""
    found: list[str] = []
    if service.is_task:
        found.append("task")
    elif is_awaited_for:
        found.append("expect stop")
        if service.restart != "no":
            service.lose(f"Restart={service.definition.ending.restart}", "a job that is waited for must not respawn")
    elif service.restart != "no":
        found += ["respawn", *_respawns(service)]
    if not service.is_task:
        found.append(f"kill timeout {LONGEST_S if service.stop_s is None else at_least(service.stop_s)}")
    return found


def _respawns(service: Told) -> list[str]:
    ending = service.definition.ending
    found: list[str] = []
    if service.limit is not None:
        times, period = service.limit
        found.append(f"respawn limit {times} {at_least(period)}" if times else "respawn limit unlimited")
    if service.delay:
        service.lose("RestartSec=", "it is started anew at once")
    ends = [*ending.restart_prevent_exit_status[0]]
    numbers = [*ending.restart_prevent_exit_status[1]]
    names: tuple[str, ...] = ()
    if service.restart == "on-failure":
        ends += [0, *ending.success_exit_status[0]]
        numbers += ending.success_exit_status[1]
        names = CLEAN
    words = [*map(str, dict.fromkeys(ends)), *names, *(str(128 + each) for each in numbers)]
    return [*found, f"normal exit {' '.join(words)}"] if words else found


def _expanded(service: Told, is_awaited_for: bool) -> list[list[str]]:
    """All that the unit says, in Upstart's own words as far as there are any."""
    definition, remarks = service.definition, service.remarks
    context = definition.context
    limits = {name: bounds for name, bounds in context.limits.items() if name in LIMITS}
    rest = taken(
        definition,
        environment=tuple(each for each in context.environment if is_daemons_alone(each[0])),
        limits={name: bounds for name, bounds in context.limits.items() if name not in LIMITS},
        nice=None,
        oom_score_adjust=None,
        umask=0o022,
    )
    own = [f"env {name}={quoted(value)}" for name, value in variables(definition, remarks) if "\n" not in value]
    own += [f"chdir {quoted(context.working_directory)}"] * bool(context.working_directory and sets_folder(definition))
    own += [f"umask {context.umask:04o}"] * (context.umask != 0o022)
    own += [f"nice {context.nice}"] * (context.nice is not None)
    own += [f"oom score {context.oom_score_adjust}"] * (context.oom_score_adjust is not None)
    own += [f"limit {name.lower()} {' '.join(map(_bound, bounds))}" for name, bounds in limits.items()]
    lines = _own_lines(service, before(rest, remarks, DOWN))
    is_oneshot = definition.readiness.type == "oneshot"
    if service.is_task:
        return [own, _policy(service, False), script("script", [*lines, *oneshot(rest, remarks)])]
    if is_oneshot:
        return [own, script("pre-start", [*lines, *oneshot(rest, remarks)]), _stopped(service, rest)]
    main = main_line(rest, remarks)
    main = f"exec {'/usr/bin/' * main.startswith(BRIDGE)}{main}"
    files = _own_lines(service, [*environment(rest, remarks), *place(rest, remarks)])
    runs = script("script", [*files, main]) if files or set("\\#\n") & set(main) else [main]
    first = script("pre-start", lines) if lines != files else []
    return [own, _policy(service, is_awaited_for), first, runs, _stopped(service, rest)]


def _stopped(service: Told, rest: "Definition") -> list[str]:
    is_oneshot = rest.readiness.type == "oneshot"
    lines = _own_lines(service, after(rest, service.remarks, is_oneshot))
    files = _own_lines(service, [*environment(rest, service.remarks), *place(rest, service.remarks)])
    return script("post-stop", lines) if lines != files else []


def _own_lines(service: Told, lines: list[str]) -> list[str]:
    """Those of these that no stanza says: it has no variable of two lines, and no folder that is to be made first."""
    own = ("export ", "cd ") if sets_folder(service.definition) else ("export ",)
    return [each for each in lines if not each.startswith(own) or "\n" in each]


def script(kind: str, lines: list[str]) -> list[str]:
    """A block for /bin/sh -e."""
    head = kind if kind == "script" else f"{kind} script"
    return [head, *(f"\t{each}" for line in lines for each in line.split("\n")), "end script"] if lines else []


def _bound(value: int) -> str:
    return "unlimited" if value >= INFINITY else str(value)
