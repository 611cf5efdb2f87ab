"""What was asked for and has no effect with this init or this daemon: refused, as nobody would notice.

What no start could heed is refused by commands/mistakes.py, before that is known.
"""

from _signal import SIGHUP, SIGINT, SIGQUIT, SIGTERM

from cross_init.errors import Failure
from cross_init.model import ASKED, DESCRIPTOR, MESSAGE
from cross_init.plan import EXEC, HAND_OVER, SERVE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.plan import Plan
    from cross_init.request import Request


SERVED = {SIGTERM, SIGINT, SIGQUIT, SIGHUP}
OF_A_UNIT = {
    "--kill-mode": "KillMode=",
    "--stop-timeout": "TimeoutStopSec=",
    "--stop-command": "ExecStop=",
    "--reload-command": "ExecReload=",
}


def refuse(request: "Request", plan: "Plan") -> None:
    """Raises Failure. What only this init does without is said: elsewhere the same command line has a use for it."""
    init, target = request.init, request.target
    if request.all_sockets and not target.lists:
        raise Failure(
            f"--all-sockets is for daemons that get one socket or a list of them, and one for {target.name} does not: "
            "leave it out"
        )
    if "--notify-access" in request.given and not (target.says == MESSAGE or target.speaks):
        raise Failure(
            f"--notify-access says whose messages count, and a daemon for {target.name} sends none: leave it out"
        )
    refuse_to_end(request, plan)
    if plan.shape == SERVE:
        refuse_for_clients(request)
    if ":" in request.init_words and init.option_is_for and not request.given.keys() & set(init.option_is_for):
        raise Failure(f"--init {request.init_words}: that is for {' or '.join(init.option_is_for)}, which is not there")


def refuse_to_end(request: "Request", plan: "Plan") -> None:
    """Raise Failure if it is said how the service is stopped and ended, and that is not ours to do."""
    for option, setting in OF_A_UNIT.items():
        if option not in request.given:
            continue
        if request.init.signals_all:
            raise Failure(
                f"{option}: {request.init.called} itself stops all of a service and ends what it leaves: leave it out, "
                f"and let the unit have {setting}"
            )
        if plan.shape == SERVE:
            raise Failure(
                f"{option}: each client gets a daemon of its own here, and all of them are told to end and waited for: "
                "leave it out"
            )
        if plan.shape == HAND_OVER and (request.ends_rest or option == "--stop-timeout"):
            raise Failure(
                f"{option}: the daemon is handed over when it is ready, and nobody of ours stays: leave it out, or "
                "--supervise"
            )


def refuse_for_clients(request: "Request") -> None:
    """Raise Failure if it is about a main process, and each client gets a daemon of its own."""
    if request.success:
        raise Failure(
            "--success-exit-status: each client gets a daemon of its own here, and this one ends with 0: leave it out"
        )
    if set(request.instead) - SERVED:
        raise Failure(
            "--rewrite-signal: each client gets a daemon of its own here, and these are told of SIGTERM, SIGINT, "
            "SIGQUIT and SIGHUP alone: leave the others out"
        )


def without_effect(request: "Request", plan: "Plan") -> str:
    """What only this init does without, in words; "" if there is nothing."""
    init = request.init
    if "--notify-access" in request.given and init.name == request.target.name and plan.shape == EXEC:
        return f"--notify-access has no effect: the daemon talks to {init.name}, which has its own (NotifyAccess=)"
    return ""


def refuse_between(request: "Request") -> None:
    """Raise Failure if readiness would be told to an init that takes somebody else for the service.

    Nobody could rely on it: what the init stops is that one, and the daemon lives on. Who says which init it is, or by
    which descriptor it is told, knows better.
    """
    between, init = request.between, request.init
    chosen = request.init_words or request.ready_fd or init.hears not in (DESCRIPTOR, ASKED) or init.ends_all
    if between is not None and not chosen:
        raise Failure(
            f"telling {init.called} that the daemon is ready: it started {between}, which stays and is what it watches "
            f"and stops, so the daemon would outlive it: {between.advice}"
        )


def beside(request: "Request") -> list[str]:
    """That the init takes somebody else for the service, in words, where it is not refused nor said by the init."""
    between, init = request.between, request.init
    if between is None or init.signals_all:
        return []
    return [f"{init.called} watches and stops {between}, which stays, and not the daemon: {between.advice}"]


def misplaced(option: str) -> str:
    """That an option of ours stands where it is not ours, in words."""
    return f"{option} stands behind the command, so it is the command's: ours stand before it"
