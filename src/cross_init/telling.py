"""How the command line changes the way in which an init is told: --daemonize, --pid-file, --ready-fd."""

from cross_init.model import ANYONE, DESCRIPTOR, EXIT, TEXT, Failure, Init

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.cli import Wish


def adapt(init: Init, wish: "Wish") -> None:
    """Change what this init says of itself. Raises Failure if the wish does not go with it."""
    if wish.daemonize:
        if init.hears == TEXT:
            init.hears, init.moves_main = EXIT, True
        elif init.hears != EXIT:
            raise Failure(
                f"--daemonize: {init.name} follows the process that it starts, which must not end: leave it out"
            )
    if wish.ready_fd:
        init.hears, init.from_whom, init.moves_main, init.may_not_hear = DESCRIPTOR, ANYONE, False, False
        init.job_type = ""
    if wish.pid_file and init.hears != EXIT and not init.reads_pid_file:
        other = "use it with --daemonize" if init.hears == TEXT else "leave it out"
        raise Failure(f"--pid-file: {init.name} does not ask for a PID file: {other}")
