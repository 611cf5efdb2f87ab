"""A start waits for what the last start of the same service has left to be ended: its port is free only then.

From beside the daemon nobody can keep the init from starting it anew at once. So a watcher that will end what is left
has a file beside the notification sockets, in a folder named after the service, so that a start need not look at those
of all others. It is named after the watcher and the daemon: a watcher that lives and whose daemon does not is at it.
That is waited for, for as long as it may take. The file is empty: its name is all, and what was left by watchers that
were killed is removed by the next one.
"""

import posix
from select import POLLIN, poll
from time import monotonic

from cross_init.bounds import as_pid
from cross_init.errors import print_error
from cross_init.kernel.procfs import is_marked_by_living, own_mark, start_of_living
from cross_init.readiness.notify_socket import WATCHED, socket_folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.launch import Start

SLACK_S = 6.0  # for SIGKILL to have its effect
SAID_S = 1.0  # after which it is said
TRIES = 3  # to make a file in a folder that somebody else removes as it is empty
LOOK_S = 0.05  # until it is looked again: a resident does not end with that, but removes its file


def note(start: "Start", pid: int, started: str, tidies: bool = True) -> str:
    """In the watcher of this daemon: let the next start know; the path, "" where there is no folder for it.

    started: when the daemon was, as start_time() says it. tidies: and remove what killed watchers have left.
    """
    base = socket_folder()
    if not base:
        return ""
    try:
        if tidies:
            sweep(base)
        folder = f"{base}/{WATCHED}{start.trace}"
        path = f"{folder}/{own_mark()}{pid}-{started}"
        for _ in range(TRIES):
            try:
                posix.mkdir(folder, 0o700)
            except FileExistsError:
                pass
            try:
                posix.close(
                    posix.open(path, posix.O_CREAT | posix.O_WRONLY | posix.O_CLOEXEC | posix.O_NOFOLLOW, 0o600)
                )
            except FileNotFoundError:
                continue
            return path
    except OSError:
        pass
    return ""  # then the next start may have to be tried twice


def forget(path: str) -> None:
    """It is all over."""
    if path:
        try:
            posix.unlink(path)
        except OSError:
            pass  # gone already
        remove_if_empty(path.rpartition("/")[0])


def remove_if_empty(folder: str) -> None:
    """The folder of a service that nobody watches any more."""
    try:
        posix.rmdir(folder)
    except OSError:
        pass  # another one of the service is there, or it is gone already


def wait(start: "Start", names: list[str]) -> None:
    """Wait for watchers of this service's earlier daemons that are still ending something. names: of their files."""
    folder = f"{socket_folder()}/{WATCHED}{start.trace}"
    until = monotonic() + start.request.stop_timeout + SLACK_S
    said = monotonic() + SAID_S
    for mark in names:
        while _is_ending(mark) and posix.access(f"{folder}/{mark}", posix.F_OK) and monotonic() < until:
            if monotonic() > said:
                said = until
                print_error(
                    f"starting {start.service}: waiting for what its last start has left to end (--stop-timeout)", 0
                )
            _await_end(as_pid(mark.partition("-")[0]) or 0, min(until - monotonic(), LOOK_S))


def _is_ending(mark: str) -> bool:
    """Whether this watcher lives, and its daemon does not."""
    *_, pid, started = mark.split("-")
    number = as_pid(pid)
    return is_marked_by_living(mark) and number is not None and start_of_living(number) != started


def _await_end(watcher: int, seconds: float) -> None:
    """Until this process has ended, or this time is over."""
    try:
        pidfd = posix.pidfd_open(watcher)
    except OSError:
        return
    ends = poll()
    ends.register(pidfd, POLLIN)
    ends.poll(seconds * 1000)
    posix.close(pidfd)


def sweep(base: str) -> None:
    """Remove the files of watchers that were killed. Raises OSError."""
    for name in posix.listdir(base):
        if name.startswith(WATCHED):
            folder = f"{base}/{name}"
            try:
                marks = posix.listdir(folder)
            except OSError:
                continue  # gone already
            for mark in marks:
                if not is_marked_by_living(mark):
                    forget(f"{folder}/{mark}")
            remove_if_empty(folder)
