"""Sockets and FIFOs that get a path: the folder is made, the socket bound there, and its owner set.

The folder may be another user's, or in one of his: it is opened once (folders.py), and the owner is set by a descriptor
of the very file that we have made. A socket can only be bound by its path, which is what the kernel tells of it from
then on; so it is looked up in the folder afterwards. Raises OSError.
"""

import _socket
import errno
import posix

from cross_init.errors import Failure
from cross_init.kernel.folders import FIFO, HERE, KIND, LINK, SOCKET, folder_of
from cross_init.kernel.linux import dup_high

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.sockets.address import Address
    from cross_init.sockets.options import Options

NOBODY = -1  # chown(2): leave it
ID_MAX = (1 << 32) - 2  # the one above means "leave it"
PATH_MAX = 107  # bytes, with a NUL behind them (unix(7))


def owner_of(options: "Options") -> tuple[int, int]:
    """The user and the group that it is to have, NOBODY for ours. Raises Failure.

    A user without a group brings his own, as with systemd (systemd.socket(5), SocketUser=).
    """
    from cross_init.bounds import number

    user = number(options.user, 0, ID_MAX)
    group = number(options.group, 0, ID_MAX)
    if options.user:
        from pwd import getpwnam, getpwuid

        try:
            entry = getpwnam(options.user) if user is None else getpwuid(user)
        except KeyError:
            if user is None or not options.group:
                raise Failure(f"there is no user {options.user}: make it, or choose another one") from None
        else:
            user = entry.pw_uid
            group = entry.pw_gid if not options.group else group
    if options.group and group is None:
        from grp import getgrnam

        try:
            group = getgrnam(options.group).gr_gid
        except KeyError:
            raise Failure(f"there is no group {options.group}: make it, or choose another one") from None
    return NOBODY if user is None else user, NOBODY if group is None else group


def bind(sock: _socket.socket, address: "Address") -> None:
    """Bind it to the address's path, in a folder that is made if it is not there. Raises Failure as well."""
    owner = owner_of(address.options)
    if len(address.path.encode("utf-8", "surrogateescape")) > PATH_MAX:  # before folders are made for it
        raise OSError("AF_UNIX path too long")
    folder, name = folder_of(address.path, address.options.folder_mode)
    try:
        before = posix.umask(0o777 & ~address.options.mode)
        try:
            _bind(sock, address.path)
        finally:
            posix.umask(before)
        if owner != (NOBODY, NOBODY):
            try:
                _give(folder, name, SOCKET, owner)
            except OSError:
                remove_if_same(folder, name, None)
                raise
    finally:
        posix.close(folder)


def _bind(sock: _socket.socket, path: str) -> None:
    try:
        sock.bind(path)
    except OSError as error:
        if error.errno != errno.EADDRINUSE or not remove_abandoned(path, sock.type):
            raise
        sock.bind(path)


def remove_abandoned(path: str, kind: int) -> bool:
    """Remove a socket that nobody has open any more: the kernel refuses to connect to it. Whether it was one.

    The folder may be another user's, who exchanges it for another one meanwhile: it is looked at and removed in the one
    that was opened.
    """
    from cross_init.sockets.connection import prober

    probe = prober(kind)
    try:
        inside, name = folder_of(path)
        try:
            probe.connect(f"/proc/self/fd/{inside}/{name}")
        except ConnectionRefusedError:
            if posix.stat(name, dir_fd=inside, follow_symlinks=False).st_mode & 0o170000 == 0o140000:  # inode(7)
                posix.unlink(name, dir_fd=inside)
                return True
        finally:
            posix.close(inside)
    except OSError:
        pass  # somebody is there, or it is gone
    finally:
        probe.close()
    return False


def _give(folder: int, name: str, kind: int, owner: tuple[int, int]) -> None:
    """Make this file of ours theirs."""
    found = posix.open(name, HERE, dir_fd=folder)
    try:
        status = posix.fstat(found)
        if status.st_mode & KIND != kind or status.st_nlink != 1 or status.st_uid not in (posix.geteuid(), owner[0]):
            raise PermissionError(1, "somebody has put something else in its place")
        posix.chown(f"/proc/self/fd/{found}", *owner)
    finally:
        posix.close(found)


