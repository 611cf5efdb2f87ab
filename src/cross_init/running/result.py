"""How a service has ended, in systemd's words, and told to who starts it anew (again.py)."""

import _signal
import posix

from cross_init.model import SUCCESS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.definitions.definition import Ending
    from cross_init.kernel.linux import Environment

CLEAN = (_signal.SIGHUP, _signal.SIGINT, _signal.SIGTERM, _signal.SIGPIPE)  # ends of a daemon that are no failure
UNSAID = -1  # for a wait status: there was no main process
PROTOCOL, RESOURCES = "protocol", "resources"


class Outcome:
    """What has become of a service so far, as its unit's commands see it (systemd.exec(5)).

    why: $SERVICE_RESULT. status: the wait status of its main process, or of the last of a Type=oneshot's; None if there
    was none.
    """

    __slots__ = ("status", "why")

    def __init__(self) -> None:
        self.why = SUCCESS
        self.status: int | None = None

    def note(self, why: str) -> None:
        """This has come of something: the first that is no success stays (service.c, service_enter_signal())."""
        if self.why == SUCCESS:
            self.why = why or SUCCESS

    @property
    def variables(self) -> "Environment":
        """What tells of it."""
        found = {b"SERVICE_RESULT": self.why.encode()}
        if self.status is None:
            return found
        if posix.WIFSIGNALED(self.status):
            found[b"EXIT_CODE"] = b"dumped" if posix.WCOREDUMP(self.status) else b"killed"
            found[b"EXIT_STATUS"] = _signal_name(posix.WTERMSIG(self.status))
        else:
            found[b"EXIT_CODE"], found[b"EXIT_STATUS"] = b"exited", str(posix.WEXITSTATUS(self.status)).encode()
        return found


def _signal_name(number: int) -> bytes:
    """As systemd has it: without SIG."""
    from cross_init.watch.outcome import name_of

    name = name_of(number)
    return name[3:].encode() if name.startswith("SIG") else b"RTMIN+%d" % (number - 34)


def result(status: int, ending: "Ending", is_oneshot: bool) -> str:
    """The word of systemd's for how a main process ended (systemd.exec(5), $SERVICE_RESULT)."""
    codes, numbers = ending.success_exit_status
    if posix.WIFEXITED(status):
        return SUCCESS if posix.WEXITSTATUS(status) in (0, *codes) else "exit-code"
    number = posix.WTERMSIG(status)
    if number in numbers or (number in CLEAN and not is_oneshot):
        return SUCCESS
    return "core-dump" if posix.WCOREDUMP(status) else "signal"


def say(fd: int, status: int | None, why: str) -> None:
    """The service has ended so."""
    if fd >= 0:
        posix.write(fd, f"{UNSAID if status is None else status} {why}".encode())
