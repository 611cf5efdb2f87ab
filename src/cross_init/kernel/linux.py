"""What nearly every start asks of the kernel, and system calls whose failure needs a sentence."""

import posix

from cross_init.errors import Failure, why

Environment = dict[bytes, bytes]
SO_TIMESTAMPNS = 35  # socket(7); asm-generic/socket.h: the same number on every architecture that Python is built for
HIGH = 100  # more sockets than anybody passes
ROOM = 12  # descriptors: whoever watches a daemon was seen to need 9 of its own at once
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

NO_THREAD = "the kernel gave no thread for it; is a limit on processes or on memory reached?"
NO_MEMORY = "there is no memory left for it; raise the limit (ulimit -v; systemd: LimitAS=, MemoryMax=)"
NO_PROCESS = "the kernel gave no process for it; is a limit on processes reached?"


def read(path: str, most: int = 65536) -> str:
    """The text of a file in /proc, "" if it cannot be read; most: how many bytes of it."""
    try:
        return contents(path, most)
    except OSError:
        return ""


def pending_signals(pid: int) -> set[int]:
    """The signals that wait, blocked, for the process as a whole (proc_pid_status(5))."""
    waits = int(read(f"/proc/{pid}/status").partition("\nShdPnd:")[2].partition("\n")[0] or "0", 16)
    return {number for number in range(1, waits.bit_length() + 1) if waits >> (number - 1) & 1}


def read_for_decision(path: str) -> str:
    """The same of a file on which it depends what a start does: "" if it is not there, or hidden from us (hidepid=).

    Raises OSError if it cannot be known, also a moment later: no memory, no descriptor, a security module.
    """
    try:
        return contents(path)
    except (FileNotFoundError, ProcessLookupError, NotADirectoryError):
        return ""
    except OSError as error:
        import errno

        if error.errno == errno.EPERM:
            return ""
        if not is_transient(error):
            raise OSError(error.errno, error.strerror, path) from None
    return retry_transient(contents, path)  # type: ignore[no-any-return]


def contents(path: str, most: int = 65536) -> str:
    """The text of this file. Raises OSError."""
    fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    text = b""
    try:
        while len(text) < most and (part := posix.read(fd, most - len(text))):
            text += part
    finally:
        posix.close(fd)
    return text.decode("utf-8", "replace")


def reason(error: BaseException) -> str:
    """Why something failed, whatever it failed of."""
    if isinstance(error, MemoryError):
        return NO_MEMORY
    return why(error) if isinstance(error, OSError) else str(error) or repr(error)


def is_transient(error: BaseException) -> bool:
    """Whether the same may succeed in a moment: something was used up, or in the way just then."""
    import errno

    passing = (errno.EINTR, errno.EAGAIN, errno.ENOMEM, errno.ENOBUFS, errno.EMFILE, errno.ENFILE)
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in passing)


def need_pidfds() -> None:
    """See whether the kernel has them (pidfd_open(2)): whoever watches a daemon knows it by one. Raises Failure."""
    import _signal

    try:
        own = posix.pidfd_open(posix.getpid())
        try:
            _signal.pidfd_send_signal(own, 0)
        finally:
            posix.close(own)
    except OSError as error:
        advice = (
            ""
            if is_transient(error)
            else "; Linux 5.3 or newer is needed, and a sandbox has to allow pidfd_open and the like"
        )
        raise Failure(f"opening a pidfd, by which the daemon is watched: {why(error)}{advice}") from None


def need_descriptors() -> None:
    """See whether the limit on open files leaves room for whoever watches a daemon. Raises Failure.

    Found out later, it would be by a daemon that runs, and that nobody hears, follows, or could stop.
    """
    taken: list[int] = []
    try:
        while len(taken) < ROOM:
            taken.append(posix.dup(0))
    except OSError as error:
        raise Failure(f"opening the {ROOM} descriptors that watching the daemon may take: {why(error)}") from None
    finally:
        for fd in taken:
            posix.close(fd)


def working_directory(what: str) -> str:
    """The working directory. what: what needs it, as the user has written it. Raises Failure."""
    try:
        return posix.getcwd()
    except OSError as error:
        raise Failure(
            f"{what}: finding the working directory: {error.strerror}; was it removed? Start this in one that is there"
        ) from None


def absolute(path: str, what: str) -> str:
    """This path from the root on. what: as in working_directory(). Raises Failure."""
    return path if path.startswith("/") else f"{working_directory(what)}/{path}"


def dup_high(fd: int) -> int:
    """A copy of this descriptor, closed at exec, above all sockets that the daemon can be given from 3 on.

    Where the limit on open files is low: above all that can be laid out below it, as that takes twice as many.
    Raises OSError.
    """
    from fcntl import F_DUPFD_CLOEXEC, fcntl

    try:
        copy: int = fcntl(fd, F_DUPFD_CLOEXEC, HIGH)
    except OSError:
        most = posix.sysconf("SC_OPEN_MAX")
        copy = fcntl(fd, F_DUPFD_CLOEXEC, min(most // 2 + 2, most - 1))
    return copy


def open_null() -> int:
    """/dev/null, closed at exec; where there is none, a pipe that has ended. Raises OSError."""
    try:
        return posix.open("/dev/null", posix.O_RDWR | posix.O_CLOEXEC)
    except OSError:
        nothing, end = posix.pipe2(posix.O_CLOEXEC)
        posix.close(end)
        return nothing


def import_extension(name: str) -> None:
    """Have a module of the interpreter's at once, for which its own finders look through its folders.

    Where it is not among its compiled ones, whoever imports it then looks for it, or has it built in.
    """
    import sys
    from _imp import create_dynamic, exec_dynamic, extension_suffixes

    if name in sys.modules or not sys.path:  # as in the static file, which has it built in, or not at all
        return
    place = f"{sys.path[-1]}/{name}{extension_suffixes()[0]}"
    if posix.access(place, posix.R_OK):
        module = create_dynamic(type(sys.__spec__)(name, None, origin=place))
        exec_dynamic(module)
        sys.modules[name] = module


def is_private(folder: str | int, user: int) -> bool:
    """Whether it is a folder of this user's in which nobody else can make anything.

    By a path this counts only where nobody else can put something else in its place; else ask by a descriptor.
    """
    try:
        status = posix.fstat(folder) if isinstance(folder, int) else posix.lstat(folder)
    except OSError:
        return False
    return status.st_mode & 0o170000 == 0o040000 and status.st_uid == user and not status.st_mode & 0o022


def is_socket(fd: int) -> bool:
    """Whether this is the descriptor of a socket."""
    try:
        return posix.fstat(fd).st_mode & 0o170000 == 0o140000  # S_IFSOCK, inode(7)
    except OSError:
        return False


def is_pipe(fd: int) -> bool:
    """Whether this is the descriptor of a pipe."""
    try:
        return posix.fstat(fd).st_mode & 0o170000 == 0o010000  # S_IFIFO, inode(7)
    except OSError:
        return False


def fork(what: str) -> int:
    """posix.fork(). what: what the new process is for, in words. Raises Failure."""
    try:
        return posix.fork()
    except OSError as error:
        raise Failure(f"{what}: {NO_PROCESS} ({error.strerror})") from None


def retry_transient(call: "Callable[..., Any]", *words: object) -> "Any":
    """What this call returns, tried again for a second while it fails of what passes. Raises what it raises then."""
    from time import sleep

    for pause in (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64):
        try:
            return call(*words)
        except (OSError, MemoryError) as error:
            if not is_transient(error):
                raise
            sleep(pause)
    return call(*words)
