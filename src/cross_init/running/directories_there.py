"""A service's own folders that were there in another form: elsewhere, as a link, another user's (directories.py)."""

import posix

from cross_init.errors import print_error
from cross_init.kernel.folders import (
    ENTRIES_MOST,
    FOLDER,
    HERE,
    KIND,
    LINK,
    folder_of,
    names,
    open_folder,
    private_folder,
)
from cross_init.running.directories import HIDDEN, HIDDEN_RIGHTS, PARENTS


def hide(base: str, path: str, is_inside: bool) -> None:
    """Have a link there to the one in HIDDEN, which is what was there before, if it was a folder.

    is_inside: it is in another one of the service's, which has that link.
    """
    posix.close(private_folder_in(base))
    hidden, name = folder_of(f"{base}/{HIDDEN}/{path}", PARENTS)
    shown, _ = folder_of(f"{base}/{path}", PARENTS)
    try:
        is_there = _status(name, hidden) is not None
        before = _status(name, shown)
        if not is_there and before is not None and before.st_mode & KIND == FOLDER and not is_inside:
            posix.rename(name, name, src_dir_fd=shown, dst_dir_fd=hidden)
            print_error(f"{base}/{path}: it is in {base}/{HIDDEN} from now on (DynamicUser=)", 0)
        if not is_inside:
            link(base, path, f"{HIDDEN}/{path}")
    finally:
        posix.close(hidden)
        posix.close(shown)


def private_folder_in(base: str) -> int:
    """A descriptor of HIDDEN, which is made if it is not there."""
    folder = open_folder(base, PARENTS)
    try:
        try:
            posix.mkdir(HIDDEN, HIDDEN_RIGHTS, dir_fd=folder)
        except FileExistsError:
            pass
        return private_folder(HIDDEN, posix.geteuid(), folder)
    finally:
        posix.close(folder)


def show(base: str, path: str) -> None:
    """The other way round: if a link to the one in HIDDEN is there, that comes back to its place."""
    try:
        shown, name = folder_of(f"{base}/{path}")
    except OSError:
        return  # nor is it there, then
    try:
        before = _status(name, shown)
        if before is None or before.st_mode & KIND != LINK:
            return
        hidden, _ = folder_of(f"{base}/{HIDDEN}/{path}")
        try:
            target, there = posix.stat(name, dir_fd=shown), _status(name, hidden)
            if there is not None and (target.st_dev, target.st_ino) == (there.st_dev, there.st_ino):
                posix.unlink(name, dir_fd=shown)
                posix.rename(name, name, src_dir_fd=hidden, dst_dir_fd=shown)
                print_error(f"{base}/{path}: it is no longer in {base}/{HIDDEN}", 0)
        finally:
            posix.close(hidden)
    except FileNotFoundError:
        pass  # it is another link
    finally:
        posix.close(shown)


def _status(name: str, folder: int) -> "posix.stat_result | None":
    """What has this name in this folder, if anything has."""
    try:
        return posix.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def own_all(fd: int, owner: tuple[int, int], before: int) -> None:
    """Give away all that is in this folder, which was this user's before; of what is linked elsewhere the link alone.

    A file with a second name that is not that user's may be anybody's, and stays whose it is.
    """
    for name in names(fd, ENTRIES_MOST):
        found = posix.open(name, HERE, dir_fd=fd)
        try:
            status = posix.fstat(found)
            if status.st_mode & KIND == FOLDER:
                own_all(found, owner, before)
            elif status.st_nlink > 1 and status.st_uid != before:
                continue
            posix.chown(f"/proc/self/fd/{found}", *owner)  # this very one, whatever has its name by now
        finally:
            posix.close(found)


def link(base: str, path: str, target: str) -> None:
    """A link to a folder, both in the folder base, as systemd makes one for NAME:LINK."""
    parent, name = folder_of(f"{base}/{path}", PARENTS)
    relative = "../" * path.count("/") + target
    try:
        posix.symlink(relative, name, dir_fd=parent)
    except FileExistsError:
        if not _leads_to(name, parent, (relative, f"{base}/{target}")):
            raise
    finally:
        posix.close(parent)


def _leads_to(name: str, folder: int, targets: tuple[str, ...]) -> bool:
    """Whether it is a link to one of these."""
    try:
        return posix.readlink(name, dir_fd=folder) in targets
    except OSError:
        return False  # it is no link
