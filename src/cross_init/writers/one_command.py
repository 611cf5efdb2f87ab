"""Without a unit: a service as the one command line of an init that has no script, only a line for it (--expand).

What the init has words for is taken out of the definition first (taken()); the rest is the bridge and the programs of
util-linux (standing.py), and where even these have no word for it, a shell before them.
"""

from cross_init.definitions.definition import CAPABILITIES_ALL, Definition
from cross_init.running.directories import KINDS, paths
from cross_init.writers.command_words import line
from cross_init.writers.invocation import BRIDGE, plain
from cross_init.writers.quoting import shell
from cross_init.writers.script import before, main_line, oneshot
from cross_init.writers.standing import Who, note, who
from cross_init.writers.told import absolute


def taken(definition: Definition, **values: object) -> Definition:
    """The same with other values of its context: of what the init's own words say."""
    other = Definition(definition.name, definition.instance, definition.of_user)
    for group in ("commands", "readiness", "context", "ending", "relations"):
        vars(getattr(other, group)).update(vars(getattr(definition, group)))
    for name in ("files", "sockets", "origins", "others", "target"):
        setattr(other, name, getattr(definition, name))
    vars(other.context).update(values)
    return other


def owner(definition: Definition, remarks: list[str]) -> Who | None:
    """As whom the init itself may run all of it; None if something of it is root's, or the user is not so simple."""
    context, commands = definition.context, definition.commands
    found = who(definition, remarks)
    needs_root = (
        context.has_folders
        or any(each.privileges for kind in vars(commands).values() for each in kind)
        or (context.ambient_capabilities, context.capability_bounding_set) != (0, CAPABILITIES_ALL)
        or any((context.secure_bits, context.permissions_start_only, definition.sockets, context.limits))
        or (context.nice or 0) < 0
        or (context.oom_score_adjust or 0) < 0
    )
    if not found.name or not found.home or found.groups is not None or needs_root:
        return None
    return found


def sets_folder(definition: Definition) -> bool:
    """Whether an init's own word for the working directory says all of it: the folder has to be there before."""
    context = definition.context
    folder = f"{context.working_directory}/"
    made = any(folder.startswith(f"{path}/") for kind in KINDS for path in paths(definition, kind))
    return context.working_directory != "~" and not context.working_directory_may_lack and not made


def words(
    definition: Definition, remarks: list[str], stays: bool = True, waits: bool = True, more: tuple[str, ...] = ()
) -> list[str]:
    """The main process, and what comes before it. Its variables are the init's to set, and its folder if sets_folder().

    stays: something has to stay of a Type=oneshot with RemainAfterExit=yes. waits: the init waits for readiness.
    more: further options of the bridge. Raises Failure.
    """
    lines = _lines(definition, remarks)
    is_oneshot = definition.readiness.type == "oneshot"
    variables = not is_oneshot and any("$" in word for word in definition.commands.start[-1].argv[1:])
    if not lines and not is_oneshot and not (variables and not definition.commands.start[-1].literal):
        said = absolute(plain(definition, remarks))
        return [said[0], *more, *said[1:]] if said[0].endswith(f"/{BRIDGE}") else said
    last = oneshot(definition, remarks) if is_oneshot else []
    if not is_oneshot or (stays and definition.readiness.remain_after_exit):
        main = main_line(definition, remarks, (), waits)
        bridge = " ".join(("/usr/bin/" + BRIDGE, *map(shell, more)))
        last.append(f"exec {bridge + main.removeprefix(BRIDGE) if main.startswith(BRIDGE) else main}")
    return in_a_shell([*lines, *last])


def program_first(line: str) -> list[str]:
    """A shell's command line as its program's path, and all else: where no bridge is needed, it may begin with any."""
    program, _, rest = line.partition(" ")
    if program == BRIDGE:
        return [f"/usr/bin/{program}", rest]
    return [program, rest] if program.startswith("/") else ["/usr/bin/env", line]


def in_a_shell(lines: list[str]) -> list[str]:
    """These lines as one word of a shell's."""
    return ["/bin/sh", "-ec", "; ".join(lines)]


def nobody_afterwards(definition: Definition, remarks: list[str]) -> None:
    """For an init that runs nothing when a service has ended."""
    if definition.commands.stop_post:
        note(remarks, "ExecStopPost=: it is not run: nobody is there when the service has ended")


def _lines(definition: Definition, remarks: list[str]) -> list[str]:
    """All lines before the main process but those of what the init itself sets; none of them is two."""
    other = _with_read(definition)
    lines = before(other, remarks, "exit 0")
    own = ("export ", "cd ") if sets_folder(definition) else ("export ",)
    return [*_files(definition, remarks), *(each for each in lines if not each.startswith(own) or "\n" in each)]


def _with_read(definition: Definition) -> Definition:
    return taken(definition, environment_files=())


def _files(definition: Definition, remarks: list[str]) -> list[str]:
    """EnvironmentFile= in one line each."""
    found = []
    for path, may_lack in definition.context.environment_files:
        name = shell(path)
        if any(letter in path for letter in "*?["):
            note(remarks, f"EnvironmentFile={path}: a pattern has no words here, so it is left out")
            continue
        note(remarks, "EnvironmentFile=: a shell reads it, to which $ and backslashes in it mean something")
        read = f"set -a; . {name}; set +a"
        found.append(f"[ ! -e {name} ] || {{ {read}; }}" if may_lack else read)
    return found


def stop_words(definition: Definition, remarks: list[str]) -> list[str]:
    """ExecStop= and ExecStopPost= of what has no process, as one command."""
    stops = (*definition.commands.stop, *definition.commands.stop_post)
    return in_a_shell([line(definition, remarks, each) for each in stops]) if stops else []
