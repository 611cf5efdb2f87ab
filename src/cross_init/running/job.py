"""What an Upstart job's processes get that is otherwise than a unit's: variables, groups, the name of an instance.

As Upstart 1.13.2 has it (job_class.c, job_class_environment(); job_process.c, job_process_start()).
"""

import posix

from cross_init.definitions.upstart_jobs import name_of
from cross_init.errors import Failure
from cross_init.running.environment import encoded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.definitions.definition import Definition
    from cross_init.kernel.linux import Environment
    from cross_init.running.identity import Identity

PATH = b"/usr/local/sbin:/usr/local/bin:/usr/bin:/usr/sbin:/sbin:/bin"  # Upstart's own (paths.h)


def variables(definition: "Definition", given: "Environment") -> "Environment":
    """All of them. given: what we were started with. Raises Failure."""
    context = definition.context
    found: Environment = {b"PATH": PATH}
    wanted = {b"TERM", *map(encoded, context.pass_environment), *map(encoded, _of_instance(definition))}
    found |= {name: given[name] for name in wanted if name in given}
    found |= {encoded(name): encoded(value) for name, value in context.environment}
    found[b"UPSTART_JOB"] = encoded(name_of(definition.files[0]))
    found[b"UPSTART_INSTANCE"] = encoded(instance(definition, given))
    return found


def target(definition: "Definition", given: "Environment") -> str:
    """As -t has it. Raises Failure."""
    which = instance(definition, given)
    return f"upstart:job={name_of(definition.files[0])}{f'/{which}' if which else ''}"


def instance(definition: "Definition", given: "Environment") -> str:
    """Which one this is, of a job that says `instance`: its variables are taken from ours. Raises Failure."""
    text = (definition.others.get("instance") or ("",))[0]
    known = {encoded(name): encoded(value) for name, value in definition.context.environment}
    for name in _of_instance(definition):
        value = known.get(encoded(name), given.get(encoded(name)))
        if value is None:
            raise Failure(
                f"{definition.files[0]}: instance {text}: no variable {name} is set here; start it as "
                f"{name}=VALUE cross-init run ..."
            )
        decoded = value.decode("utf-8", "surrogateescape")
        text = text.replace(f"${{{name}}}", decoded).replace(f"${name}", decoded)
    return text


def _of_instance(definition: "Definition") -> list[str]:
    """The variables in the instance's name, the longest first."""
    text = (definition.others.get("instance") or ("",))[0]
    found = set()
    for part in text.split("$")[1:]:
        name = part.removeprefix("{")
        end = next((at for at, letter in enumerate(name) if not (letter.isalnum() or letter == "_")), len(name))
        if end:
            found.add(name[:end])
    return sorted(found, key=len, reverse=True)


def groups(definition: "Definition", identity: "Identity") -> tuple[int, ...] | None:
    """The supplementary ones: the user's, or root's. Upstart leaves that of root with a user's; here it is not."""
    if not definition.context.user and not definition.context.group:
        return None
    from pwd import getpwuid

    name = identity.name or getpwuid(posix.geteuid()).pw_name
    return tuple(posix.getgrouplist(name, posix.getegid() if identity.group == -1 else identity.group))
