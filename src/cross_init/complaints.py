"""What is said to whoever started us: one line on standard error for what goes wrong; answers on standard output."""

import posix

from cross_init.linux import why
from cross_init.model import FAILED, Failure

NAME = "cross-init-bridge"


def complain(message: str, code: int) -> int:
    """Say what went wrong, in one line, and return the exit code."""
    try:
        posix.write(2, f"{NAME}: {printable(message)}\n".encode())
    except OSError:
        pass  # nobody listens any more; the exit code still tells
    return code


def complain_of_mistake(error: Exception) -> int:
    """Say where an error that nobody expected came up, in one line as well, and return the exit code."""
    place, where = error.__traceback__, ""
    while place is not None:
        where = f"{place.tb_frame.f_code.co_filename.rpartition('/')[2]}:{place.tb_lineno}"
        place = place.tb_next
    return complain(f"a mistake in {NAME} itself, at {where}: {error!r}; please report it", FAILED)


def printable(text: str) -> str:
    """The text on one line: the words of a command line in it must not forge lines or move a terminal's cursor."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def write_out(text: str) -> int:
    """Write this to standard output; returns the exit code 0. Raises OSError."""
    data = text.encode("utf-8", "backslashreplace")
    try:
        while data:
            data = data[posix.write(1, data) :]
    except OSError as error:
        raise Failure(f"writing to standard output: {why(error)}") from None
    return 0
