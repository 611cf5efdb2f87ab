"""A program that is called beside the daemon and answers on its standard output; a slow one is ended."""

import _signal
import errno
import posix
from select import POLLIN, poll
from time import monotonic

from cross_init.kernel.linux import NO_PROCESS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.kernel.linux import Environment

ANSWER_S = 2.0  # how long it may take, also if it was stopped
PATH = b"/usr/bin:/bin:/usr/local/bin:/command"  # if the service has none
LONGEST = 1 << 20  # bytes of an answer
NOWHERE = -1  # in the place of a descriptor: /dev/null


def call(*words: str, stdin: int = 0, environ: "Environment | None" = None, complaints: bool = True) -> str:
    """Run this program and return what it says. Raises OSError if it fails, with its own last words.

    complaints: what it says on standard error belongs to that; else that is thrown away.
    """
    given = ((stdin, 0),) if stdin else ()
    news, tell = posix.pipe2(posix.O_CLOEXEC)
    try:
        try:
            pid = spawn(words, (*given, (tell, 1), (tell if complaints else NOWHERE, 2)), environ)
        finally:
            posix.close(tell)
        said = hear(news)
    finally:
        posix.close(news)
    if said is None:
        wait(pid, 0)
        raise no_answer(words[0])
    text = said.decode("utf-8", "surrogateescape")
    if wait(pid) != 0:
        raise OSError(errno.EIO, (text.strip().splitlines() or [f"{words[0]} failed"])[-1])
    return text


def spawn(
    words: tuple[str, ...], descriptors: tuple[tuple[int, int], ...], environ: "Environment | None" = None
) -> int:
    """Start a program with these (from, to) descriptors; returns its PID. Raises OSError."""
    actions: list[tuple[object, ...]] = [
        (posix.POSIX_SPAWN_OPEN, to, "/dev/null", posix.O_RDWR, 0)
        if source == NOWHERE
        else (posix.POSIX_SPAWN_DUP2, source, to)
        for source, to in descriptors
    ]
    given: Environment = {b"PATH": PATH, **(posix.environ if environ is None else environ)}
    try:
        return posix.posix_spawnp(words[0], words, given, file_actions=actions, setsigmask=())
    except BlockingIOError as error:  # EAGAIN: to who waits for news that would be that there is none yet
        raise OSError(errno.ENOMEM, f"{NO_PROCESS} ({error.strerror})") from None


def hear(news: int) -> bytes | None:
    """All that comes until the pipe's end; None if it does not come in time."""
    poller = poll()
    poller.register(news, POLLIN)
    end = monotonic() + ANSWER_S
    said = b""
    while len(said) < LONGEST:
        if not poller.poll(max(0.0, end - monotonic()) * 1000):
            return None
        part = posix.read(news, 65536)
        if not part:
            break
        said += part
    return said


def wait(pid: int, patience_s: float = ANSWER_S) -> int:
    """Wait for the end of a program for so long, and then give it one.

    Returns its wait status, 0 where somebody has it thrown away (SIGCHLD ignored).
    """
    try:
        pidfd = posix.pidfd_open(pid)
        try:
            poller = poll()
            poller.register(pidfd, POLLIN)
            if not poller.poll(patience_s * 1000):
                _signal.pidfd_send_signal(pidfd, _signal.SIGKILL)
        finally:
            posix.close(pidfd)
        return posix.waitpid(pid, 0)[1]
    except (ChildProcessError, ProcessLookupError):
        return 0


def no_answer(program: str) -> OSError:
    """What is raised where a program says nothing."""
    return TimeoutError(errno.ETIMEDOUT, f"{program} has said nothing for {ANSWER_S:g} s, and was ended")
