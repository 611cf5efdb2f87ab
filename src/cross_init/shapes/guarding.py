"""The guard's own process (guard.py says what it is for): what it does when it is told something, or we are gone.

All that it needs is imported at its start: when the bridge is gone, its modules may be as well.
"""

import _signal
import _socket
import posix
import sys
from select import POLLIN, poll

from cross_init.errors import why
from cross_init.kernel.linux import retry_transient
from cross_init.kernel.pidfds import send
from cross_init.kernel.procfs import is_descendant, process_of, variables
from cross_init.model import HEARD_S
from cross_init.shapes.guard import ASK, FOLLOW, GOODBYE, LOOK, MARK, NO, YES
from cross_init.watch.detach import detach
from cross_init.watch.log import Reporter

PASSES = 5  # what is killed may have started another one just before

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.launch import Start


def run(bridge: _socket.socket, start: "Start", bridge_pid: int, bridge_pidfd: int) -> None:
    """The guard's whole life. The bridge may have been killed before it begins."""
    detach({bridge.fileno(), bridge_pidfd})
    mains: list[int] = []  # the main process, and those that were it and still live
    said_something = poll()
    said_something.register(bridge.fileno(), POLLIN)
    wait_ms: float | None = None
    while True:
        if not retry_transient(said_something.poll, wait_ms):
            wait_ms = None
            _look(start, bridge_pid, bridge_pidfd)
            continue
        try:
            said, extra, _, _ = retry_transient(bridge.recvmsg, 16, _socket.CMSG_SPACE(4))
        except ConnectionResetError:  # gone, with an answer of ours that it has not read
            said, extra = b"", []
        if said[:1] == FOLLOW and extra:
            mains = [*living(mains), int.from_bytes(extra[0][2][:4], sys.byteorder)]
        elif said == LOOK:
            wait_ms = HEARD_S * 1000
        elif said[:1] == ASK:
            has = said[1] in _signal.sigpending()
            if has:
                _signal.sigtimedwait((said[1],), 0)
            try:
                bridge.send(YES if has else NO, _socket.MSG_NOSIGNAL | _socket.MSG_DONTWAIT)
            except OSError:
                pass  # killed meanwhile, which we are about to hear
        elif said == GOODBYE:
            return
        elif not said:
            for main in mains:
                _end_all(main)
            if start.unit is not None and start.unit.group is not None:
                start.unit.group.kill()
                start.unit.group.remove()
            if MARK in start.environ:
                _end_marked(b"\0%b=%b\0" % (MARK, start.environ[MARK]))
            return


def living(pidfds: list[int]) -> list[int]:
    """Those of them whose processes have not ended; closes the rest."""
    look = poll()
    for pidfd in pidfds:
        look.register(pidfd, POLLIN)
    ended = {pidfd for pidfd, _ in retry_transient(look.poll, 0)}
    for pidfd in ended:
        posix.close(pidfd)
    return [pidfd for pidfd in pidfds if pidfd not in ended]


def _end_all(main: int) -> None:
    """SIGKILL for this process and those below it: its workers would not notice that it is gone. main: a pidfd."""
    send(main, _signal.SIGSTOP)  # it must not start another one meanwhile
    pid = process_of(main) or 0
    family = [main]
    for name in posix.listdir("/proc") if pid else ():
        if name.isdigit() and int(name) not in (pid, posix.getpid()) and is_descendant(int(name), pid):
            try:
                pidfd = posix.pidfd_open(int(name))
            except OSError:
                continue  # it has ended
            if is_descendant(int(name), pid):  # only now that the number cannot become another process's
                family.append(pidfd)
    for each in family:
        send(each, _signal.SIGKILL)


def _end_marked(mark: bytes) -> None:
    """SIGKILL for what has this variable, until there is nothing: a daemon that was just forking away.

    What has overwritten its variables, as some do to show a title, or is not for us to look at, is not found.
    """
    for _ in range(PASSES):
        found = [
            pidfd for name in posix.listdir("/proc") if name.isdigit() and (pidfd := _marked(int(name), mark)) >= 0
        ]
        for pidfd in found:
            send(pidfd, _signal.SIGKILL)
            posix.close(pidfd)
        if not found:
            return


def _marked(pid: int, mark: bytes) -> int:
    """A pidfd of this process, if it has the mark; else -1."""
    try:
        if mark not in b"\0" + variables(pid):
            return -1
        pidfd = posix.pidfd_open(pid)
    except OSError:
        return -1  # it has ended, or is not for us to look at
    try:
        if mark in b"\0" + variables(pid):  # only now the number cannot become another process's
            return pidfd
    except OSError:
        pass
    posix.close(pidfd)
    return -1


def _look(start: "Start", pid: int, pidfd: int) -> None:
    """Whether the init has heard that the bridge is ready; if not, mend it."""
    reporter = Reporter(str(start.service), pid, False)
    try:
        advice = start.init.check_heard(start.service, pid, pidfd)
    except OSError as error:
        advice = f"looking whether {start.init.called} has heard that it is ready failed: {why(error)}"
    if advice:
        reporter.say(advice)
    reporter.close()
