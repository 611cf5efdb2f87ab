"""cross-init status --watch: the answer, again and again, each in the place of the last one, until a signal ends us.

Nothing of the terminal is set, so nothing has to be set back, whatever ends us: what stood there before stays, and the
last answer too. Each answer is found by a process of its own, as one who asks strangers lets nothing of theirs go
before its end (status_client.py).
"""

import _signal
import posix
from errno import EIO
from select import POLLOUT, poll

from cross_init.commands.front_door import NAME, write
from cross_init.errors import Failure, printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Answer = Callable[[], tuple[int, str, list[str]]]

REFRESH_S = 1.0
WINDOW = {_signal.SIGWINCH, _signal.SIGCONT}  # type: ignore[attr-defined] # it has another size; or a shell has written in the meantime
UP, BELOW, ALL = "\x1b[{}A", "\x1b[J", "\x1b[H\x1b[2J"  # so many lines; clear what is below; or all (console_codes(4))
CUT, WRAP = "\x1b[?7l", "\x1b[?7h"  # what is too long for a line
DUMB = (b"", b"dumb")  # terminals that know none of these
LONGEST = 65536


def watch(answer: "Answer") -> tuple[int, str]:
    """Show it until the terminal has gone. answer: the exit code, the text, remarks. Raises Failure, OSError."""
    _signal.signal(_signal.SIGPIPE, _signal.SIG_DFL)  # as any program that writes to "head"
    _signal.signal(_signal.SIGCHLD, _signal.SIG_IGN)  # nobody waits for one that is stuck in its end
    show = in_place() if posix.isatty(1) and posix.environ.get(b"TERM", b"") not in DUMB else one_by_one()
    _signal.pthread_sigmask(_signal.SIG_BLOCK, WINDOW)
    is_new = False
    while True:
        said = found(answer)
        try:
            if said:
                show(said[0], said[1:], is_new)
        except OSError as error:
            if error.errno == EIO:
                return 1, ""  # the terminal has gone
            raise
        is_new = _signal.sigtimedwait(WINDOW, REFRESH_S) is not None


def found(answer: "Answer") -> list[str]:
    """The text, and the remarks, as a process of its own finds them; nothing if that one was ended. Raises Failure."""
    read, told = posix.pipe()
    child = posix.fork()
    if child == 0:
        try:
            _signal.pthread_sigmask(_signal.SIG_UNBLOCK, WINDOW)
            posix.close(read)
            try:
                _, text, remarks = answer()
                parts = ["", text, *remarks]
            except Failure as failure:
                parts = [str(failure.code), str(failure)]
            send(told, "\0".join(parts).encode("utf-8", "surrogateescape"))
            posix.close(told)  # its end may take its time
        finally:
            posix._exit(0)
    posix.close(told)
    data = b""
    while part := posix.read(read, LONGEST):
        data += part
    posix.close(read)
    if not data:
        return []
    failed, *said = data.decode("utf-8", "surrogateescape").split("\0")
    if failed:
        raise Failure(said[0], int(failed))
    return said


def send(fd: int, data: bytes) -> None:
    """All of it, whatever another program has set there. Raises OSError."""
    while data:
        try:
            data = data[posix.write(fd, data) :]
        except BlockingIOError:
            takes = poll()
            takes.register(fd, POLLOUT)
            takes.poll()


def one_by_one() -> "Callable[[str, list[str], bool], None]":
    """For a file, a pipe, and a terminal that can do nothing: each answer that is not the last one, below that."""
    shown: list[str] = ["", ""]

    def show(text: str, remarks: list[str], is_new: bool) -> None:
        said = "".join(f"{NAME}: {printable(remark)}\n" for remark in remarks)
        if text != shown[0]:
            send(1, f"{text}\n".encode("utf-8", "backslashreplace"))
        if said and said != shown[1]:
            write(2, said[:-1])
        shown[:] = text, said

    return show


def in_place() -> "Callable[[str, list[str], bool], None]":
    """For a terminal: as much as it has room for, over what was shown last."""
    shown: list[list[str]] = [[]]

    def show(text: str, remarks: list[str], is_new: bool) -> None:
        size = posix.get_terminal_size(1)
        lines = fitting(text.split("\n"), remarks, size.columns, size.lines)
        if lines == shown[0] and not is_new:
            return
        begin = ALL if is_new else f"\r{UP.format(len(shown[0]))}{BELOW}" if shown[0] else "\r"
        body = "".join(f"{line}\n" for line in lines)
        send(1, f"{begin}{CUT}{body}{WRAP}".encode("utf-8", "backslashreplace"))
        shown[0] = lines

    return show


def fitting(table: list[str], remarks: list[str], columns: int, rows: int) -> list[str]:
    """What has room in a window of this size, with a line left for the cursor. 0: of a size that is not known. Pure."""
    columns, rows = columns or 80, rows or 24
    below = [
        text[at : at + columns]
        for text in (f"{NAME}: {printable(each)}" for each in remarks)
        for at in range(0, len(text), columns)
    ]
    room = max(rows - 1 - len(below), 1)
    if len(table) > room:
        table = [*table[: room - 1], f"... and {len(table) - room + 1} more"]
    return [line[:columns] for line in table] + below[: max(rows - 1 - room, 0)]
