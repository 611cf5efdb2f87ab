"""The command line: from its words to the options."""

import _signal

from cross_init.detect import INITS, TARGETS
from cross_init.errors import NAME, Failure
from cross_init.model import KILL_MODES, KILLS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cross_init.bounds import Count

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
)
SECONDS = ("ready_timeout", "stop_timeout")
GRACE_S = 30.0  # a core of a large daemon takes its time
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
READINESS = "is about readiness, which has to be asked for with -N or --ready-when"
LISTENS = "is for a daemon that is heard: it needs -N or --ready-when"
WITHOUT = "needs somebody who stays (no --end-after-ready)"
# What would be without effect, or contradicts itself: the option, when it makes sense, and what to say if it does not.
RULES: "tuple[tuple[str, Callable[[Options], object], str], ...]" = (
    *((option, lambda options: options.waits, READINESS) for option in ABOUT_READINESS),
    *((option, lambda options: options.waits, LISTENS) for option in ("--watchdog", "--fd-store")),
    *((option, lambda options: not options.end_after_ready, WITHOUT) for option in ("--watchdog", "--fd-store")),
    ("--health-listen", lambda options: not options.end_after_ready, WITHOUT),
    ("--kill-mode", lambda options: not (options.end_after_ready and options.kill_mode in KILLS), WITHOUT),
    ("--stop-timeout", lambda options: not options.end_after_ready, WITHOUT),
    *(
        (option, lambda options, sent=sent: sent not in options.rewrites, "says what --rewrite-signal says as well")
        for option, sent in (("--stop-signal", _signal.SIGTERM), ("--reload-signal", _signal.SIGHUP))
    ),
    (
        "--reload-command",
        lambda options: not options.reload_signal,
        "is one way to have the daemon reload, --reload-signal is another",
    ),
    (
        "--stop-timeout",
        lambda options: options.kill_mode != "none",
        "says when what does not end is killed, and with --kill-mode none nothing is",
    ),
    (
        "--ready-fd",
        lambda options: not options.daemonize,
        "is one way to say that the daemon is ready, --daemonize is another",
    ),
    (
        "--bus",
        lambda options: any(condition.startswith("dbus:") for condition in options.ready_when),
        "says where to look for --ready-when dbus:NAME, which is not there",
    ),
    ("--socket", lambda options: not options.all_sockets, "chooses one, --all-sockets passes all: use one of them"),
    (
        "--notify-socket",
        lambda options: options.talks,
        "is about what a daemon says of itself, which has to be asked for with -N",
    ),
    (
        "--notify-access",
        lambda options: options.talks,
        "says whose messages count, and they are listened to with -N only",
    ),
)


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
        self.command: list[str] = []

    @property
    def waits(self) -> bool:
        """Whether readiness is asked for."""
        return self.notify or bool(self.ready_when)

    @property
    def talks(self) -> bool:
        """Whether there is something to listen to what the daemon says for."""
        return self.notify or bool(self.watchdog[0] or self.fd_store)

    def set(self, option: str, value: str | None) -> None:
        """Take one option in. Raises Failure."""
        attribute, takes_value = OPTIONS[option]
        if option not in REPEATED and self.given.setdefault(option, value) != value:
            raise usage(f"{option} is there twice, as {self.given[option]} and as {value}: leave one of them out")
        if option in OPTIONAL:
            value = value or CHOICES[attribute][0]
        elif not takes_value:
            if value is not None:
                raise usage(f"{option} takes no value")
            setattr(self, attribute, True)
            return
        if not value:
            raise usage(f"{option} needs a value")
        chosen = value.partition(":")[0] if attribute in ("target", "init") else value
        if attribute in CHOICES and chosen not in CHOICES[attribute]:
            choices = CHOICES[attribute]
            meant = hint(chosen, choices)
            if option == "--target" and chosen in INITS:
                meant = "; a daemon that needs nothing of its init is one for plain"
            raise usage(f"{option} {value}: not known; choose one of {', '.join(choices)}{meant}")
        if attribute in ("listen", "ready_when"):
            getattr(self, attribute).append(value)
        elif attribute == "rewrites":
            self._rewrite(option, value)
        elif attribute == "success":
            self.success |= {exit_code(option, word) for word in value.split(",")}
        elif attribute in SECONDS:
            setattr(self, attribute, seconds(option, value))
        elif attribute == "watchdog":
            limit, colon, grace = value.partition(":")
            self.watchdog = (seconds(option, limit), seconds(option, grace) if colon else GRACE_S)
        elif attribute == "fd_store":
            self.fd_store = count(option, value)
        elif attribute in ("stop_signal", "reload_signal"):
            setattr(self, attribute, signal_number(option, value))
        else:
            setattr(self, attribute, value)

    def _rewrite(self, option: str, value: str) -> None:
        """Take in FROM:TO. Raises Failure."""
        sent, colon, wanted = value.partition(":")
        if not colon:
            raise usage(f"{option} {value}: write the signal that comes and the one that the daemon gets, as TERM:QUIT")
        number = signal_number(option, sent)
        if number in self.rewrites:
            raise usage(f"{option} {value}: what the daemon gets for {sent} is there twice: leave one of them out")
        self.rewrites[number] = 0 if wanted == "0" else signal_number(option, wanted)


