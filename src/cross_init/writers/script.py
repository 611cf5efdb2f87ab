"""What a unit says before its main process, as lines for /bin/sh, for whoever has to do without the unit (--expand).

Every line does what the unit does with a program that every Debian has (coreutils, util-linux), and the script ends
where one fails (set -e). What has no such words is a remark.
"""

from cross_init.definitions.table_unit import UNIT
from cross_init.running.directories import KINDS, base_of, directories, paths
from cross_init.writers.command_words import in_shell, line, splits
from cross_init.writers.invocation import BRIDGE, of_unit, options
from cross_init.writers.quoting import comments, shell
from cross_init.writers.standing import daemons_alone, is_daemons_alone, limits, note, who

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cross_init.definitions.definition import Check, Command, Definition
    from cross_init.writers.standing import Who

# The keys of [Unit] that conditions() sees to.
CHECKS = tuple(key for key in UNIT if key.startswith(("Condition", "Assert")))
# What shellcheck would say of what is meant: what is between single quotation marks is as the unit has it, a variable
# without any is to be split, and Debian's shells have the ulimit of others.
ALLOWED: "dict[str, Callable[[str], bool]]" = {
    "SC2016": lambda text: "$" in "".join(text.replace("'\\''", "").split("'")[1::2]),
    "SC2086": lambda text: "set -f\n" in text,
    "SC3045": lambda text: "ulimit -n" in text,
}
WIDTH = 100  # of a comment
HERE = "{here}"  # where the script was started, in what has the service stay down
LOGS = ("journal", "kmsg", "syslog", "journal+console", "kmsg+console", "syslog+console", "inherit")
NO_SHELLS = ("nologin", "false", "true")
TESTS = {
    "PathExists": "-e",
    "PathIsDirectory": "-d",
    "PathIsSymbolicLink": "-L",
    "PathIsReadWrite": "-w",
    "FileNotEmpty": "-s",
    "FileIsExecutable": "-x",
    "PathIsSocket": "-S",
}
# Lines NAME=VALUE, the value perhaps in quotation marks: what both systemd and people's files have.
READ = """read_environment() {
	while read -r _line || [ -n "$_line" ]; do
		_line=${_line#export } _name=${_line%%=*} _value=${_line#*=}
		case $_name in "$_line" | '' | [0-9]* | *[!A-Za-z0-9_]*) continue ;; esac
		case $_value in \\"*\\" | \\'*\\') _value=${_value#?} _value=${_value%?} ;; esac
		export "$_name=$_value"
	done <"$1"
}"""
READ_SO = 'EnvironmentFile=: of its lines NAME=VALUE and NAME="VALUE" are read; a backslash in them stands for itself'


def whole(lines: "Iterable[str]", remarks: "Iterable[str]" = ()) -> str:
    """A script of these lines, with the remarks on top."""
    text = "".join(f"{line}\n" for line in lines)
    return f"#!/bin/sh\n{comments(remarks, WIDTH)}{allowed(text)}{text}"


def allowed(text: str, *always: str, dialect: str = "") -> str:
    """The comment by which shellcheck takes what is meant in this script. always: what else it is to take."""
    marks = dict.fromkeys((*always, *(code for code, holds in ALLOWED.items() if holds(text))))
    return f"# shellcheck {dialect}disable={','.join(marks)}\n" if marks else ""


def run(
    definition: "Definition",
    remarks: list[str],
    expand: bool,
    stays_down: str,
    own: tuple[str, ...] = (),
    waits: bool = True,
    first: tuple[str, ...] = (),
) -> str:
    """A whole run script, by the unit or without it. first: lines, of one that goes on behind it. Raises Failure."""
    is_oneshot = definition.readiness.type == "oneshot"
    if not expand:
        words = " ".join(map(shell, of_unit(definition)))
        becomes = "" if first else "exec "
        lines = ["exec 2>&1", *first, *conditions(definition, remarks, stays_down), f"{becomes}{words}"]
    else:
        lines = [streams(definition, remarks), "set -e", *first, *before(definition, remarks, stays_down)]
        lines += oneshot(definition, remarks) if is_oneshot else []
        if not is_oneshot or definition.readiness.remain_after_exit:
            lines.append(f"exec {main_line(definition, remarks, own, waits)}")
    return whole(lines, remarks)


def streams(definition: "Definition", remarks: list[str]) -> str:
    """The line that says where input comes from and output goes to; the log is standard output's."""
    context = definition.context
    found = ["exec", _input(definition, remarks)]
    if context.standard_output not in LOGS:
        found.append(_output(definition, "standard_output", context.standard_output, ""))
        if context.standard_error in LOGS and context.standard_error != "inherit":
            note(remarks, "StandardError=: it goes where standard output goes")
    if context.standard_error in LOGS:
        found.append("2>&1")
    else:
        found.append(_output(definition, "standard_error", context.standard_error, "2"))
    return " ".join(filter(None, found))


