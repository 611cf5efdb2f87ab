"""What is wrong with a command line, in words: what no start could heed. Imported when something is, or could be."""

from _signal import SIGHUP, SIGTERM

from cross_init.commands.options import ABOUT_READINESS, CHOICES, OPTIONS, SHORT
from cross_init.detect import INITS, TARGETS
from cross_init.errors import NAME, Failure
from cross_init.model import KILLS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cross_init.commands.options import Options


def waits(options: "Options") -> bool:
    """Whether readiness is asked for."""
    return options.notify or bool(options.ready_when)


def talks(options: "Options") -> bool:
    """Whether there is something to listen to what the daemon says for."""
    return options.notify or bool(options.watchdog[0] or options.fd_store or "--notify-access" in options.given)


READINESS = "is about readiness, which has to be asked for with -N or --ready-when"
LISTENS = "is for a daemon that is heard: it needs -N or --ready-when"
WITHOUT = "needs somebody who stays (no --end-after-ready)"
# What would be without effect, or contradicts itself: the option, when it makes sense, and what to say if it does not.
RULES: "tuple[tuple[str, Callable[[Options], object], str], ...]" = (
    *((option, waits, READINESS) for option in ABOUT_READINESS),
    *((option, waits, LISTENS) for option in ("--watchdog", "--fd-store")),
    *((option, lambda options: not options.end_after_ready, WITHOUT) for option in ("--watchdog", "--fd-store")),
    ("--health-listen", lambda options: not options.end_after_ready, WITHOUT),
    ("--kill-mode", lambda options: not (options.end_after_ready and options.kill_mode in KILLS), WITHOUT),
    ("--stop-timeout", lambda options: not options.end_after_ready, WITHOUT),
    *(
        (option, lambda options, sent=sent: sent not in options.rewrites, "says what --rewrite-signal says as well")
        for option, sent in (("--stop-signal", SIGTERM), ("--reload-signal", SIGHUP))
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
    ("--own-watcher", lambda options: not options.need_resident, "and --need-resident contradict each other"),
    (
        "--notify-socket",
        talks,
        "is about what a daemon says of itself, which has to be asked for with -N",
    ),
    (
        "--notify-access",
        waits,
        "says whose messages count: it needs -N or --ready-when",
    ),
)


def refuse_contradictions(options: "Options") -> None:
    """Raise Failure if one of these options makes no sense beside the others."""
    for option, makes_sense, instead in RULES:
        if option in options.given and not makes_sense(options):
            raise usage(f"{option} {instead}")


def usage(message: str) -> Failure:
    """A mistake on the command line."""
    return Failure(f"{message} (see {NAME} --help)")


def hint(word: str, choices: "Iterable[str]") -> str:
    """What this was probably meant to be, as the end of a sentence."""
    from cross_init.spelling import nearest

    meant = nearest(word, choices)
    return f"; did you mean {meant}?" if meant else ""


def there_are(options: "Iterable[str]") -> str:
    """All of them, as the end of a sentence."""
    return f"; there are {', '.join(options)}"


def unknown(word: str, found: list[str]) -> Failure:
    """No long option is this, or more than one begins like it: these."""
    which = f"could be {', '.join(found)}" if found else f"no such option{hint(word, OPTIONS) or there_are(OPTIONS)}"
    return usage(f"{word}: {which}")


def unknown_letter(word: str, letter: str) -> Failure:
    """No short option is this letter of the word."""
    known = (*(f"-{each}" for each in SHORT), *OPTIONS)
    slip = word if hint(word, known) else f"-{letter}"
    return usage(f"{slip}: no such option{hint(slip, known) or there_are(known)}")


def no_choice(option: str, value: str, chosen: str) -> Failure:
    """This option has to be one of a few words. chosen: what stands for one in the value."""
    choices = CHOICES[OPTIONS[option][0]]
    meant = hint(chosen, choices)
    if option == "--target" and chosen in INITS:
        meant = "; a daemon that needs nothing of its init is one for plain"
    return usage(f"{option} {value}: not known; choose one of {', '.join(choices)}{meant}")


def no_target(options: "Options") -> Failure:
    """What is missing, and all that it could be."""
    first = options.command[0] if options.command else ""
    instead = {
        **{target: f"-t {target}" for target in TARGETS},
        **dict.fromkeys(("status", "check"), f"cross-init {first}"),
        "help": "--help",
    }
    meant = f"; did you mean {instead[first]}?" if first in instead else "?"
    return usage(f"-t TARGET is missing: for which init system was the daemon written: {', '.join(TARGETS)}{meant}")
