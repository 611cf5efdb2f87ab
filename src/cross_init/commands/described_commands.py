"""What each command of cross-init is for, and its own options, in words; as described.py has those of the bridge."""

from typing import NamedTuple

from cross_init.commands.described import FILE, Option
from cross_init.writers.names import WRITERS


class Command(NamedTuple):
    """A command of cross-init, or one beside it. arguments: what stands behind its name."""

    name: str
    arguments: str
    brief: str
    text: str
    options: tuple[Option, ...] = ()
    completes: tuple[str, ...] = ()


JSON = Option("--json", "", "Print a list of objects (JSON), for programs.", "for programs")
BRIDGE = Command(
    "cross-init-bridge",
    "-t TARGET ... -- COMMAND",
    "run a daemon that was written for another init",
    "",
)
WHICH_UNIT = (
    Option("--user", "", "It is a unit of a user's manager, not of the system's."),
    Option("--unit-path", "DIR", "Look in this folder first; may be repeated.", completes=FILE),
)
# The commands of cross-init, by the names that they have behind it.
COMMANDS: tuple[Command, ...] = (
    Command(
        "status",
        "[--json] [--watch] [SERVICE...]",
        "the services that bridges look after",
        "How the services are that bridges look after: what they do, and since when. Root sees all, a user its own. "
        "The exit code is 1 if SERVICE is not there. A bridge that has nothing more to do is not there to be asked: "
        "check asks the init as well.",
        (JSON, Option("--watch", "", "Show it anew once a second, until interrupted.")),
    ),
    Command(
        "check",
        "[--json] [SERVICE | DIR | FILE]",
        "whether a service is ready, by the exit code",
        "Exit with 0 if the service is ready and with 1 if not, and say why. SERVICE is its name, DIR the directory "
        "that its supervisor has, FILE its state file (`--state-file`). Without one it is the service directory that "
        "we are in or, in a container, its bridges are asked.",
        (JSON._replace(text="Print an object (JSON), for programs: `ready` and `reason`."),),
        completes=FILE,
    ),
    Command(
        "which",
        "[--json] [INIT...]",
        "which init started whoever asks",
        "Say which init started whoever asks, and by what evidence. The first line is the init's name, or none, with "
        "the exit code 1. With INIT nothing is said, and the exit code is 0 if it is one of these, else 1.",
        (JSON._replace(text="Print an object (JSON), for programs."),),
    ),
    Command(
        "serve",
        "",
        "watch all daemons in one process",
        "Be the resident: the one process that watches all daemons of this user's, instead of a watcher beside each. "
        "Every `cross-init-bridge` that finds it hands its daemon over to it.",
    ),
    Command(
        "show",
        "[--json] [--user] [--unit-path DIR]... UNIT",
        "what is read of a unit or a job, and what becomes of it",
        "Say what is read of a systemd unit, or of an Upstart job, from which file and line, and what becomes of each "
        "directive under another init. UNIT is a name on systemd's own search path, or the path of a file; that of a "
        "job ends with `.conf`.",
        (
            JSON._replace(text="Print an object (JSON), for programs."),
            *WHICH_UNIT,
        ),
        completes=FILE,
    ),
    Command(
        "translate",
        "[OPTION]... --to INIT UNIT",
        "a unit or an Upstart job in another init's own words",
        "Write what is read of a unit as another init's own definition. UNIT is a name on systemd's own search path, "
        "the path of a unit's file, or an Upstart job's, NAME.conf. INIT is one of {writers}. What is lost, or is "
        "otherwise than it was, stands in a comment on top, and on standard error.",
        (
            Option("--to", "INIT", "The init that it is to be for.", completes=tuple(WRITERS)),
            Option(
                "--expand",
                "",
                "Say all that the unit says, by plain options of `cross-init-bridge` and programs that every Debian "
                "has: no unit is needed where that runs. Without it `cross-init run` is what is started, and what a "
                "package makes of its unit later is followed.",
            ),
            Option(
                "-o",
                "DIR",
                "Write files into this folder, over those of the same name.",
                completes=FILE,
            ),
            *WHICH_UNIT,
        ),
        completes=FILE,
    ),
    Command(
        "run",
        "[OPTION]... UNIT [-- ARGUMENT...]",
        "the service of a systemd unit, under whatever init there is",
        "Run the service of a systemd unit under whatever init there is: what comes before and after its main process, "
        "as whom and with what that runs, its sockets, readiness, reload and stop. UNIT is a name on systemd's own "
        "search path, or the path of a unit's file. OPTION is one of these or of "
        "`cross-init-bridge`'s; it counts for what the unit says. Each ARGUMENT is put behind the unit's own command.",
        (
            *WHICH_UNIT,
            Option("--strict", "", "Refuse a unit of which something is not done that would protect it or others."),
            Option(
                "--restart",
                "",
                "Start it anew as `Restart=` says, where no init does that: as process 1 of a container.",
            ),
            Option("--ignore", "KEY", "Start it although this directive cannot be met; may be repeated."),
        ),
        completes=FILE,
    ),
)
