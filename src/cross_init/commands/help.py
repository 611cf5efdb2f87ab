"""The help texts, written for a person in trouble at three in the morning, on a terminal of 80 columns."""

from re import sub
from textwrap import fill

from cross_init.commands.described import GROUPS, HELP, VERSION, Option
from cross_init.commands.described_commands import BRIDGE, COMMANDS, Command
from cross_init.commands.options import ALL
from cross_init.detect import INITS, TARGETS
from cross_init.readiness.conditions import KINDS
from cross_init.writers.names import WRITERS

WIDTH = 80
AT = 31  # the column of what an option is for, on the one screen
DEEP = 10  # and with --help=all

ABOUT = "cross-init-bridge runs a daemon that was written for another init system."
USAGE = "Usage: cross-init-bridge -t TARGET [OPTION...] -- COMMAND [ARG...]"
JOB = (
    "The init's job has to wait for readiness: systemd: Type=notify; Upstart: expect stop; s6: a file notification-fd; "
    'runit: ./check with "exec cross-init check"; OpenRC: notify=fd:3; Finit: notify:systemd.'
)
CODES = (
    "It ends as the daemon does; on its own failure with 125, and like env(1) with 126 if COMMAND cannot be run and "
    "127 if it is not there."
)
EXAMPLES = """\
Examples:
  ExecStart=/usr/bin/cross-init-bridge -t upstart -N -- /usr/sbin/daemon
  exec /usr/bin/cross-init-bridge -t systemd -N -- /usr/sbin/daemon
  cross-init-bridge -t systemd -N --listen tcp:127.0.0.1:8080 -- ./daemon"""
MORE = "All: cross-init-bridge --help=all, man cross-init-bridge, man 7 cross-init."
FRONT_DOOR = "cross-init tells how the services are that cross-init-bridge runs."


def text(which: str) -> str:
    """The help of the bridge: on one screen, or of all options."""
    parts = [wrapped(ABOUT), USAGE]
    if which == ALL:
        parts += ["\n".join([f"{each.title}:", *(described(option) for option in each.options)]) for each in GROUPS]
    else:
        most = [option for group in GROUPS for option in group.options if option.brief]
        parts.append("\n".join(row(names(option, in_short=True), option.brief) for option in most))
    return "\n\n".join([*parts, wrapped(JOB), wrapped(CODES), EXAMPLES, MORE]) + "\n"


def of_front_door() -> str:
    """The help of cross-init: every command, and the bridge."""
    rows = [row(f"  cross-init {f'{each.name} {each.arguments}'.strip()}", each.brief) for each in COMMANDS]
    rows.append(row(f"  {BRIDGE.name} {BRIDGE.arguments}", BRIDGE.brief))
    general = [row(names(option), option.brief or option.text) for option in FRONT_DOORS_OWN]
    more = "Each by itself: cross-init COMMAND --help, man cross-init-COMMAND."
    parts = [FRONT_DOOR, "Usage: cross-init COMMAND [ARG...]", "\n".join(rows), "\n".join(general), more]
    return "\n\n".join(parts)


def of_command(name: str) -> str:
    """The help of a command of cross-init."""
    command = next(each for each in COMMANDS if each.name == name)
    options = [row(names(option), option.text) for option in own_options(command)]
    return "\n\n".join([f"Usage: cross-init {name} {command.arguments}", wrapped(command.text), "\n".join(options)])


FRONT_DOORS_OWN = (HELP, VERSION)


def own_options(command: Command) -> tuple[Option, ...]:
    """All that it takes."""
    return (*command.options, HELP)


def names(option: Option, in_short: bool = False) -> str:
    """How it is written: "-t, --target TARGET", behind a margin. in_short: without what may be left out."""
    argument = sub(r"\[.*?\]", "", option.argument) if in_short else option.argument
    value = argument if argument.startswith("[=") else f" {argument}".rstrip()
    return f"  {f'{option.short},' if option.short else '   '} {option.name}{value}"


def described(option: Option) -> str:
    """An option with all that --help=all says of it."""
    return f"{names(option)}\n{wrapped(plain(option.text), DEEP)}"


def row(left: str, right: str) -> str:
    """What it is, and what it is for, in a column of its own; in the next line if there is no room beside it."""
    first = left if len(left) + 2 <= AT else f"{left}\n"
    beside = wrapped(plain(right), AT)
    return first + (beside[len(left) :] if first == left else beside)


def wrapped(words: str, column: int = 0) -> str:
    """The text as a paragraph that begins in this column."""
    indent = " " * column
    return fill(words, WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)


def filled(words: str) -> str:
    """The text with the names that there are."""
    names_of = {
        "{targets}": ", ".join(f"`{each}`" for each in TARGETS),
        "{inits}": ", ".join(f"`{each}`" for each in INITS),
        "{writers}": ", ".join(f"`{each}`" for each in WRITERS),
        "{conditions}": ", ".join(f"`{kind}:`*{rest}*" if rest else f"`{kind}`" for kind, (_, rest) in KINDS.items()),
    }
    for place, meant in names_of.items():
        words = words.replace(place, meant)
    return words


def plain(words: str) -> str:
    """The text without the marks of what is literal (`) and of what stands for something (*)."""
    return filled(words).replace("`", "").replace("*", "")
