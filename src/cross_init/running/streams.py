"""Standard input, output and error of a service (systemd.exec(5), "Logging and Standard Input/Output").

What systemd would give to the journal or the kernel's log goes where the init has our standard output go: its log.
"""

import posix

from cross_init.errors import Failure, why
from cross_init.kernel.linux import open_null

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.definitions.definition import Definition

LOGS = ("journal", "kmsg", "syslog", "journal+console", "kmsg+console", "syslog+console")
MODE = 0o666
FILES = {  # how it is opened to be written to
    "file": posix.O_WRONLY | posix.O_CREAT,
    "append": posix.O_WRONLY | posix.O_CREAT | posix.O_APPEND,
    "truncate": posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC,
}
NOT_OURS = ("tty", "tty-force", "tty-fail", "console")  # terminals are a login's, and the init's


def lay_out(definition: "Definition", sockets: "dict[str, int]", has_input: bool) -> None:
    """Put them in their places. sockets: by their names. has_input: it may read from a terminal. Raises Failure."""
    context = definition.context
    is_terminal = context.standard_input.startswith("tty")
    standard_input = "null" if is_terminal and not has_input else context.standard_input
    log = posix.dup(1)
    given = posix.dup(0)
    try:
        for fd, field, words in (
            (0, "standard_input", standard_input),
            (1, "standard_output", context.standard_output),
            (2, "standard_error", context.standard_error),
        ):
            try:
                _place(definition, fd, words, log, given, sockets)
            except OSError as error:
                where = definition.where(field) or definition.files[0]
                name = {0: "StandardInput", 1: "StandardOutput", 2: "StandardError"}[fd]
                raise Failure(f"{where}: {name}={words}: {why(error)}") from None
    finally:
        posix.close(log)
        posix.close(given)


def _place(definition: "Definition", fd: int, words: str, log: int, given: int, sockets: "dict[str, int]") -> None:
    kind, _, rest = words.partition(":")
    if words == "inherit" and fd == 1 and definition.context.standard_input.startswith("tty"):
        _place(definition, fd, "tty", log, given, sockets)  # which may not be what it reads from
    elif words == "inherit":
        posix.dup2(fd - 1, fd)
        if fd == 1 and definition.context.standard_input == "null":
            posix.dup2(log, fd)
    elif words in LOGS:
        posix.dup2(log, fd)
    elif words == "socket":
        posix.dup2(next(iter(sockets.values()), given), fd)
    elif kind == "fd":
        name = rest or {0: "stdin", 1: "stdout", 2: "stderr"}[fd]
        if name not in sockets:
            raise OSError(2, f"no socket unit has FileDescriptorName={name}")
        posix.dup2(sockets[name], fd)
    else:
        opened = _opened(definition, fd, kind, rest)
        if opened != fd:
            posix.dup2(opened, fd)
            posix.close(opened)


def _opened(definition: "Definition", fd: int, kind: str, rest: str) -> int:
    if kind == "null":
        null = open_null()
        posix.set_inheritable(null, True)
        return null
    if kind == "data":
        return _data(definition.context.standard_input_data)
    if kind == "file" and fd == 0:
        return posix.open(rest, posix.O_RDONLY | posix.O_NOCTTY)
    if kind in FILES:
        before = posix.umask(definition.context.umask)
        try:
            return posix.open(rest, FILES[kind] | posix.O_NOCTTY, MODE)
        finally:
            posix.umask(before)
    from cross_init.running.terminals import acquire, open_terminal, path_of

    if fd == 0:
        return acquire(definition, kind)
    if definition.context.standard_input.startswith("tty") and posix.isatty(0):
        return posix.dup(0)
    return open_terminal(path_of(definition.context), posix.O_WRONLY)


def _data(data: bytes) -> int:
    """What can be read to its end (memfd_create(2))."""
    fd = posix.memfd_create("data-fd", 0)
    while data:
        data = data[posix.write(fd, data) :]
    posix.lseek(fd, 0, 0)
    return fd
