"""Small files that others read: written under another name, and moved to their place by a descriptor of the folder.

Readers see what was there or what is written, never a part. Others may make and rename things in the folder: the other
name is one that nobody knows before, and what stands in the place gives way, a link as well.
"""

import posix
from time import time

from cross_init.kernel.folders import folder_of, names
from cross_init.kernel.linux import is_private
from cross_init.kernel.procfs import is_marked_by_living, own_mark

ENDING = ".cross-init"  # of the other names: .PID-START-RANDOM.cross-init
NEW = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_NOFOLLOW | posix.O_CLOEXEC
UNFINISHED_S = 60
MOST = 10_000  # names in a folder that are looked at


def write_whole(path: str, data: bytes, mode: int) -> None:
    """Let the file at this absolute path hold this and have this mode. Raises OSError."""
    folder, name = folder_of(path)
    try:
        made = f".{own_mark()}{posix.urandom(8).hex()}{ENDING}"
        file = posix.open(made, NEW, mode, dir_fd=folder)
        try:
            posix.fchmod(file, mode)  # whatever the umask is
            posix.write(file, data)
            posix.rename(made, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            posix.unlink(made, dir_fd=folder)
            raise
        finally:
            posix.close(file)
        sweep(folder)
    finally:
        posix.close(folder)


def sweep(folder: int) -> None:
    """Remove what processes have left here that were killed; only where nobody else could have put it there."""
    if not is_private(folder, posix.geteuid()):
        return
    try:
        for name in names(folder, MOST):
            if not (name.startswith(".") and name.endswith(ENDING)) or is_marked_by_living(name[1:]):
                continue
            age = time() - posix.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime
            if age >= UNFINISHED_S:  # before, one of another PID namespace may be at it
                posix.unlink(name, dir_fd=folder)
    except OSError:
        pass  # somebody was faster, or it is not for us to read