def _input(definition: "Definition", remarks: list[str]) -> str:
    said = definition.context.standard_input
    if said == "socket":
        return ""
    if said.startswith("file:"):
        return f"<{shell(said.removeprefix('file:'))}"
    if said != "null":
        note(remarks, f"StandardInput={said}: it is /dev/null here")
    return "</dev/null"


def _output(definition: "Definition", field: str, said: str, number: str) -> str:
    kind, _, path = said.partition(":")
    signs = {"append": ">>", "truncate": ">", "file": "1<>" if not number else "<>"}
    if kind in signs and path:
        return f"{number}{signs[kind]}{shell(path)}"
    if said == "null":
        return f"{number}>/dev/null"
    if said == "socket":
        return ""
    from cross_init.errors import Failure

    raise Failure(f"{definition.where(field)}: {said}: --expand has no words for it")


def conditions(definition: "Definition", remarks: list[str], stays_down: str) -> list[str]:
    """Lines that end the script if a Condition...= does not hold. stays_down: the command that does."""
    found, alternatives = list[str](), list[str]()
    for each in definition.relations.checks:
        test = _test(each)
        if not test:
            negated = "!" * each.negated
            note(remarks, f"Condition{each.kind}={negated}{each.parameter}: that is not looked at")
        elif each.triggers:
            alternatives.append(test)
        else:
            found.append(test)
    if alternatives:
        found.append(" || ".join(alternatives))
    return [f"{each} || {stays_down.replace(HERE, '.')}" for each in found]


def _test(check: "Check") -> str:
    negated = "! " * check.negated
    if check.kind in TESTS:
        return f"[ {negated}{TESTS[check.kind]} {shell(check.parameter)} ]"
    if check.kind == "PathIsMountPoint":
        return f"{negated}mountpoint -q {shell(check.parameter)}"
    if check.kind == "DirectoryNotEmpty":
        return f'[ {"-z" if check.negated else "-n"} "$(ls -A {shell(check.parameter)} 2>/dev/null)" ]'
    return ""


def environment(definition: "Definition", remarks: list[str]) -> list[str]:
    """Lines that set the service's variables."""
    context = definition.context
    found = [f"export {name}={shell(value)}" for name, value in variables(definition, remarks)]
    if context.environment_files:
        found.append(READ)
        note(remarks, READ_SO)
    for path, may_lack in context.environment_files:
        name = path if any(letter in path for letter in "*?[") else shell(path)
        if name != shell(path):
            found.append(f'for file in {_pattern(path)}; do [ ! -e "$file" ] || read_environment "$file"; done')
        else:
            found.append(f"{f'[ ! -e {name} ] || ' * may_lack}read_environment {name}")
    for said in context.unset_environment:
        name, equals, value = said.partition("=")
        if is_daemons_alone(name):
            continue
        same = f'[ "${{{name}-}}" != {shell(value)} ] || ' if equals else ""
        found.append(f"{same}unset {name}")
    return found


def _pattern(path: str) -> str:
    """A word of a shell's in which the signs of a pattern mean what they do in systemd's."""
    return "".join(letter if letter in "*?[]" else shell(letter) for letter in path)


def variables(definition: "Definition", remarks: list[str]) -> list[tuple[str, str]]:
    """Variables, with their values, in systemd's order."""
    context = definition.context
    found: dict[str, str] = {}
    is_login = context.set_login_environment
    user = who(definition, remarks)
    if is_login or (context.user and is_login is None):
        found = login(user)
    for kind in KINDS:
        if there := paths(definition, kind):
            found[f"{kind.upper()}_DIRECTORY"] = ":".join(there)
    found |= {name: value for name, value in context.environment if not is_daemons_alone(name)}
    for name, _ in daemons_alone(definition):
        if any(f"${name}" in word or f"${{{name}}}" in word for word in _all_words(definition)):
            note(remarks, f"Environment={name}: it is for the programs themselves, and not put into their words")
    return list(found.items())


def login(user: "Who") -> dict[str, str]:
    """HOME and the like, as this user has them."""
    if not user.login:
        return {}
    found = {"HOME": user.home, "LOGNAME": user.login, "USER": user.login, "SHELL": user.shell}
    if user.home == "/":
        del found["HOME"]
    if user.shell.rpartition("/")[2] in NO_SHELLS:
        del found["SHELL"]
    return found


def _all_words(definition: "Definition") -> list[str]:
    commands = vars(definition.commands).values()
    return [word for kind in commands for command in kind if not command.literal for word in command.argv]


def folders(definition: "Definition", remarks: list[str]) -> list[str]:
    """Lines that make RuntimeDirectory= and its like."""
    found: list[str] = []
    made: list[str] = []
    user = who(definition, remarks)
    owner = [*(["-o", user.name] * bool(user.name)), *(["-g", user.group] * bool(user.group))]
    for kind in KINDS:
        mode: int = getattr(definition.context, f"{kind}_directory_mode")
        for path, each in zip(paths(definition, kind), directories(definition, kind), strict=True):
            if owner and any(path.startswith(f"{above}/") for above in made):
                # Another user's folder, in which root follows no path.
                words = [*_as_user(definition, remarks), "install", "-d", "-m", f"{mode:04o}", path]
            else:
                words = ["install", "-d", "-m", f"{mode:04o}", *([] if definition.of_user else owner), path]
            made.append(path)
            unless = f"[ -d {shell(path)} ] || " * (kind == "configuration")
            found.append(unless + " ".join(map(shell, words)))
            base = base_of(definition, kind)
            found += [f"ln -sfn {shell(path)} {shell(f'{base}/{link}')}" for link in each.links]
    return found


