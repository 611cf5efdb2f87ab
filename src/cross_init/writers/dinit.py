"""A service as dinit's: a file for /etc/dinit.d (dinit-service(5)), one with its variables."""

from cross_init.definitions.definition import INFINITY
from cross_init.errors import Failure
from cross_init.writers import told
from cross_init.writers.invocation import is_awaited, of_unit
from cross_init.writers.one_command import nobody_afterwards, owner, sets_folder, stop_words, taken, words
from cross_init.writers.quoting import comments
from cross_init.writers.script import WIDTH, variables
from cross_init.writers.standing import is_daemons_alone
from cross_init.writers.told import Told, absolute, seconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.definitions.definition import Definition

WRITES = told.WRITES
BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./+:,@%=")
LIMITS = {"NOFILE": "nofile", "CORE": "core"}  # the others that it knows would be the bridge's as well
RESTARTS = {"no": "no", "always": "yes", "on-failure": "on-failure"}
IO_CLASSES = {"none": "none", "realtime": "realtime", "best-effort": "best-effort", "idle": "idle"}


def write(definition: "Definition", remarks: list[str], expand: bool) -> dict[str, str]:
    """The service's file, and NAME.env if there are variables. Raises Failure."""
    service = Told(definition, remarks)
    is_task = service.is_task or (expand and definition.readiness.type == "oneshot")
    found = [f"type = {'scripted' if is_task else 'process'}"]
    files: dict[str, str] = {}
    if expand:
        found += _expanded(service, files, is_task)
    else:
        service.no_checks()
        found.append(f"command = {line(absolute(of_unit(definition)))}")
    if is_awaited(definition) and not is_task:
        found.append("ready-notification = pipefd:3")
    found += _policy(service, is_task)
    found += _order(service, files)
    text = comments([service.description, *remarks], WIDTH) + "".join(f"{each}\n" for each in found)
    return {service.name: text, **files}


def word(text: str) -> str:
    """A word in which no letter has a meaning ("Service properties", "Variable substitution"). Raises Failure."""
    if text and BARE.issuperset(text):
        return text
    if any(letter < " " or letter == "\x7f" for letter in text):
        raise Failure(f"{text!r}: a file of dinit's cannot have this (a control character)")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$") + '"'


def line(said: list[str]) -> str:
    """Several, as a command."""
    return " ".join(map(word, said))


def _expanded(service: Told, files: dict[str, str], is_task: bool) -> list[str]:
    """What a unit says of its process, in dinit's own words, and the command with the rest."""
    definition, remarks = service.definition, service.remarks
    context = definition.context
    found: list[str] = []
    if them := [f"{name}={value}\n" for name, value in variables(definition, remarks)]:
        if any(each.count("\n") > 1 for each in them):
            raise Failure(f"{definition.name}: Environment=: dinit cannot have a line's end in a variable")
        files[f"{service.name}.env"] = "".join(them)
        found.append(f"env-file = {service.name}.env")
    if sets_folder(definition):
        found.append(f"working-dir = {word(context.working_directory or '/')}")
    rest = taken(
        definition,
        environment=tuple(each for each in context.environment if is_daemons_alone(each[0])),
        limits={name: bounds for name, bounds in context.limits.items() if name not in LIMITS},
        nice=None,
        oom_score_adjust=None,
    )
    found += [
        f"rlimit-{LIMITS[name]} = {':'.join('-' if each == INFINITY else str(each) for each in bounds)}"
        for name, bounds in context.limits.items()
        if name in LIMITS
    ]
    found += [f"nice = {context.nice}"] * (context.nice is not None)
    found += [f"oom-score-adj = {context.oom_score_adjust}"] * (context.oom_score_adjust is not None)
    if user := owner(rest, remarks):
        found.insert(0, f"run-as = {word(user.name)}")
        rest = taken(rest, user="", group="")
    command = words(rest, remarks, not is_task)
    found.insert(0, f"command = {line(command)}")
    if is_task and (stop := stop_words(rest, remarks)) and definition.readiness.remain_after_exit:
        found.insert(1, f"stop-command = {line(stop)}")
    if not is_task:
        nobody_afterwards(definition, remarks)
    return found


def _policy(service: Told, is_task: bool) -> list[str]:
    """When it is started anew, how long it may take, where its log goes."""
    found = [f"restart = {'no' if is_task else RESTARTS[service.restart]}"]
    if service.delay is not None and not is_task:
        found.append(f"restart-delay = {seconds(service.delay)}")
    if service.limit is not None and not is_task:
        times, period = service.limit
        found += [f"restart-limit-interval = {seconds(period)}"] * bool(times) + [f"restart-limit-count = {times}"]
    found.append(f"start-timeout = {seconds(service.start_s or 0)}")
    found.append(f"stop-timeout = {seconds(service.stop_s or 0)}")
    if service.is_logged:
        found.append(f"logfile = /var/log/{service.name}.log")
    return found


def _order(service: Told, files: dict[str, str]) -> list[str]:
    """Of what is only wanted, dinit takes it in a folder that it is not there; waits-for would refuse the service."""
    service.no_facilities("dinit")
    rows = (
        ("depends-on", service.needs),
        ("waits-for.d", [f"{service.name}.d"] * bool(service.wants)),
        ("after", service.after),
        ("before", service.before),
    )
    files |= {f"{service.name}.d/{each}": "" for each in service.wants}
    for each in service.conflicts:
        service.lose(f"Conflicts={each}", "dinit stops no service for another one")
    return [f"{key}: {name}" for key, names in rows for name in names]
