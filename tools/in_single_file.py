"""Where Python begins in the single file: what bin/cross-init-bridge is for a checkout.

The head has read the record of this interpreter's version, whose first part this is, and left it in __main__ with the
open file (make_single_file.py). What every start needs is in the record, too; the rest is read when it is asked for.
Also an older interpreter has to be able to read this, as modules of ours say that it is too old.
"""

import posix
import sys
from marshal import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType

given = vars(sys.modules["__main__"])
_, ALWAYS, PLACES = given["record"]
BEHIND = given["a"] + given["n"]  # where the others begin
del sys.argv[0]  # "-c"
FILE = sys.argv[0] if sys.argv[0][0] == "/" else f"{posix.getcwd()}/{sys.argv[0]}"


def identity(fd: int) -> "tuple[int, int, int, int]":
    """By which a file is known again. Raises OSError."""
    status = posix.fstat(fd)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


KNOWN = identity(given["file"].fileno())
given["file"].close()


def code_of(folder: str, name: str) -> "CodeType | None":
    """A module's code; None if there is no such module.

    Raises OSError, and ImportError if the file has been replaced: what stands in it now may not fit.
    """
    name = f"{folder[len(FILE) + 1 :]}/{name}"
    code = ALWAYS.pop(name, None) or stored(name)
    return compile(code, f"{FILE}/{name}.py", "exec", 0, True) if isinstance(code, str) else code


def stored(name: str) -> "CodeType | str | None":
    """What the file has of this module."""
    if name not in PLACES:
        return None
    offset, size = PLACES[name]
    fd = posix.open(FILE, posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        if identity(fd) != KNOWN:
            raise ImportError(f"{FILE} was replaced while this ran", name=name)
        found: CodeType | str = loads(posix.pread(fd, size, BEHIND + offset))
    finally:
        posix.close(fd)
    return found


start = sys.modules["cross_init.start"] = type(sys)("cross_init.start")
start.__file__ = f"{FILE}/cross_init/start.py"
exec(code_of(f"{FILE}/cross_init", "start"), vars(start))  # type: ignore[arg-type]
start.find_modules(code_of)
start.main(sys.argv)
