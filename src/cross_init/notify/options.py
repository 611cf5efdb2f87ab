"""How the command line changes the way in which an init is told: --daemonize, --pid-file, --ready-fd, --state-file."""

from cross_init.errors import Failure
from cross_init.model import ANYONE, DESCRIPTOR, EXIT, FILE, TEXT, Init, Target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.commands.options import Wish


def adapt(init: Init, target: Target, wish: "Wish") -> None:
    """Change what this init says of itself. Raises Failure if the wish does not go with it."""
    if wish.daemonize:
        if init.hears == TEXT:
            init.hears, init.moves_main = EXIT, True
        elif init.hears != EXIT:
            raise Failure(
                f"--daemonize: {init.called} follows the process that it starts, which must not end: leave it out"
            )
    if wish.state_file:
        from cross_init.watch.state_file import place as place_state

        wish.state_file = place_state(wish.state_file)
    if wish.ready_fd:
        init.hears, init.from_whom, init.moves_main, init.may_not_hear = DESCRIPTOR, ANYONE, False, False
        init.job_type = ""
    if wish.pid_file and init.reads_pid_file:
        init.hears = FILE
        if target.forks and wish.ready_when:
            raise Failure(
                f"--ready-when {wish.ready_when[0]}: {init.called} takes the daemon's own PID file for readiness, "
                "and that comes before: leave it out, or have the daemon stay in the foreground (-t plain)"
            )
        if not target.forks:  # else the daemon writes it
            from cross_init.notify.pid_file import place

            init.pid_file = place(wish.pid_file, [])  # who reads it has looked whether it runs already
    elif wish.pid_file and not (init.hears == EXIT or is_the_daemons(init, target, wish)):
        other = "use it with --daemonize" if init.hears == TEXT else "leave it out"
        raise Failure(
            f"--pid-file: {init.called} does not ask for a PID file: {other}, or, if the daemon writes it, --supervise"
        )


def is_the_daemons(init: Init, target: Target, wish: "Wish") -> bool:
    """Whether it is the daemon that writes the PID file, for us to follow, and not we, for the init."""
    return target.forks or (wish.supervise and init.hears != EXIT)
