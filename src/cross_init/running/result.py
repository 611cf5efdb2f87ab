"""How a service has ended, in systemd's words, and told to who starts it anew (again.py)."""

import _signal
import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.definitions.definition import Ending

CLEAN = (_signal.SIGHUP, _signal.SIGINT, _signal.SIGTERM, _signal.SIGPIPE)  # ends of a daemon that are no failure
UNSAID = -1  # for a wait status: there was no main process


def result(status: int, ending: "Ending", is_oneshot: bool) -> str:
    """The word of systemd's for how a main process ended (systemd.exec(5), $SERVICE_RESULT)."""
    codes, numbers = ending.success_exit_status
    if posix.WIFEXITED(status):
        return "success" if posix.WEXITSTATUS(status) in (0, *codes) else "exit-code"
    number = posix.WTERMSIG(status)
    if number in numbers or (number in CLEAN and not is_oneshot):
        return "success"
    return "core-dump" if posix.WCOREDUMP(status) else "signal"


def say(fd: int, status: int | None, why: str) -> None:
    """The service has ended so."""
    if fd >= 0:
        posix.write(fd, f"{UNSAID if status is None else status} {why}".encode())
