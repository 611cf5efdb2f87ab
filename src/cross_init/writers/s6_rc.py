"""A service as source definitions of s6-rc (s6-rc-compile(8), "Source format").

A unit that is enabled becomes a part of a bundle that is called as the target that wants it, as multi-user.
"""

from cross_init.definitions.definition import INFINITY, SECOND, Definition
from cross_init.writers import s6
from cross_init.writers.invocation import is_awaited, of_unit
from cross_init.writers.quoting import comments, execline
from cross_init.writers.script import WIDTH, after, before, oneshot, streams

WRITES = (*s6.WRITES, "Requires", "Requisite", "BindsTo", "BindTo", "Wants", "After")
STARTS_WITHIN = 90 * SECOND  # where nobody said how long a start may take


def write(definition: Definition, remarks: list[str], expand: bool) -> dict[str, str]:
    """The source directories of the service, its logger, and the bundles that it is in. Raises Failure."""
    name = definition.name.rpartition(".")[0]
    needed = _dependencies(definition, remarks)
    readiness = definition.readiness
    is_oneshot = readiness.type == "oneshot" and (expand or not readiness.remain_after_exit)
    own = _oneshot(definition, remarks, expand) if is_oneshot else _longrun(definition, remarks, expand, name)
    own |= {f"dependencies.d/{each}": "" for each in needed}
    found = {f"{name}/{path}": text for path, text in own.items()}
    if not is_oneshot:
        found |= _logger(name)
    for target in (*definition.relations.wanted_by, *definition.relations.required_by):
        if target.endswith(".target"):
            bundle = target.removesuffix(".target")
            found |= {f"{bundle}/type": "bundle\n", f"{bundle}/contents.d/{name}": ""}
    return found


def _longrun(definition: Definition, remarks: list[str], expand: bool, name: str) -> dict[str, str]:
    found = {**s6.service(definition, remarks, expand), "type": "longrun\n", "producer-for": f"{name}-log\n"}
    said = definition.ending.timeout_start
    if is_awaited(definition) and said != INFINITY:
        found["timeout-up"] = f"{(STARTS_WITHIN if said is None else said) // 1000}\n"
    if s6.stop_ms(definition):
        found["timeout-down"] = f"{s6.stop_ms(definition) + s6.MOMENT_MS}\n"
    return found


def _oneshot(definition: Definition, remarks: list[str], expand: bool) -> dict[str, str]:
    found = {"up": "", "type": "oneshot\n"}
    if expand:
        ends = definition.readiness.remain_after_exit
        rest = [] if ends else after(definition, remarks, True)
        start = [streams(definition, remarks), *before(definition, remarks, "exit 0")]
        command = _script([*start, *oneshot(definition, remarks), *rest])
        if ends and (stop := after(definition, remarks, True)):
            found["down"] = _script([streams(definition, remarks), *stop])
    else:
        command = " ".join(map(execline, of_unit(definition))) + "\n"
        if definition.relations.checks:
            remarks.append("Condition...=: they are not looked at")
    found["up"] = comments(remarks, WIDTH) + command
    said = definition.ending.timeout_start
    if said not in (None, INFINITY) and said:
        found["timeout-up"] = f"{said // 1000}\n"
    return found


def _script(lines: list[str]) -> str:
    text = "\n".join(lines)
    return f"/bin/sh -e -c {execline(text)}\n"


def _dependencies(definition: Definition, remarks: list[str]) -> list[str]:
    """The services without which it is not started."""
    relations = definition.relations
    needed = (*relations.requires, *relations.requisite, *relations.binds_to)
    needed += tuple(each for each in relations.wants if each in relations.after)
    own = {definition.name, *(each.name for each in definition.sockets)}
    found = [each for each in dict.fromkeys(needed) if each not in own]
    loose = [each for each in dict.fromkeys(relations.after) if each not in own and each not in found]
    names = [each.rpartition(".")[0] for each in found if _is_service(each)]
    if names:
        remarks.append(f"needs in the same source: {', '.join(names)}")
    others = [each for each in (*found, *loose) if not _is_service(each)]
    if others:
        remarks.append(f"it comes after {', '.join(others)}: whatever stands for that here goes into dependencies.d")
    if rest := [each for each in loose if _is_service(each)]:
        remarks.append(f"it comes after {', '.join(rest)} where that is started as well: s6-rc has no such order")
    if weak := [each for each in relations.wants if each not in found and _is_service(each) and each not in own]:
        remarks.append(f"it is started with {', '.join(weak)}, in no order: put both into a bundle")
    return list(dict.fromkeys(names))


def _is_service(name: str) -> bool:
    return name.endswith((".service", ".socket"))


def _logger(name: str) -> dict[str, str]:
    return {
        f"{name}-log/run": s6.log(name),
        f"{name}-log/type": "longrun\n",
        f"{name}-log/notification-fd": s6.NOTIFICATION_FD,
        f"{name}-log/consumer-for": f"{name}\n",
        f"{name}-log/pipeline-name": f"{name}-pipeline\n",
    }
