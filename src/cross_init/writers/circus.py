"""A service as a watcher of Circus: a file that circus.ini includes (circus.readthedocs.io, "Configuration").

Circus waits for no process, and knows no order but by numbers that all watchers have.
"""

from cross_init.errors import Failure
from cross_init.writers import told
from cross_init.writers.invocation import is_awaited, of_unit
from cross_init.writers.one_command import nobody_afterwards, owner, sets_folder, taken, words
from cross_init.writers.quoting import comments, shell
from cross_init.writers.script import WIDTH, variables
from cross_init.writers.standing import is_daemons_alone
from cross_init.writers.told import Told, absolute, at_least

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.definitions.definition import Definition

WRITES = told.WRITES
# What Circus puts something in for ("Formatting the commands and arguments with dynamic variables"), and lines.
MEANT = ("$(circus.", "((circus.", "$(env.", "((env.", "$wid", "\n", "\r")
LONGEST_S = 86400


def write(definition: "Definition", remarks: list[str], expand: bool) -> dict[str, str]:
    """The watcher's file. Raises Failure."""
    service = Told(definition, remarks)
    service.alone("Circus", "no order but by priority =")
    if is_awaited(definition):
        service.lose("its readiness", "Circus waits for no process")
    env: list[tuple[str, str]] = []
    if expand:
        found, env = _expanded(service)
    else:
        service.no_checks()
        found = [f"cmd = {line(absolute(of_unit(definition)))}"]
    found += _policy(service)
    text = f"[watcher:{service.name}]\n" + "".join(f"{each}\n" for each in found)
    if env:
        text += f"\n[env:{service.name}]\n" + "".join(f"{name} = {_checked(value)}\n" for name, value in env)
    return {f"{service.name}.ini": comments([service.description, *remarks], WIDTH) + text}


def line(said: list[str]) -> str:
    """A command. Raises Failure if Circus would make something else of a word."""
    return " ".join(shell(_checked(each)) for each in said)


def _checked(text: str) -> str:
    if sign := next((each for each in MEANT if each in text.lower()), ""):
        raise Failure(f"{text!r}: Circus takes {sign!r} for something else, and has no way to say it")
    return text


def _expanded(service: Told) -> tuple[list[str], list[tuple[str, str]]]:
    """The lines, and the variables, that say what the unit says."""
    definition, remarks = service.definition, service.remarks
    context = definition.context
    rest = taken(definition, environment=tuple(each for each in context.environment if is_daemons_alone(each[0])))
    found = [f"working_dir = {_checked(context.working_directory or '/')}"] * sets_folder(definition)
    if user := owner(rest, remarks):
        found += [f"uid = {user.name}", f"gid = {user.group}"]
        rest = taken(rest, user="", group="")
    nobody_afterwards(definition, remarks)
    return [f"cmd = {line(words(rest, remarks, waits=False))}", *found], variables(definition, remarks)


def _policy(service: Told) -> list[str]:
    found = ["copy_env = True"]
    found += ["autostart = False"] * (not service.is_enabled)
    if service.is_task or service.restart == "no":
        found.append("respawn = False")
    elif service.restart == "on-failure":
        service.lose("Restart=on-failure", "Circus starts it anew after a success as well")
    if service.limit is not None:
        times = service.limit[0] or -1
        found.append(f"max_retry = {times}")
    if service.delay:
        service.lose("RestartSec=", "it is started anew at once")
    found.append(f"graceful_timeout = {LONGEST_S if service.stop_s is None else at_least(service.stop_s)}")
    if service.is_logged:
        for stream in ("stdout_stream", "stderr_stream"):
            found += [f"{stream}.class = FileStream", f"{stream}.filename = /var/log/{service.name}.log"]
    return found
