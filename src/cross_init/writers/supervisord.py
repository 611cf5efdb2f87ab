"""A service as a program of supervisord's: a file for /etc/supervisor/conf.d (supervisord.org, "Configuration File").

supervisord waits for no program, and knows no order but by numbers that all programs have.
"""

from cross_init.errors import Failure
from cross_init.writers import quoting, told
from cross_init.writers.invocation import is_awaited, of_unit
from cross_init.writers.one_command import nobody_afterwards, owner, sets_folder, taken, words
from cross_init.writers.quoting import comments
from cross_init.writers.script import WIDTH, variables
from cross_init.writers.standing import is_daemons_alone
from cross_init.writers.told import Told, absolute, at_least

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.definitions.definition import Definition

WRITES = (*told.WRITES, "RestartPreventExitStatus")
BARE = quoting.BARE - {"%"} | {"="}
RESTARTS = {"no": "false", "always": "true", "on-failure": "unexpected"}
LONGEST_S = 86400


def write(definition: "Definition", remarks: list[str], expand: bool) -> dict[str, str]:
    """The program's file. Raises Failure."""
    service = Told(definition, remarks)
    service.alone("supervisord", "no order but by priority=")
    if is_awaited(definition):
        service.lose("its readiness", "supervisord waits for no program")
    found = _expanded(service) if expand else [f"command={line(absolute(of_unit(definition)))}"]
    if not expand:
        service.no_checks()
    found += _policy(service)
    if service.is_logged:
        found += ["redirect_stderr=true", f"stdout_logfile=/var/log/{service.name}.log"]
    text = f"[program:{service.name}]\n" + "".join(f"{each}\n" for each in found)
    return {f"{service.name}.conf": comments([service.description, *remarks], WIDTH) + text}


def word(text: str) -> str:
    """A word of command=, quoted if that is needed."""
    return text if text and BARE.issuperset(text) else quoting.supervisord(text)


def line(said: list[str]) -> str:
    """All of them."""
    return " ".join(map(word, said))


def _value(text: str) -> str:
    """What stands behind a name in environment=, which knows quotation marks and no escapes. "": it cannot be said."""
    mark = '"' if '"' not in text else "'"
    if any(letter < " " for letter in text) or mark in text or any(sign in text for sign in (" ;", " #", ";", "#")):
        return ""
    return f"{mark}{text.replace('%', '%%')}{mark}"


def _expanded(service: Told) -> list[str]:
    """The command, and what supervisord itself does for it."""
    definition, remarks = service.definition, service.remarks
    context = definition.context
    said = variables(definition, remarks)
    if unsaid := [name for name, value in said if not _value(value)]:
        raise Failure(f"{definition.name}: Environment={unsaid[0]}: supervisord has no way to say such a value")
    rest = taken(
        definition,
        environment=tuple(each for each in context.environment if is_daemons_alone(each[0])),
        umask=0o022,
    )
    found = [f"directory={context.working_directory or '/'}".replace("%", "%%")] * sets_folder(definition)
    found += [f"umask={context.umask:03o}"] * (context.umask != 0o022)
    found += [f"environment={','.join(f'{name}={_value(value)}' for name, value in said)}"] * bool(said)
    if user := owner(rest, remarks):
        found.append(f"user={user.name}")
        rest = taken(rest, user="", group="")
    nobody_afterwards(definition, remarks)
    return [f"command={line(words(rest, remarks, waits=False))}", *found]


def _policy(service: Told) -> list[str]:
    ending = service.definition.ending
    restart = "no" if service.is_task else service.restart
    found = [f"autostart={'true' if service.is_enabled else 'false'}", f"autorestart={RESTARTS[restart]}"]
    if restart == "on-failure":
        codes = dict.fromkeys((0, *ending.success_exit_status[0], *ending.restart_prevent_exit_status[0]))
        found.append(f"exitcodes={','.join(map(str, codes))}")
    elif ending.restart_prevent_exit_status[0] and restart == "always":
        service.lose("RestartPreventExitStatus=", "it is started anew whatever its exit code is")
    if service.is_task:
        found.append("startsecs=0")
    if service.limit is not None and service.limit[0]:
        found.append(f"startretries={service.limit[0]}")
    if service.delay:
        service.lose("RestartSec=", "it is started anew at once, and after a failed start a second later each time")
    found.append(f"stopwaitsecs={LONGEST_S if service.stop_s is None else at_least(service.stop_s)}")
    return found
