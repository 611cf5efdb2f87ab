"""The command line: from its words to the options. What is wrong with one is in mistakes.py."""

from cross_init.detect import INITS, TARGETS
from cross_init.model import KILL_MODES

PLACES = ("path", "abstract")  # for the notification socket's name
ACCESS = ("main", "exec", "all")
MOST, ALL = "most", "all"  # which options --help shows
# Option: (the attribute of Options that it sets, whether it takes a value).
OPTIONS: dict[str, tuple[str, bool]] = {
    "--target": ("target", True),
    "--notify": ("notify", False),
    "--end-after-ready": ("end_after_ready", False),
    "--daemonize": ("daemonize", False),
    "--ready-fd": ("ready_fd", True),
    "--init": ("init", True),
    "--explain": ("explain", False),
    "--listen": ("listen", True),
    "--adopt-socket": ("adopt_socket", True),
    "--notify-access": ("notify_access", True),
    "--notify-socket": ("notify_socket", True),
    "--socket": ("socket", True),
    "--all-sockets": ("all_sockets", False),
    "--wait-for-client": ("wait_for_client", False),
    "--ready-when": ("ready_when", True),
    "--ready-timeout": ("ready_timeout", True),
    "--bus": ("bus", True),
    "--pid-file": ("pid_file", True),
    "--supervise": ("supervise", False),
    "--watchdog": ("watchdog", True),
    "--fd-store": ("fd_store", True),
    "--health-listen": ("health_listen", True),
    "--state-file": ("state_file", True),
    "--stop-signal": ("stop_signal", True),
    "--reload-signal": ("reload_signal", True),
    "--rewrite-signal": ("rewrites", True),
    "--success-exit-status": ("success", True),
    "--stop-command": ("stop_command", True),
    "--reload-command": ("reload_command", True),
    "--kill-mode": ("kill_mode", True),
    "--stop-timeout": ("stop_timeout", True),
    "--help": ("help", False),
    "--own-watcher": ("own_watcher", False),
    "--need-resident": ("need_resident", False),
    "--version": ("version", False),
}
# Those of the C original: what abbreviated one of them goes on to mean it.
ORIGINAL = ("--target", "--notify", "--end-after-ready", "--help", "--version")
SHORT = {"t": "--target", "N": "--notify", "h": "--help", "V": "--version"}
ABOUT_READINESS = ("--end-after-ready", "--ready-timeout", "--ready-fd", "--health-listen", "--state-file")
# Those that hardly any daemon has as well.
OURS_ALONE = (
    *ABOUT_READINESS,
    "-N",
    "--notify-access",
    "--ready-when",
    "--supervise",
    "--wait-for-client",
    "--fd-store",
    "--kill-mode",
    "--stop-timeout",
    "--stop-command",
    "--reload-command",
    "--rewrite-signal",
    "--success-exit-status",
    "--own-watcher",
    "--need-resident",
)
# Whose value is more than a word (values.py).
CONVERTED = {"rewrites", "success", "ready_timeout", "stop_timeout", "watchdog", "fd_store", "stop_signal"}
CONVERTED |= {"reload_signal"}
# Those that go with every other one: a row of RULES (mistakes.py) is about none of them.
PLAIN = {"--target", "--notify", "--init", "--explain", "--supervise", "--daemonize", "--all-sockets"}
PLAIN |= {"--wait-for-client", "--pid-file", "--adopt-socket"}
CHOICES = {
    "target": TARGETS,
    "init": INITS,
    "notify_access": ACCESS,
    "notify_socket": PLACES,
    "explain": ("text", "json"),
    "help": (MOST, ALL),
    "kill_mode": KILL_MODES,
}
# Those whose value may be left out, and is the first of their choices then.
OPTIONAL = ("--explain", "--help")

REPEATED = ("--listen", "--ready-when", "--rewrite-signal", "--success-exit-status")  # what may be said more than once


