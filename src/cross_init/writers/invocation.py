"""What another init is to start: `cross-init run` with the unit, or the bridge with plain options.

`cross-init run` follows what the package makes of its unit. Without a unit (--expand) the options say the same, as
running/words.py has it: what is left is for the script before the main process (script.py), or a remark.
"""

import posix

from cross_init.definitions.definition import INFINITY, SECOND
from cross_init.definitions.find import find
from cross_init.errors import Failure
from cross_init.running.sockets import clients_at_a_time, listen
from cross_init.running.words import STARTED, ending, readiness, signals, unlike
from cross_init.writers.command_words import one_word
from cross_init.writers.standing import chain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.definitions.definition import Definition

BRIDGE, FRONT_DOOR = "cross-init-bridge", "cross-init"
AT_ONCE = ["--ready-when", "exec:true"]  # "started" is a listening socket, where nobody but the options says so
CLIENTS_MOST = 9999  # of inetd:nowait:N
SAYS_SO = ("notify", "notify-reload", "forking", "dbus", "stop")


def of_unit(definition: "Definition") -> list[str]:
    """The words that run the unit itself: by its name where systemd finds this file by it, else by its path."""
    user = ["--user"] if definition.of_user else []
    return [FRONT_DOOR, "run", *user, definition.name if _is_found(definition) else _absolute(definition)]


def _is_found(definition: "Definition") -> bool:
    try:
        there = posix.stat(find(definition.name, definition.of_user, ()).fragment)
        same = posix.stat(definition.files[0])
    except (Failure, OSError):
        return False
    return (there.st_dev, there.st_ino) == (same.st_dev, same.st_ino)


def _absolute(definition: "Definition") -> str:
    """An instance of a template has a path of its own, in which there is no file."""
    folder, _, file = definition.files[0].rpartition("/")
    if not definition.files[0].startswith("/"):
        folder = f"{posix.getcwd()}/{folder}".rstrip("/")
    return f"{folder}/{definition.name if '@.' in file else file}"


def is_awaited(definition: "Definition") -> bool:
    """Whether it is ready later than it is started: who comes after it has to wait for it."""
    commands, said = definition.commands, definition.readiness
    if said.type == "oneshot":
        return said.remain_after_exit  # else there is nobody any more when it is done
    before = commands.condition or commands.start_pre or commands.start_post
    return bool(said.type in SAYS_SO or before or clients_at_a_time(definition))


def options(definition: "Definition", remarks: list[str], own: tuple[str, ...] = (), waits: bool = True) -> list[str]:
    """The bridge's options; empty if the daemon needs no bridge.

    own: those that the init's own words say. waits: whether the init waits for a service that is ready later.
    """
    clients = clients_at_a_time(definition)
    sockets = [word for each in listen(definition) for word in ("--listen", each)]
    kind = definition.readiness.type
    taken: set[str] = set()
    words = signals(definition, taken)
    target, ready = _target(definition, clients, bool(sockets))
    if ready[-2:] == list(STARTED):
        heard = ready[:-2]
        is_wanted = heard or (waits and is_awaited(definition))
        ready = [*heard, *(STARTED if sockets else AT_ONCE)] if is_wanted else []
    found = [*words, *ending(definition), *_ends(definition)]
    for name in sorted(unlike(definition, taken)):
        found += [f"--{name}-command", one_word(getattr(definition.commands, name), definition, remarks)]
    said = [*ready, *_without(found, own, bool(ready), remarks)]
    return [*target, *said, *sockets] if said or sockets or kind == "forking" else []


def _target(definition: "Definition", clients: int, has_sockets: bool) -> tuple[list[str], list[str]]:
    """For which init the daemon was written, and how it says that it is ready."""
    if clients:
        return ["-t", f"inetd:nowait:{min(clients, CLIENTS_MOST)}"], ["-N"]
    if definition.target == "upstart":
        return ["-t", "upstart"], ["-N"] * (definition.readiness.type == "stop")
    if has_sockets and definition.context.standard_input == "socket":
        return ["-t", "inetd:wait"], list(STARTED)
    found = readiness(definition, {})  # a job is none of these
    return found[:2], found[2:]


def _ends(definition: "Definition") -> list[str]:
    """What is ended with the main process, and when, where the unit says so."""
    said, found = definition.ending, list[str]()
    if "kill_mode" in definition.origins:
        found += ["--kill-mode", said.kill_mode]
    is_bound = said.timeout_stop != INFINITY and said.send_sigkill and said.kill_mode != "none"
    if "timeout_stop" in definition.origins and is_bound:
        found += ["--stop-timeout", f"{said.timeout_stop / SECOND:g}"]
    return found


def _without(words: list[str], own: tuple[str, ...], is_heard: bool, remarks: list[str]) -> list[str]:
    """Those that the init's own words do not say, and that have an effect."""
    found: list[str] = []
    rest = iter(words)
    for word in rest:
        value = next(rest)
        if word in own:
            continue
        if not is_heard and word in ("--watchdog", "--fd-store", "--ready-timeout"):
            remarks.append(f"{word} {value}: nothing says to a daemon of this Type= where to say so")
            continue
        found += [word, value]
    return found


def plain(definition: "Definition", remarks: list[str], own: tuple[str, ...] = ()) -> list[str]:
    """The words that run the main process without a unit: the bridge, its standing, its own command line.

    Variables in it are as the unit has them: who has a shell takes script.main_line(), which puts them in.
    """
    command = definition.commands.start[-1]
    said = options(definition, remarks, own)
    bridge = [BRIDGE, *said, "--"] if said else []
    words = [*bridge, *chain(definition, remarks, command, said[1] if said else ""), command.path, *command.argv[1:]]
    if not command.literal and any("$" in word for word in command.argv[1:]):
        remarks.append(f"{command.path}: variables are not put into its words here ($)")
    return words
