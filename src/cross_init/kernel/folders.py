"""Folders that others may have a hand in: what is looked at is what is used, as both go through one descriptor.

Between a look at a path and its use, who owns a folder on the way to it can put something else there, a link as well.
So a folder is opened by a descriptor that only means it (O_PATH, open(2)); its owner and kind are the descriptor's, and
what is in it is reached by the ...at calls. Raises OSError wherever something cannot be had.
"""

import posix

from cross_init.kernel.linux import is_private, read

HERE = posix.O_PATH | posix.O_NOFOLLOW | posix.O_CLOEXEC
AS_FILE = posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_NONBLOCK | posix.O_NOCTTY | posix.O_CLOEXEC
KIND, FOLDER, LINK, SOCKET, REGULAR = 0o170000, 0o040000, 0o120000, 0o140000, 0o100000  # inode(7)
FIFO = 0o010000
ENTRIES_MOST = 1 << 20  # of one folder
LINKS_MAX = 40  # as many as the kernel follows (path_resolution(7))


def open_folder(path: str, make: int | None = None) -> int:
    """A descriptor of the folder at this absolute path. No link of another user's, but root's, is followed to it.

    make: the rights of those that are not there yet and are to be made, whatever the umask is; None: none is made.
    """
    parts = path.split("/")[::-1]
    links = 0
    folder = posix.open("/", HERE | posix.O_DIRECTORY)
    try:
        while parts:
            name = parts.pop()
            if name in ("", "."):
                continue
            found = posix.open(name, HERE, dir_fd=folder) if make is None else _found_or_made(name, make, folder)
            try:
                status = posix.fstat(found)
                if status.st_mode & KIND == LINK:
                    links += 1
                    if status.st_uid not in (0, posix.geteuid()):
                        raise PermissionError(1, f"{name} on the way there is another user's link")
                    if links > LINKS_MAX:
                        raise OSError(40, posix.strerror(40))  # ELOOP
                    target = posix.readlink("", dir_fd=found)
                    parts += target.split("/")[::-1]
                    if target.startswith("/"):
                        posix.close(folder)
                        folder = posix.open("/", HERE | posix.O_DIRECTORY)
                    continue
                if status.st_mode & KIND != FOLDER:
                    raise NotADirectoryError(20, posix.strerror(20))
                folder, found = found, folder
            finally:
                posix.close(found)
    except BaseException:
        posix.close(folder)
        raise
    return folder


def _found_or_made(name: str, mode: int, at: int) -> int:
    """A descriptor of what has this name in the folder at: a new folder, if there was nothing."""
    try:
        return posix.open(name, HERE, dir_fd=at)
    except FileNotFoundError:
        before = posix.umask(0)
        try:
            posix.mkdir(name, mode, dir_fd=at)
        except FileExistsError:
            pass  # another start was first
        finally:
            posix.umask(before)
    return posix.open(name, HERE, dir_fd=at)


def folder_of(path: str, make: int | None = None) -> tuple[int, str]:
    """The folder that this absolute path is in, and the name there. make: see open_folder()."""
    folder, _, name = path.rpartition("/")
    return open_folder(folder or "/", make), name


def open_file(name: str, folder: int) -> int:
    """Open what has this name in this folder, to be read, if it is a file; no link is followed.

    Opening a device may do something, and a FIFO may wait: so only what was seen to be a file is opened.
    """
    found = posix.open(name, HERE, dir_fd=folder)
    try:
        if posix.fstat(found).st_mode & KIND != REGULAR:
            raise OSError(22, "it is a link, or no file at all")
        try:
            return posix.open(f"/proc/self/fd/{found}", posix.O_RDONLY | posix.O_CLOEXEC)
        except FileNotFoundError:  # there is no /proc
            return posix.open(name, AS_FILE, dir_fd=folder)
    finally:
        posix.close(found)


def remove_socket(folder: int, name: str) -> None:
    """Remove the socket of this name in this folder; what else may stand there by now stays."""
    if posix.stat(name, dir_fd=folder, follow_symlinks=False).st_mode & KIND == SOCKET:
        posix.unlink(name, dir_fd=folder)


def private_folder(name: str, user: int, at: int) -> int:
    """A descriptor of the folder of this name in the folder at, if only this user can make anything in it."""
    folder = posix.open(name, HERE | posix.O_DIRECTORY, dir_fd=at)
    if not is_private(folder, user):
        posix.close(folder)
        raise PermissionError(1, "others may write there")
    return folder


def names(folder: int, most: int) -> list[str]:
    """What is in it, so many names at most."""
    readable = posix.open(".", posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC, dir_fd=folder)
    found: list[str] = []
    try:
        with posix.scandir(readable) as entries:
            for entry in entries:
                if len(found) == most:
                    break
                found.append(entry.name)
    finally:
        posix.close(readable)
    return found


def remove(name: str, parent: int) -> None:
    """Remove what has this name in the folder parent, with all that is in it. Raises OSError."""
    if posix.stat(name, dir_fd=parent, follow_symlinks=False).st_mode & KIND != FOLDER:
        posix.unlink(name, dir_fd=parent)
        return
    inside = posix.open(name, HERE | posix.O_DIRECTORY, dir_fd=parent)
    try:
        for each in names(inside, ENTRIES_MOST):
            remove(each, inside)
    finally:
        posix.close(inside)
    posix.rmdir(name, dir_fd=parent)


def mount_of(fd: int) -> str:
    """The number of the mount that it is on (proc_pid_fdinfo(5)); this asks the kernel and no file system's server."""
    from cross_init.kernel.procfs import field

    return field(f"/proc/self/fdinfo/{fd}", "mnt_id")


def is_served_by_a_process(mount: str) -> bool:
    """Whether this mount is one whose answers a process of a user's gives, who need not give any (fuse(4)), or gone."""
    if not mount:
        return True
    for line in read("/proc/self/mountinfo", 1 << 24).split("\n"):  # proc_pid_mountinfo(5): blanks are escaped there
        if line.partition(" ")[0] == mount:
            return line.partition(" - ")[2].startswith("fuse")
    return True


def make_private(folder: str, user: int, mode: int) -> bool:
    """Whether it is private (linux.is_private()); with these rights it is made, if nothing is there. Raises OSError."""
    try:
        posix.mkdir(folder, mode)
        posix.chmod(folder, mode)  # whatever the umask is
    except FileExistsError:
        pass
    return is_private(folder, user)