def _as_user(definition: "Definition", remarks: list[str]) -> list[str]:
    user = who(definition, remarks)
    names = [*([f"--reuid={user.name}"] * bool(user.name)), *([f"--regid={user.group}"] * bool(user.group))]
    return ["setpriv", *names, "--clear-groups"]


def place(definition: "Definition", remarks: list[str]) -> list[str]:
    """Lines about what a process inherits: umask, limits, what is in its core; the last one, its working directory."""
    context = definition.context
    found = [f"umask {context.umask:04o}"] * (context.umask != 0o022)
    # Where nobody may, these stay as they are, as with systemd; the programs say so.
    if context.oom_score_adjust is not None:
        found.append(f"choom -n {context.oom_score_adjust} -p $$ >/dev/null || :")
    for said in limits(context, of_daemon=False, of_shell=True):
        instead = 'ulimit -n "$(ulimit -Hn)"' if said.startswith("--nofile=") else ":"
        found.append(f"prlimit --pid $$ {shell(said)} || {instead}")
    if context.coredump_filter is not None:
        found.append(f"echo {context.coredump_filter:#x} >/proc/self/coredump_filter")
    for field, key in (("timer_slack_nsec", "TimerSlackNSec"), ("personality", "Personality")):
        if getattr(context, field) not in (None, ""):
            note(remarks, f"{key}=: there is no program that does it")
    folder = context.working_directory or "/"
    word = '"${HOME:-/root}"' if folder == "~" else shell(folder)
    found.append(f"cd {word}" + (" 2>/dev/null || cd /" if context.working_directory_may_lack else ""))
    return found


def before(definition: "Definition", remarks: list[str], stays_down: str) -> list[str]:
    """All lines before the main process. stays_down: what ends the script and has the service not started anew."""
    commands = definition.commands
    stays_down_from_there = stays_down.replace(HERE, '"$OLDPWD"')  # behind the one cd
    found = [
        *conditions(definition, remarks, stays_down),
        *environment(definition, remarks),
        *folders(definition, remarks),
        *place(definition, remarks),
        *(["set -f"] if splits(definition) else ()),
        *(f"{in_shell(definition, remarks, each)} || {stays_down_from_there}" for each in commands.condition),
        *(line(definition, remarks, each) for each in commands.start_pre),
    ]
    if commands.start_post and definition.readiness.type != "oneshot":
        note(remarks, "ExecStartPost=: it is not run: nobody is there when the service is ready")
    return found


def main_line(definition: "Definition", remarks: list[str], own: tuple[str, ...] = (), waits: bool = True) -> str:
    """The main process, without exec before it. own, waits: see invocation.options()."""
    said = options(definition, remarks, own, waits)
    bridge = f"{' '.join(map(shell, (BRIDGE, *said, '--')))} " if said else ""
    return bridge + in_shell(definition, remarks, main_command(definition), said[1] if said else "")


def main_command(definition: "Definition") -> "Command":
    """What the service's main process is; of one that remains when it has ended, somebody who can be stopped."""
    if definition.readiness.type != "oneshot":
        return definition.commands.start[-1]
    from cross_init.definitions.definition import Command

    return Command("sleep", ("sleep", "infinity"), ("", 0))


def oneshot(definition: "Definition", remarks: list[str]) -> list[str]:
    """The lines of a Type=oneshot: all of its commands."""
    commands = definition.commands
    codes = " | ".join(map(str, definition.ending.success_exit_status[0]))
    passes = f" || case $? in {codes}) ;; *) exit 1 ;; esac" if codes else ""
    return [
        *(line(definition, remarks, each) + passes * (not each.may_fail) for each in commands.start),
        *(line(definition, remarks, each) for each in commands.start_post),
    ]


def after(definition: "Definition", remarks: list[str], with_stop: bool = False) -> list[str]:
    """The lines behind the end of the main process: ExecStopPost=, and folders that are not to stay."""
    commands = definition.commands
    stops = [*(commands.stop * with_stop), *commands.stop_post]
    found: list[str] = []
    if stops:
        *inherited, folder = place(definition, remarks)
        found = [*environment(definition, remarks), *inherited, f"{folder} || :"]
        found += ["set -f"] if splits(definition) else []
        found += [f"{in_shell(definition, remarks, each)} || :" for each in stops]
    there = paths(definition, "runtime")
    if there and definition.context.runtime_directory_preserve == "no":
        found.append(" ".join(("rm", "-rf", *map(shell, there))))
    return found