class Options:
    """What the command line asks for. explain: "" (no), "text" or "json". given: the options, as they were written."""

    def __init__(self) -> None:
        self.given: dict[str, str | None] = {}
        self.misplaced = ""  # an option of ours that stands behind the command, which has hardly one of this name
        self.target = ""
        self.notify = False
        self.end_after_ready: bool = False
        self.daemonize: bool = False
        self.ready_fd = ""
        self.init = ""
        self.explain = ""
        self.listen: list[str] = []
        self.adopt_socket = ""
        self.notify_access = "main"
        self.notify_socket = ""  # of what kind its name is; "": as it fits
        self.socket = ""
        self.all_sockets: bool = False
        self.wait_for_client = False
        self.ready_when: list[str] = []
        self.ready_timeout = 0.0  # seconds; 0: no limit
        self.bus = ""
        self.pid_file = ""
        self.supervise = False
        self.health_listen = ""
        self.state_file = ""
        self.watchdog = (0.0, 0.0)  # seconds between two signs of life, 0: any number; and from SIGABRT to SIGKILL
        self.fd_store = 0  # how many descriptors are kept for the daemon over a restart, at most
        self.stop_signal: int = 0
        self.reload_signal: int = 0  # what the daemon gets for SIGTERM and SIGHUP; 0: the same
        self.rewrites: dict[int, int] = {}  # what it gets for others; 0: nothing
        self.success: set[int] = set()  # which exit codes count as 0; of a signal, 128 and its number
        self.stop_command = self.reload_command = ""  # what is run instead of sending the daemon SIGTERM, SIGHUP
        self.help = ""  # "" (no), MOST or ALL
        self.kill_mode: str = ""  # what is ended at the end of the daemon's main process; "": as it fits
        self.stop_timeout = 0.0  # seconds from SIGTERM to SIGKILL; 0: as it fits
        self.version = False
        self.own_watcher: bool = False
        self.need_resident: bool = False
        self.words: list[str] = []  # all of this, as it was written
        self.command: list[str] = []

    def set(self, option: str, value: str | None) -> None:
        """Take one option in. Raises Failure."""
        attribute, takes_value = OPTIONS[option]
        if option not in REPEATED and self.given.setdefault(option, value) != value:
            from cross_init.commands.mistakes import usage

            raise usage(f"{option} is there twice, as {self.given[option]} and as {value}: leave one of them out")
        if option in OPTIONAL:
            value = value or CHOICES[attribute][0]
        elif not takes_value:
            if value is not None:
                from cross_init.commands.mistakes import usage

                raise usage(f"{option} takes no value")
            setattr(self, attribute, True)
            return
        if not value:
            from cross_init.commands.mistakes import usage

            raise usage(f"{option} needs a value")
        chosen = value.partition(":")[0] if attribute in ("target", "init") else value
        if attribute in CHOICES and chosen not in CHOICES[attribute]:
            from cross_init.commands.mistakes import no_choice

            raise no_choice(option, value, chosen)
        if attribute in ("listen", "ready_when"):
            getattr(self, attribute).append(value)
        elif attribute in CONVERTED:
            from cross_init.commands.values import take

            take(self, option, attribute, value)
        else:
            setattr(self, attribute, value)


def whole(word: str) -> str:
    """The long option that this is, or that it is the only one to begin like it, as getopt_long(3) has it."""
    if word in OPTIONS:
        return word
    found = [option for option in OPTIONS if option.startswith(word)]
    found = [option for option in found if option in ORIGINAL] or found
    if len(found) == 1:
        return found[0]
    from cross_init.commands.mistakes import unknown

    raise unknown(word, found)


def parse(words: list[str]) -> Options:
    """The options that these words (without the program's name) give. Raises Failure."""
    options = Options()
    rest = iter(words)
    for word in rest:
        if word == "--":
            options.command = list(rest)
        elif word.startswith("--"):
            name, equals, text = word.partition("=")
            option = whole(name)
            value: str | None = text if equals else None
            if value is None and OPTIONS[option][1]:
                value = next(rest, None)
            options.set(option, value)
        elif word.startswith("-") and word != "-":
            if "-" + word in OPTIONS and word != "-help":
                from cross_init.commands.mistakes import usage

                raise usage(f"{word}: no such option; did you mean -{word}?")
            letters = word[1:]
            while letters:
                letter, letters = letters[0], letters[1:]
                if letter not in SHORT:
                    from cross_init.commands.mistakes import unknown_letter

                    raise unknown_letter(word, letter)
                option = SHORT[letter]
                if OPTIONS[option][1]:
                    options.set(option, letters or next(rest, None))
                    break
                options.set(option, None)
        else:
            options.command = [word, *rest]
            options.misplaced = next((each for each in options.command if each.partition("=")[0] in OURS_ALONE), "")
        if options.help or options.version:
            return options
    if not options.target and not options.explain:
        from cross_init.commands.mistakes import no_target

        raise no_target(options)
    if not options.command and not options.explain:
        from cross_init.commands.mistakes import usage

        raise usage("the COMMAND to run is missing: write it behind --")
    options.words = words[: len(words) - len(options.command)]
    options.notify = options.notify or options.daemonize
    if not options.given.keys() <= PLAIN:
        from cross_init.commands.mistakes import refuse_contradictions

        refuse_contradictions(options)
    return options