def open_fifo(address: "Address") -> int:
    """A FIFO at the address's path, open for both directions, so that it never ends. Raises Failure as well.

    One that is there is taken if it is of the right user (systemd: ListenFIFO=).
    """
    owner = owner_of(address.options)
    folder, name = folder_of(address.path, address.options.folder_mode)
    try:
        before = posix.umask(0)
        try:
            posix.mkfifo(name, address.options.mode, dir_fd=folder)
        except FileExistsError:
            pass
        finally:
            posix.umask(before)
        found = posix.open(name, HERE, dir_fd=folder)
        try:
            status = posix.fstat(found)
            ours = status.st_uid in (posix.geteuid(), owner[0]) and status.st_nlink == 1
            if status.st_mode & KIND != FIFO or not ours:
                raise OSError(errno.EADDRINUSE, "something else stands there, or another user's FIFO")
            posix.chmod(f"/proc/self/fd/{found}", address.options.mode)
            if owner != (NOBODY, NOBODY):
                posix.chown(f"/proc/self/fd/{found}", *owner)
            return posix.open(f"/proc/self/fd/{found}", posix.O_RDWR | posix.O_CLOEXEC)
        finally:
            posix.close(found)
    finally:
        posix.close(folder)


class Removal:
    """A path that is to be removed at the service's end (remove-on-stop), if what stands there is still the same.

    folder: a descriptor, which who removes it needs. name: in there, or with its slash a message queue's.
    """

    __slots__ = ("folder", "identity", "name")

    def __init__(self, path: str) -> None:
        folder, self.name = folder_of(path)
        try:
            self.identity = _identity(folder, self.name)
            self.folder = dup_high(folder)
        finally:
            posix.close(folder)

    @classmethod
    def again(cls, folder: int, name: str, identity: tuple[int, int]) -> "Removal":
        """The same in another process, which has the folder."""
        removal = cls.__new__(cls)
        removal.folder, removal.name, removal.identity = folder, name, identity
        return removal

    def remove(self) -> None:
        """What is gone already is no error."""
        try:
            if self.name.startswith("/"):
                from cross_init.kernel.message_queues import identity, unlink

                if identity(self.name) == self.identity:
                    unlink(self.name)
                return
            remove_if_same(self.folder, self.name, self.identity)
        except OSError:
            pass


def removals(addresses: "list[Address]") -> list[Removal]:
    """Of what was opened at these addresses. Raises Failure as well."""
    found: list[Removal] = []
    for address in addresses:
        if address.options.remove_on_stop and address.kind == "mqueue":
            found.append(_of_queue(address.path))
        elif address.options.remove_on_stop:
            found += [Removal(path) for path in (address.path, *_links(address))]
    return found


def _links(address: "Address") -> list[str]:
    """Those that lead to it: what could not be made is none of its."""
    if not address.options.symlinks:
        return []
    from cross_init.sockets.links import is_link

    return [path for path in address.options.symlinks if is_link(path, address.path)]


def _of_queue(path: str) -> Removal:
    from cross_init.kernel.message_queues import identity

    folder = posix.open("/", HERE)  # it is in none, and each has one
    try:
        return Removal.again(dup_high(folder), path, identity(path))
    finally:
        posix.close(folder)


def remove_if_same(folder: int, name: str, identity: tuple[int, int] | None) -> None:
    """Remove the socket, FIFO or link of this name; unless identity is None only if it is that file."""
    kind = posix.stat(name, dir_fd=folder, follow_symlinks=False).st_mode & KIND
    if kind in (SOCKET, FIFO, LINK) and identity in (None, _identity(folder, name)):
        posix.unlink(name, dir_fd=folder)


def _identity(folder: int, name: str) -> tuple[int, int]:
    status = posix.stat(name, dir_fd=folder, follow_symlinks=False)
    return status.st_dev, status.st_ino
