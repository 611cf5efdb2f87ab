"""The command line: from its words to a options."""

import _signal

from cross_init.detect import INITS, TARGETS
from cross_init.errors import NAME, Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.bounds import Count

PLACES = ("path", "abstract")  # for the notification socket's name
ACCESS = ("main", "exec", "all")
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
    "--help": ("help", False),
    "--version": ("version", False),
}
# Those of the C original: what abbreviated one of them goes on to mean it.
ORIGINAL = ("--target", "--notify", "--end-after-ready", "--help", "--version")
SHORT = {"t": "--target", "N": "--notify", "h": "--help", "V": "--version"}
SECONDS = ("ready_timeout",)
GRACE_S = 30.0  # a core of a large daemon takes its time
CHOICES = {
    "target": TARGETS,
    "init": INITS,
    "notify_access": ACCESS,
    "notify_socket": PLACES,
    "explain": ("text", "json"),
}


class Options:
    """What the command line asks for. explain: "" (no), "text" or "json"."""

    def __init__(self) -> None:
        self.target = ""
        self.notify = False
        self.end_after_ready = False
        self.daemonize = False
        self.ready_fd = ""
        self.init = ""
        self.explain = ""
        self.listen: list[str] = []
        self.adopt_socket = ""
        self.notify_access = "main"
        self.notify_socket = ""  # of what kind its name is; "": as it fits
        self.socket = ""
        self.all_sockets = False
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
        self.stop_signal = self.reload_signal = 0  # what the daemon gets for SIGTERM and SIGHUP; 0: the same
        self.help = False
        self.version = False
        self.command: list[str] = []

    def set(self, option: str, value: str | None) -> None:
        """Take one option in. Raises Failure."""
        attribute, takes_value = OPTIONS[option]
        if option == "--explain":
            value = value or "text"
        elif not takes_value:
            if value is not None:
                raise usage(f"{option} takes no value")
            setattr(self, attribute, True)
            return
        if not value:
            raise usage(f"{option} needs a value")
        chosen = value.partition(":")[0] if attribute in ("target", "init") else value
        if attribute in CHOICES and chosen not in CHOICES[attribute]:
            raise usage(f"{option} {value}: not known; choose one of {', '.join(CHOICES[attribute])}")
        if attribute in ("listen", "ready_when"):
            getattr(self, attribute).append(value)
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


def usage(message: str) -> Failure:
    """A mistake on the command line."""
    return Failure(f"{message} (see {NAME} --help)")


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
        raise usage(
            f"{option} {value}: write the name of a signal that can be caught, as QUIT or USR1, or its number, "
            f"1 to {most}"
        )
    return found


def whole(word: str) -> str:
    """The long option that this is, or that it is the only one to begin like it, as getopt_long(3) has it."""
    if word in OPTIONS:
        return word
    found = [option for option in OPTIONS if option.startswith(word)]
    found = [option for option in found if option in ORIGINAL] or found
    if len(found) == 1:
        return found[0]
    which = f"could be {', '.join(found)}" if found else f"no such option; there are {', '.join(OPTIONS)}"
    raise usage(f"{word}: {which}")


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
            letters = word[1:]
            while letters:
                letter, letters = letters[0], letters[1:]
                if letter not in SHORT:
                    known = ", ".join(f"-{each}" for each in SHORT)
                    raise usage(f"-{letter}: no such option; there are {known}, {', '.join(OPTIONS)}")
                option = SHORT[letter]
                if OPTIONS[option][1]:
                    options.set(option, letters or next(rest, None))
                    break
                options.set(option, None)
        else:
            options.command = [word, *rest]
        if options.help or options.version:
            return options
    if not options.target:
        raise usage(f"-t TARGET is missing: for which init system was the daemon written: {', '.join(TARGETS)}?")
    if not options.command and not options.explain:
        raise usage("the COMMAND to run is missing: write it behind --")
    options.notify = options.notify or options.daemonize
    for option in ("--end-after-ready", "--ready-timeout", "--ready-fd", "--health-listen", "--state-file"):
        if getattr(options, OPTIONS[option][0]) and not (options.notify or options.ready_when):
            raise usage(f"{option} is about readiness, which has to be asked for with -N or --ready-when")
    if options.notify_socket and not options.notify:
        raise usage("--notify-socket is about what a daemon says of itself, which has to be asked for with -N")
    if options.watchdog[0] and (not options.notify or options.end_after_ready):
        raise usage("--watchdog needs -N, and somebody who stays (no --end-after-ready)")
    if options.fd_store and (not options.notify or options.end_after_ready):
        raise usage("--fd-store needs -N, and somebody who stays (no --end-after-ready)")
    if options.health_listen and options.end_after_ready:
        raise usage("--health-listen needs somebody who stays and answers (no --end-after-ready)")
    if options.ready_fd and options.daemonize:
        raise usage("--ready-fd is one way to say that the daemon is ready, --daemonize is another")
    if options.bus and not any(condition.startswith("dbus:") for condition in options.ready_when):
        raise usage("--bus says where to look for --ready-when dbus:NAME, which is not there")
    if options.socket and options.all_sockets:
        raise usage("--socket chooses one, --all-sockets passes all: use one of them")
    return options
