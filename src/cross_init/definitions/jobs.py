"""Read an Upstart job: make a Definition of its stanzas (init(5)), and of those of its .override beside it.

As Upstart itself: a mistake anywhere, and the job is not there; of a stanza that is there twice the last one counts.
"""

import posix

from cross_init.definitions.definition import INFINITY, SECOND, Command, Definition, Listen, Origin, Socket
from cross_init.definitions.job_syntax import Stanza, read
from cross_init.definitions.said import Said, Unit
from cross_init.definitions.signals import signal_number
from cross_init.definitions.syntax import Malformed
from cross_init.definitions.table_job import JOB
from cross_init.definitions.values import number
from cross_init.errors import Failure, why

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

SUFFIX = ".conf"
FOLDER = "/etc/init"
SHELL = "/bin/sh"
OF_SHELL = "~`!$^&*()=|\\{}[];\"'<>?"  # for which Upstart has a shell run a command (job_process.c, SHELL_CHARS)
LIMITS = [
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "sigpending",
    "stack",
]
TYPES = {"stop": "stop", "daemon": "forking", "fork": "forking", "none": "simple"}
CONSOLES = {"none": "null", "log": "journal", "output": "tty", "owner": "tty"}
INT_MAX = (1 << 31) - 1


def load(said: str, of_user: bool = False) -> Unit:
    """A job by its name with .conf, or its file's path. Raises Failure."""
    path = said if "/" in said else f"{FOLDER}/{said}"
    definition = Definition(path.rpartition("/")[2].removesuffix(SUFFIX), "", of_user)
    unit = Unit(definition)
    override = f"{path.removesuffix(SUFFIX)}.override"
    definition.files = (path, override) if _is_there(override) else (path,)
    _begin(definition)
    for file in definition.files:
        try:
            stanzas = read(_content(file))
            for stanza in stanzas:
                _take(stanza, file, unit)
        except Malformed as error:
            raise Failure(f"{file}:{error.line}: {error}") from None
    if not definition.commands.start and not definition.commands.start_pre and not definition.commands.start_post:
        raise Failure(f"{path}: it runs nothing: there is no exec and no script")
    return unit


def _begin(definition: Definition) -> None:
    """What Upstart has where systemd has something else."""
    ending, context = definition.ending, definition.context
    ending.timeout_start = INFINITY
    ending.timeout_stop = 5 * SECOND
    ending.start_limit_interval, ending.start_limit_burst = 5 * SECOND, 10
    context.standard_output = "journal"
    definition.relations.description = definition.name


def _is_there(path: str) -> bool:
    try:
        posix.stat(path)
    except OSError:
        return False
    return True


