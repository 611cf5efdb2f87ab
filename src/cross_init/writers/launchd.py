"""A service as launchd's: a property list for /Library/LaunchDaemons (launchd.plist(5)), written to that manual.

Nobody has tried it: there is no launchd where this is made. launchd waits for no daemon, and knows no order.
"""

from cross_init.definitions.definition import INFINITY
from cross_init.writers import told
from cross_init.writers.invocation import is_awaited, of_unit
from cross_init.writers.one_command import nobody_afterwards, owner, sets_folder, taken, words
from cross_init.writers.quoting import xml
from cross_init.writers.script import variables
from cross_init.writers.standing import is_daemons_alone
from cross_init.writers.told import Told, absolute, at_least

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.definitions.definition import Definition

    Value = bool | int | str | list[str] | dict[str, "Value"]
    Values = dict[str, Value]

WRITES = told.WRITES
HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
"""
# SoftResourceLimits and HardResourceLimits, as far as the bridge may have them as well (writers/standing.py).
LIMITS = {
    "CORE": "Core",
    "MEMLOCK": "MemoryLock",
    "NOFILE": "NumberOfFiles",
    "NPROC": "NumberOfProcesses",
    "RSS": "ResidentSetSize",
}


def write(definition: "Definition", remarks: list[str], expand: bool) -> dict[str, str]:
    """The property list, by its name. Raises Failure."""
    service = Told(definition, remarks)
    service.lose("launchd", "this was written to its manual, and nobody has tried it")
    service.alone("launchd", "no order")
    if is_awaited(definition):
        service.lose("its readiness", "launchd waits for no daemon")
    said: Values = {"Label": service.name}
    if expand:
        said |= _expanded(service)
    else:
        service.no_checks()
        said["ProgramArguments"] = absolute(of_unit(definition))
    said |= _policy(service)
    head = "".join(f"<!-- {told.one_line(each).replace('--', '- -')} -->\n" for each in [service.description, *remarks])
    return {f"{service.name}.plist": f'{HEAD}{head}<plist version="1.0">\n{_element(said, 0)}</plist>\n'}


def _element(value: "Value", depth: int) -> str:
    """A value as an element, in as many tabs."""
    tabs = "\t" * depth
    if isinstance(value, dict):
        inner = "".join(f"{tabs}\t<key>{xml(key)}</key>\n{_element(each, depth + 1)}" for key, each in value.items())
        return f"{tabs}<dict>\n{inner}{tabs}</dict>\n"
    if isinstance(value, list):
        return f"{tabs}<array>\n{''.join(_element(each, depth + 1) for each in value)}{tabs}</array>\n"
    if isinstance(value, bool):
        return f"{tabs}<{'true' if value else 'false'}/>\n"
    kind = "integer" if isinstance(value, int) else "string"
    return f"{tabs}<{kind}>{xml(str(value))}</{kind}>\n"


def _policy(service: Told) -> "Values":
    """When it is started, anew as well, how long it may take, where its log goes."""
    found: Values = {"RunAtLoad": service.is_enabled}
    if not service.is_task and service.restart != "no":
        always: Value = True
        found["KeepAlive"] = always if service.restart == "always" else {"SuccessfulExit": False}
    if service.delay:
        found["ThrottleInterval"] = at_least(service.delay)
    if service.stop_s is not None:
        found["ExitTimeOut"] = at_least(service.stop_s)
    if service.limit is not None:
        service.lose("StartLimitBurst=", "launchd starts it anew as often as may be")
    if service.is_logged:
        found |= {f"Standard{name}Path": f"/var/log/{service.name}.log" for name in ("Out", "Error")}
    return found


def _expanded(service: Told) -> "Values":
    """What the unit says, in launchd's own keys as far as there are any."""
    definition, remarks = service.definition, service.remarks
    context = definition.context
    limits = {name: bounds for name, bounds in context.limits.items() if name in LIMITS}
    rest = taken(
        definition,
        environment=tuple(each for each in context.environment if is_daemons_alone(each[0])),
        limits={name: bounds for name, bounds in context.limits.items() if name not in LIMITS},
        nice=None,
        umask=0o022,
    )
    found: Values = {}
    user = owner(rest, remarks)
    if user:
        rest = taken(rest, user="", group="")
        found |= {"UserName": user.name, "GroupName": user.group}
    found["ProgramArguments"] = [*words(rest, remarks, waits=False)]
    if sets_folder(definition):
        found["WorkingDirectory"] = context.working_directory or "/"
    if said := variables(definition, remarks):
        found["EnvironmentVariables"] = {**dict(said)}
    if context.umask != 0o022:
        found["Umask"] = context.umask
    if context.nice is not None:
        found["Nice"] = context.nice
    for at, key in enumerate(("SoftResourceLimits", "HardResourceLimits")):
        bounds = {LIMITS[name]: both[at] for name, both in limits.items() if both[at] < INFINITY}
        if bounds:
            found[key] = {**bounds}
    nobody_afterwards(definition, remarks)
    return found
