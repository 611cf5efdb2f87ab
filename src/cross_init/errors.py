"""What is said to whoever started us: one line on standard error for what goes wrong; answers on standard output.

Nothing that is said holds anybody up. Whoever reads standard error may be stuck, and a daemon is watched, ended and
passed signals all the same: a line that is not taken is dropped, counted, and the number said with the next one. Only
who fails before there is a daemon gives it a moment.
"""

import posix

NAME = "cross-init-bridge"

# Exit codes as env(1) and nice(1) have them.
FAILED, CANNOT_RUN, NOT_FOUND = 125, 126, 127


class Failure(Exception):
    """Our own failure: one line that says what was tried, on what, why it failed and what to do.

    code: the exit code, FAILED, CANNOT_RUN or NOT_FOUND.
    """

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.code = code


class Stopped(Exception):
    """The init has told the service to stop before there was one. number: by this signal."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def why(error: OSError) -> str:
    """What a system call failed of, and what to do if that is known."""
    import errno

    hints = {  # what a sandbox or a limit makes fail anywhere, and what to do
        errno.EMFILE: "raise the limit on open files (ulimit -n; systemd: LimitNOFILE=)",
        errno.ENFILE: "too many are open on this machine",
        errno.EAFNOSUPPORT: "allow UNIX sockets (systemd: AF_UNIX in RestrictAddressFamilies=)",
        errno.ENOSPC: "make room there",
        errno.EROFS: "it cannot be written to here",
        errno.EFBIG: "raise the limit on the size of files (ulimit -f; systemd: LimitFSIZE=)",
    }
    hint = hints.get(error.errno or 0)
    return f"{error.strerror or error}{f'; {hint}' if hint else ''}"


AT_ONCE = 4096  # bytes: PIPE_BUF, which a pipe takes whole or not at all (pipe(7))
PATIENCE_MS = 1000  # of a process that fails, for its last line
dropped = 0  # lines, since the last that was taken
standard_error = 2  # who looks after several services writes to each one's own


def print_error(message: str, code: int) -> int:
    """Say what went wrong, in one line, and return the exit code. 0: this process goes on, and waits for nobody."""
    global dropped
    patience_ms = PATIENCE_MS if code else 0
    if (dropped and not say_what_was_dropped(patience_ms)) or not say(f"{NAME}: {printable(message)}", patience_ms):
        dropped += 1
    return code


def say_what_was_dropped(patience_ms: int = 0) -> bool:
    """Say how many lines were not taken, if there were any; whether that was taken."""
    global dropped
    if not dropped:
        return True
    if not say(f"{NAME}: ({dropped} lines left out: nobody took what is written to standard error)", patience_ms):
        return False
    dropped = 0
    return True


def say(line: str, patience_ms: int = 0) -> bool:
    """Write a line to standard error; False if it was not taken in this time.

    Of one that is too long for a pipe to take it whole the middle is left out: the reason stands at the end.
    """
    data = f"{line}\n".encode("utf-8", "backslashreplace")
    if len(data) > AT_ONCE:
        data = data[: AT_ONCE // 2 - 5] + b" ... " + data[-AT_ONCE // 2 :]
    try:
        written = write_nowait(standard_error, data)
        if written == len(data):
            return True
        from cross_init.kernel.nonblocking import write_all

        return write_all(standard_error, data[written or 0 :], patience_ms)
    except OSError:
        return True  # nobody listens any more; the exit code still tells
    except (ImportError, MemoryError):  # no descriptor left to load it by, say; who watches somebody has it already
        posix.write(standard_error, data)
        return True


def write_nowait(fd: int, data: bytes) -> int | None:
    """Write without waiting, as the kernel has it for some files; None if not for this one (pwritev2(2), RWF_NOWAIT).

    Returns how many bytes it were, 0 if nobody takes any now. Raises OSError.
    """
    try:
        return posix.pwritev(fd, (data,), -1, posix.RWF_NOWAIT)
    except BlockingIOError:
        return 0
    except (AttributeError, NotImplementedError):  # this Python was built without
        return None
    except OSError as error:
        import errno

        if error.errno in (errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM, errno.EINVAL, errno.ESPIPE):
            return None
        raise


def print_unexpected(error: BaseException, code: int = FAILED) -> int:
    """Say what an error was that nobody caught, in one line as well, and return the exit code."""
    module = unloaded(error)
    if module:
        said = f"loading {module}: {error}; are its files there and readable? Install python3, or this program, anew"
    elif isinstance(error, OSError):
        said = f"a system call failed, at {place_of(error)}: {why(error)}"
    else:
        said = f"a mistake in {NAME} itself, at {place_of(error)}: {error!r}; please report it"
    return print_error(said, code)


def unloaded(error: BaseException) -> str:
    """The module that could not be loaded, if that is what this error comes from; else "".

    The import system takes a file that it cannot look at for one that is not there; and a folder whose __init__.py is
    such a file for a package without one, which has nothing in it (importlib.machinery.NamespaceLoader).
    """
    if isinstance(error, ImportError):
        return error.name or "a module"
    obj = getattr(error, "obj", None) if isinstance(error, AttributeError) else None
    return obj.__name__ if isinstance(obj, type(posix)) and getattr(obj, "__file__", "") is None else ""


def place_of(error: BaseException) -> str:
    """The line where it came up."""
    place, where = error.__traceback__, ""
    while place is not None:
        where = f"{place.tb_frame.f_code.co_filename.rpartition('/')[2]}:{place.tb_lineno}"
        place = place.tb_next
    return where


def printable(text: str) -> str:
    """The text on one line: the words of a command line in it must not forge lines or move a terminal's cursor."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def write_out(text: str) -> int:
    """Write this to standard output; returns the exit code 0. Raises OSError."""
    data = text.encode("utf-8", "backslashreplace")
    try:
        while data:
            try:
                data = data[posix.write(1, data) :]
            except BlockingIOError:  # somebody else has made it so; a person waits for all of it
                from cross_init.kernel.nonblocking import is_writable

                is_writable(1, -1)
    except OSError as error:
        raise Failure(f"writing to standard output: {why(error)}") from None
    return 0
