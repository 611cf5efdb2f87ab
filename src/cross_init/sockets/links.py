"""Links that lead to a socket's or a FIFO's path (--listen ...,symlink=): other names for it.

As systemd has it (systemd.socket(5), Symlinks=): a link that is there and leads there already is taken, another thing
in its place stays, unless the path is to be removed at the end. That one cannot be made is said, and no failure.
"""

import posix

from cross_init.errors import print_error, why
from cross_init.kernel.folders import folder_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.sockets.address import Address


def make(address: "Address") -> None:
    """All of this address's."""
    for path in address.options.symlinks:
        try:
            folder, name = folder_of(path, address.options.folder_mode)
            try:
                _make(address, folder, name)
            finally:
                posix.close(folder)
        except OSError as error:
            print_error(f"{address.said}: symlink {path}: {why(error)}; the socket is there without it", 0)


def _make(address: "Address", folder: int, name: str) -> None:
    try:
        posix.symlink(address.path, name, dir_fd=folder)
    except FileExistsError:
        if leads_to(folder, name, address.path):
            return
        if not address.options.remove_on_stop:
            raise
        posix.unlink(name, dir_fd=folder)
        posix.symlink(address.path, name, dir_fd=folder)


def is_link(path: str, target: str) -> bool:
    """Whether there is a link at this path, which leads to the target."""
    try:
        folder, name = folder_of(path)
    except OSError:
        return False
    try:
        return leads_to(folder, name, target)
    finally:
        posix.close(folder)


def leads_to(folder: int, name: str, path: str) -> bool:
    """Whether this is a link, and to this path."""
    try:
        return posix.readlink(name, dir_fd=folder) == path
    except OSError:
        return False