def _content(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError as error:
        raise Failure(f"{path}: {why(error)}") from None


def _take(stanza: Stanza, file: str, unit: Unit) -> None:
    """Set what one stanza says. Raises Malformed."""
    row = JOB.get(stanza.name)
    if row is None:
        raise Malformed(stanza.line, f"{stanza.name}: there is no such stanza")
    origin = (file, stanza.line)
    value = stanza.text or " ".join(stanza.words)
    unit.lines.append(Said("", stanza.name, value, origin, row))
    try:
        if stanza.name.endswith(("exec", "script")):
            field = row[1].rpartition(".")[2]
            setattr(unit.definition.commands, field, (_command(stanza, origin),))
        elif stanza.name.endswith(" on"):
            unit.definition.others[stanza.name] = (stanza.text,)
            if stanza.name == "start on":
                unit.definition.sockets = _sockets(stanza.text.split(), unit.definition.name, origin)
        elif stanza.name in SET:
            SET[stanza.name](unit.definition, stanza.words)
        else:
            unit.definition.others[stanza.name] = stanza.words
    except (ValueError, IndexError) as error:
        reason = str(error) if isinstance(error, ValueError) else "a word is missing"
        raise Malformed(stanza.line, f"{stanza.name} {value}".rstrip() + f": {reason}") from None
    if row[1]:
        unit.definition.origins[row[1].rpartition(".")[2]] = origin


def _command(stanza: Stanza, origin: Origin) -> Command:
    """A script for the shell; or a command, which Upstart runs by itself if nothing in it is for a shell."""
    is_script = stanza.name.endswith("script")
    if is_script or any(letter in OF_SHELL for letter in stanza.text):
        script = stanza.text.rstrip("\n") if is_script else f"exec {stanza.text}"
        words: tuple[str, ...] = (SHELL, "-e", "-c", script, SHELL)
    else:
        words = tuple(stanza.text.split())
    command = Command(words[0], words, origin)
    command.literal = True
    return command


def _sockets(words: list[str], name: str, origin: Origin) -> tuple[Socket, ...]:
    """Those of its socket events (socket-event(7))."""
    found: list[Socket] = []
    for at, word in enumerate(words):
        if word != "socket":
            continue
        said: dict[str, str] = {}
        for each in words[at + 1 :]:
            key, equals, value = each.partition("=")
            if not equals:
                break
            said[key] = value
        address = said.get("PATH") or f"{said.get('ADDR', '0.0.0.0')}:{said.get('PORT', '')}"  # noqa: S104
        socket = Socket()
        socket.name = name
        socket.listen = (Listen("Stream", address, origin),)
        found.append(socket)
    return tuple(found)


def _expect(definition: Definition, words: tuple[str, ...]) -> None:
    if words[0] not in TYPES:
        raise ValueError(f"it may be {', '.join(TYPES)}")
    definition.readiness.type = TYPES[words[0]]


def _env(definition: Definition, words: tuple[str, ...]) -> None:
    context = definition.context
    name, equals, value = words[0].partition("=")
    if equals:
        context.environment = tuple({**dict(context.environment), name: value}.items())
    else:
        context.pass_environment = (*context.pass_environment, name)


def _kill(definition: Definition, words: tuple[str, ...]) -> None:
    if words[0] == "timeout":
        definition.ending.timeout_stop = number(words[1], 0, INT_MAX) * SECOND
    elif words[0] == "signal":
        definition.ending.kill_signal = signal_number(words[1])
    else:
        raise ValueError("it is followed by timeout or signal")


def _reload(definition: Definition, words: tuple[str, ...]) -> None:
    if words[0] != "signal":
        raise ValueError("it is followed by signal")
    definition.readiness.reload_signal = signal_number(words[1])


def _respawn(definition: Definition, words: tuple[str, ...]) -> None:
    ending = definition.ending
    if not words:
        ending.restart = "always"
    elif words[0] != "limit":
        raise ValueError("it is followed by limit, or nothing")
    elif words[1] == "unlimited":
        ending.start_limit_burst = 0
    else:
        ending.start_limit_burst = number(words[1], 0, INT_MAX)
        ending.start_limit_interval = number(words[2], 0, INT_MAX) * SECOND


def _normal(definition: Definition, words: tuple[str, ...]) -> None:
    if words[0] != "exit" or not words[1:]:
        raise ValueError("it is followed by exit, and exit codes or signals")
    codes = tuple(number(word, 0, INT_MAX) for word in words[1:] if word.isdigit())
    signals = tuple(signal_number(word) for word in words[1:] if not word.isdigit())
    before = definition.ending.restart_prevent_exit_status
    both = (*before[0], *codes), (*before[1], *signals)
    definition.ending.restart_prevent_exit_status = definition.ending.success_exit_status = both


def _console(definition: Definition, words: tuple[str, ...]) -> None:
    if words[0] not in CONSOLES:
        raise ValueError(f"it may be {', '.join(CONSOLES)}")
    context = definition.context
    context.standard_output = CONSOLES[words[0]]
    context.standard_input = {"output": "tty-fail", "owner": "tty-force"}.get(words[0], "null")
    context.tty_path = "/dev/console" if context.standard_output == "tty" else ""


def _umask(definition: Definition, words: tuple[str, ...]) -> None:
    definition.context.umask = int(words[0], 8)
    if not 0 <= definition.context.umask <= 0o777:
        raise ValueError("it is no mask, as 022")


def _oom(definition: Definition, words: tuple[str, ...]) -> None:
    if words[0] == "score":
        score = -1000 if words[1] == "never" else number(words[1], -1000, 1000)
    elif words[0] == "never":
        score = -1000
    else:
        old = number(words[0], -17, 15)
        score = int(old * 1000 / (17 if old < 0 else 15))
    definition.context.oom_score_adjust = score


def _limit(definition: Definition, words: tuple[str, ...]) -> None:
    if words[0] not in LIMITS:
        raise ValueError(f"it may be {', '.join(LIMITS)}")
    soft, hard = (INFINITY if word == "unlimited" else number(word, 0, INFINITY) for word in words[1:3])
    definition.context.limits[words[0].upper()] = (soft, hard)


def _text(group: str, field: str) -> "Callable[[Definition, tuple[str, ...]], None]":
    """One that sets a text."""

    def set_it(definition: Definition, words: tuple[str, ...]) -> None:
        setattr(getattr(definition, group), field, words[0])

    return set_it


def _task(definition: Definition, words: tuple[str, ...]) -> None:
    definition.readiness.type = "oneshot"


def _nice(definition: Definition, words: tuple[str, ...]) -> None:
    definition.context.nice = number(words[0], -20, 19)


SET: "dict[str, Callable[[Definition, tuple[str, ...]], None]]" = {
    "expect": _expect,
    "task": _task,
    "env": _env,
    "setuid": _text("context", "user"),
    "setgid": _text("context", "group"),
    "chdir": _text("context", "working_directory"),
    "chroot": _text("context", "root_directory"),
    "description": _text("relations", "description"),
    "console": _console,
    "umask": _umask,
    "nice": _nice,
    "oom": _oom,
    "limit": _limit,
    "kill": _kill,
    "reload": _reload,
    "respawn": _respawn,
    "normal": _normal,
}