def usage(message: str) -> Failure:
    """A mistake on the command line."""
    return Failure(f"{message} (see {NAME} --help)")


def hint(word: str, choices: "Iterable[str]") -> str:
    """What this was probably meant to be, as the end of a sentence."""
    from cross_init.spelling import nearest

    meant = nearest(word, choices)
    return f"; did you mean {meant}?" if meant else ""


def seconds(option: str, value: str) -> float:
    """A time in seconds, as 10 or 0.5. Raises Failure."""
    from cross_init.bounds import SECONDS_MAX, as_seconds

    time = as_seconds(value)
    if time is None:
        raise usage(f"{option} {value}: write a number of seconds above 0 and up to {SECONDS_MAX}, as 10 or 0.5")
    return time


def count(option: str, value: str) -> "Count":
    """A number of things. Raises Failure."""
    from cross_init.bounds import COUNT_MAX, as_count

    things = as_count(value)
    if things is None:
        raise usage(f"{option} {value}: write a number, 0 to {COUNT_MAX}")
    return things


def signal_number(option: str, value: str) -> int:
    """A signal, as QUIT, SIGQUIT or 3. Raises Failure."""
    from cross_init.bounds import number

    most = max(_signal.valid_signals())
    found: object = number(value, 1, most)
    name = "SIG" + value.upper().removeprefix("SIG")
    if found is None and value.isascii() and name.isalnum():  # SIG_IGN and SIG_BLOCK are numbers, and no signals
        found = getattr(_signal, name, None)
    can_be_caught = _signal.valid_signals() - {_signal.SIGKILL, _signal.SIGSTOP}
    if not isinstance(found, int) or found not in can_be_caught:
        names = [each[3:] for each in dir(_signal) if each.startswith("SIG") and each.isalnum()]
        meant = hint(name[3:], names) if found is None else ""
        raise usage(
            f"{option} {value}: write the name of a signal that can be caught, as QUIT or USR1, or its number, "
            f"1 to {most}{meant}"
        )
    return found


def exit_code(option: str, value: str) -> int:
    """An exit code, as 143; or a signal's name, which stands for 128 and its number. Raises Failure."""
    from cross_init.bounds import number

    code = number(value, 0, 255)
    if code is None and value[:1].isdigit():
        raise usage(f"{option} {value}: write exit codes, 0 to 255, or names of signals, with commas between them")
    return 128 + signal_number(option, value) if code is None else code


def whole(word: str) -> str:
    """The long option that this is, or that it is the only one to begin like it, as getopt_long(3) has it."""
    if word in OPTIONS:
        return word
    found = [option for option in OPTIONS if option.startswith(word)]
    found = [option for option in found if option in ORIGINAL] or found
    if len(found) == 1:
        return found[0]
    which = f"could be {', '.join(found)}" if found else f"no such option{hint(word, OPTIONS) or there_are(OPTIONS)}"
    raise usage(f"{word}: {which}")


def there_are(options: "Iterable[str]") -> str:
    """All of them, as the end of a sentence."""
    return f"; there are {', '.join(options)}"


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
                raise usage(f"{word}: no such option; did you mean -{word}?")
            letters = word[1:]
            while letters:
                letter, letters = letters[0], letters[1:]
                if letter not in SHORT:
                    known = (*(f"-{each}" for each in SHORT), *OPTIONS)
                    slip = word if hint(word, known) else f"-{letter}"
                    raise usage(f"{slip}: no such option{hint(slip, known) or there_are(known)}")
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
        raise no_target(options)
    if not options.command and not options.explain:
        raise usage("the COMMAND to run is missing: write it behind --")
    options.notify = options.notify or options.daemonize
    for option, makes_sense, instead in RULES:
        if option in options.given and not makes_sense(options):
            raise usage(f"{option} {instead}")
    return options


def no_target(options: Options) -> Failure:
    """What is missing, and all that it could be."""
    first = options.command[0] if options.command else ""
    instead = {
        **{target: f"-t {target}" for target in TARGETS},
        **dict.fromkeys(("status", "check"), f"cross-init {first}"),
        "help": "--help",
    }
    meant = f"; did you mean {instead[first]}?" if first in instead else "?"
    return usage(f"-t TARGET is missing: for which init system was the daemon written: {', '.join(TARGETS)}{meant}")
