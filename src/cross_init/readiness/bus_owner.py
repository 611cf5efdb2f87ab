"""Who owns a name on a bus that is in another PID namespace, as a host's bus is for a container.

The numbers that such a bus gives of processes are those of its own namespace. A pidfd means the same process on both
sides, so the bus is asked for that (D-Bus specification, GetConnectionCredentials, ProcessFD). Who can be sent one
descriptor can be sent others, by anybody on the bus; so a worker asks, on a connection of its own (worker.py).
"""

import _signal
import posix

from cross_init.errors import Failure, why
from cross_init.kernel.procfs import field, process_of, start_time
from cross_init.readiness.worker import Task
from cross_init.sockets.connection import credentials, prober

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cross_init.readiness.worker import Tell

OWNER = b"o"  # a worker's word for what it has found
PATIENCE_S = 5.0
NOBODY, NOT_SAID, NOT_HERE = "", "no pidfd", "not here"
NO_PIDFD = (
    "the bus is in another PID namespace, so its numbers of processes mean nothing here, and it tells of none by a "
    "pidfd (ProcessFD of GetConnectionCredentials, which dbus-daemon 1.16 has)"
)
INSTEAD = "use a bus in this namespace, or another condition"


def is_elsewhere(bus: int) -> bool:
    """Whether who listens at the other end of this connection is in another PID namespace.

    Outside of ours it has no number here (unix(7), SO_PEERCRED); inside of one below ours it has several
    (proc_pid_status(5), NSpid).
    """
    pid = credentials(bus)[0]
    return pid <= 0 or len(field(f"/proc/{pid}/status", "NSpid").split()) > 1


def find(place: str, name: str) -> str:
    """The process here that owns the name ("" for our own connection), with its start; or one of the words above.

    To be called in a process that may be lost. Raises OSError, and whatever the library raises.
    """
    from jeepney import DBus, MessageType
    from jeepney.io.blocking import DBusConnection, prep_socket

    connection = DBusConnection(prep_socket(place, enable_fds=True, timeout=PATIENCE_S), enable_fds=True)
    asked = DBus().GetConnectionCredentials(name or connection.unique_name)
    reply = connection.send_and_get_reply(asked, timeout=PATIENCE_S)
    if reply.header.message_type is not MessageType.method_return:
        return NOBODY  # it has gone
    kind, pidfd = reply.body[0].get("ProcessFD", ("", None))
    if kind != "h":
        return NOT_SAID
    fd = pidfd.fileno()
    pid = process_of(fd)
    started = start_time(pid) if pid else ""
    was_there = started and process_of(fd) == pid  # all the time, so it is this process that we looked at
    return f"{pid} {started}" if was_there else NOT_HERE


class Owner(Task):
    """Find the owner of this name. tell: what to call with what find() has found, or with why it failed."""

    def __init__(self, place: str, name: str, tell: "Callable[[str, str], None]") -> None:
        super().__init__(set(), PATIENCE_S)
        self.place = place
        self.name = name
        self.tell = tell
        self.has_said = False

    def do(self, tell: "Tell") -> None:
        """Ask. In the worker."""
        try:
            tell(OWNER, "+" + find(self.place, self.name))
        except Exception as error:  # of any kind: the library takes what it reads for well-formed
            tell(OWNER, "-" + (why(error) if isinstance(error, OSError) else type(error).__name__))

    def hear(self, kind: bytes, text: bytes) -> None:
        """It has found something, or failed."""
        if kind == OWNER and not self.has_said:
            self.has_said = True
            said = text.decode("utf-8", "replace")
            self.tell(said[1:], "") if said[:1] == "+" else self.tell("", said[1:])

    def over(self, done: bool) -> None:
        """If it was lost, it is asked again."""
        if not self.has_said:
            self.has_said = True
            self.tell("", "the process that asked it has ended, or was held up")


def refuse_without_pidfd(places: list[str], what: str) -> None:
    """Raise Failure if there is a bus by now, in another namespace, that tells of no process by a pidfd."""
    from _socket import SOCK_STREAM

    for place in places:
        probe = prober(int(SOCK_STREAM))
        try:
            probe.connect(place)
            if not is_elsewhere(probe.fileno()):
                return
        except OSError:
            continue  # not there yet, or not to be asked just now
        finally:
            probe.close()
        if not _gives_pidfds(place):
            raise Failure(f"{what}: {NO_PIDFD}: {INSTEAD}")
        return


def _gives_pidfds(place: str) -> bool:
    """Whether it tells of us by a pidfd, as far as can be seen in a few seconds. Raises OSError."""
    pid = posix.fork()
    if pid == 0:
        code = 0
        try:
            _signal.signal(_signal.SIGALRM, _signal.SIG_DFL)
            _signal.pthread_sigmask(_signal.SIG_UNBLOCK, {_signal.SIGALRM})
            _signal.setitimer(_signal.ITIMER_REAL, PATIENCE_S)
            code = int(find(place, "") == NOT_SAID)
        except Exception:  # noqa: S110 (who watches will say what the bus says)
            pass
        finally:
            posix._exit(code)
    try:
        status = posix.waitpid(pid, 0)[1]
    except ChildProcessError:
        return True  # SIGCHLD is ignored: nobody knows
    return not posix.WIFEXITED(status) or posix.WEXITSTATUS(status) == 0
