"""How the command line changes the way in which an init is told: --daemonize, --pid-file, --ready-fd, --state-file."""

from cross_init.errors import Failure
from cross_init.model import ANYONE, DESCRIPTOR, EXIT, FILE, TEXT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.request import Request


def adapt(request: "Request") -> None:
    """Change what the init says of itself. Raises Failure if what was asked for does not go with it."""
    init, target = request.init, request.target
    if request.daemonize:
        if init.hears == TEXT:
            init.hears, init.moves_main = EXIT, True
        elif init.hears != EXIT:
            raise Failure(
                f"--daemonize: {init.called} follows the process that it starts, which must not end: leave it out"
            )
    if request.state_file:
        from cross_init.watch.state_file import place as place_state

        request.state_file = place_state(request.state_file)
    if request.ready_fd:
        init.hears, init.from_whom, init.moves_main, init.may_miss_readiness = DESCRIPTOR, ANYONE, False, False
        init.job_type = ""
    if request.pid_file and init.reads_pid_file:
        init.hears = FILE
        if target.forks and request.ready_when:
            raise Failure(
                f"--ready-when {request.ready_when[0]}: {init.called} takes the daemon's own PID file for readiness, "
                "and that comes before: leave it out, or have the daemon stay in the foreground (-t plain)"
            )
        if not target.forks:  # else the daemon writes it
            from cross_init.notify.pid_file import place

            init.pid_file = place(request.pid_file, [])  # who reads it has looked whether it runs already
    elif request.pid_file and not (init.hears == EXIT or is_the_daemons(request)):
        other = "use it with --daemonize" if init.hears == TEXT else "leave it out"
        raise Failure(
            f"--pid-file: {init.called} does not ask for a PID file: {other}, or, if the daemon writes it, --supervise"
        )


def is_the_daemons(request: "Request") -> bool:
    """Whether it is the daemon that writes the PID file, for us to follow, and not we, for the init."""
    if request.followed is not None:
        return False
    return request.target.forks or (request.supervise and request.init.hears != EXIT)


def followed_file(request: "Request") -> str:
    """The path of the PID file by which the daemon names its main process, "" if there is none.

    That which is waited for is one as well. What an init reads, or who has started a front, we write ourselves.
    """
    if request.followed:
        return request.followed
    if request.pid_file and is_the_daemons(request) and (request.target.forks or request.init.hears != FILE):
        return request.pid_file
    return next((condition.pid_file for condition in request.conditions if condition.pid_file), "")
