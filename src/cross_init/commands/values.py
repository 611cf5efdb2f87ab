"""The values of options that are more than a word: times, numbers, signals, exit codes. Imported when there is one."""

import _signal

from cross_init.commands.mistakes import hint, usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.bounds import Count
    from cross_init.commands.options import Options

GRACE_S = 30.0  # a core of a large daemon takes its time


def take(options: "Options", option: str, attribute: str, value: str) -> None:
    """Take in the value of one of CONVERTED. Raises Failure."""
    if attribute == "rewrites":
        _rewrite(options, option, value)
    elif attribute == "success":
        options.success |= {exit_code(option, word) for word in value.split(",")}
    elif attribute == "watchdog":
        limit, colon, grace = value.partition(":")
        options.watchdog = (seconds(option, limit), seconds(option, grace) if colon else GRACE_S)
    elif attribute == "fd_store":
        options.fd_store = count(option, value)
    elif attribute in ("stop_signal", "reload_signal"):
        setattr(options, attribute, signal_number(option, value))
    else:
        setattr(options, attribute, seconds(option, value))


def _rewrite(options: "Options", option: str, value: str) -> None:
    """Take in FROM:TO. Raises Failure."""
    sent, colon, wanted = value.partition(":")
    if not colon:
        raise usage(f"{option} {value}: write the signal that comes and the one that the daemon gets, as TERM:QUIT")
    number = signal_number(option, sent)
    if number in options.rewrites:
        raise usage(f"{option} {value}: what the daemon gets for {sent} is there twice: leave one of them out")
    options.rewrites[number] = 0 if wanted == "0" else signal_number(option, wanted)


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
