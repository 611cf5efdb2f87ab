"""Ask the processes that watch services how those are: who is asked, whose word counts, and how long for.

Anybody may listen under an abstract name, and every user in a folder of his own. What counts is the kernel's word for
whose socket it is, known before anything is asked. Some users are believed: the one that asks, and, if that is root,
the one whose container it is. All others are strangers. Root, which shows their services as theirs, asks so many of
each, for a short time, leaves everything in their folders as it is, and takes nothing from their connections: what
comes is looked at (MSG_PEEK, recv(2)) and stays where it is until our process ends, as there may be descriptors in it
(strangers.py). Where a decision depends on it, nobody asks them at all.
"""

import _socket
import errno
import posix
from select import POLLIN, poll
from time import monotonic

from cross_init.bounds import number
from cross_init.errors import Failure
from cross_init.kernel.folders import HERE, is_served_by_a_process, mount_of, names, open_folder
from cross_init.kernel.linux import is_private
from cross_init.kernel.procfs import own_users
from cross_init.sockets.connection import credentials
from cross_init.watch.status_socket import (
    ABSTRACT,
    FOLDER,
    MOST,
    USERS_BASE,
    connect_checked,
    connected,
    own_folder,
    remove,
)
from cross_init.watch.untrusted import PEEK

PATIENCE_S = 2.0  # for all who are believed: a watching process that was stopped does not answer
STRANGERS_S = 0.5  # for all strangers
AT_ONCE = 64  # connections, of those who are believed
OF_EACH = 64  # sockets of a stranger's that are asked
STRANGERS_MOST = 512  # of all of them
SPARE = 16  # descriptors that are left for everything else
BUSY_S = 0.02  # until it is tried again where too many wait to be let in
LONGEST = 1 << 17  # bytes of an answer, in one piece
OF_OURS = 1 << 24  # and of one who watches all services of a user's that is believed
USER_MAX = (1 << 32) - 2  # uid_t, of which the last number is none
HUNG_UP = 0x2000  # POLLRDHUP, poll(2): all has been said

# Why something is left out, as it is said to people behind whose it is.
SILENT = "which did not answer in time"
TOO_MANY = f"as no more than {OF_EACH} of a user, and {STRANGERS_MOST} or what ulimit -n allows of all users, are asked"
NO_ROOM = "as the limit on open files is reached (ulimit -n)"
OTHER_FORM = "which answers as no cross-init-bridge of this version does: it is seen again once it was restarted"
OTHERS = "as only this user's own count"
NOBODYS = -1  # instead of a user: all sockets under abstract names

Left = dict[tuple[str, int], list[int]]  # why it is left out, and whose it is: the processes, 0 for one unknown
Answer = tuple[int, int, bytes]  # the process, its user, what it says


class Door:
    """Where a watching process of this user's may listen. folder: where the name is, -1 if it is abstract."""

    __slots__ = ("folder", "name", "user")

    def __init__(self, folder: int, name: str | bytes, user: int) -> None:
        self.folder = folder
        self.name = name
        self.user = user

    def connect(self) -> _socket.socket:
        """Raises what connect_checked() raises; what a killed process has left in our own folder is removed."""
        if isinstance(self.name, bytes):
            return connected(self.name)
        try:
            return connect_checked(self.folder, self.name, self.user)
        except ConnectionRefusedError:
            if self.user == posix.geteuid():
                remove(self.folder, self.name)
            raise


def ask_all(with_strangers: bool) -> tuple[list[Answer], Left]:
    """What all say that are to be asked, and what is left out. Raises Failure."""
    believed = own_users()
    left: Left = {}
    doors = _doors(believed, with_strangers, left)
    own = [door for door in doors if door.user in believed]
    answers = _ask(own, PATIENCE_S, AT_ONCE, left)
    strangers: list[tuple[int, Door]] = []
    count: dict[int, int] = {}
    for door in doors:
        if door.user not in believed:
            count[door.user] = count.get(door.user, 0) + 1
            strangers.append((count[door.user], door))
    strangers.sort(key=lambda each: each[0])  # the first of each user's, then the second: nobody takes others' turns
    room = min(STRANGERS_MOST, max(posix.sysconf("SC_OPEN_MAX") - SPARE, 0)) if with_strangers else 0
    asked = [door for at, door in strangers if at <= OF_EACH][:room]
    chosen = set(asked)
    for _, door in strangers:
        if door not in chosen:
            _leave(left, TOO_MANY if with_strangers else OTHERS, door.user)
    if asked:
        answers += _ask(asked, STRANGERS_S, 0, left)
    return answers, left


def in_words(left: Left) -> str:
    """What is left out, and why, in one line."""
    parts = []
    for (why, user), pids in list(left.items())[:5]:
        known = sorted({pid for pid in pids if pid})
        if user == NOBODYS:
            parts.append(f"whoever listens under an abstract name, {why}")
        elif known:
            shown = ", ".join(map(str, known[:5])) + (", ..." if len(known) > 5 else "")
            parts.append(f"process {shown} of user {user}, {why}")
        else:
            parts.append(f"{len(pids)} socket{'s' if len(pids) > 1 else ''} of user {user}, {why}")
    return f"left out: {'; '.join(parts)}{'; and more' if len(left) > 5 else ''}"


def _leave(left: Left, why: str, user: int, pid: int = 0) -> None:
    left.setdefault((why, user), []).append(pid)


def _doors(believed: set[int], with_strangers: bool, left: Left) -> list[Door]:
    """All that there are: in our own folder, for root in users', and under abstract names. Raises Failure."""
    from cross_init.kernel.sock_diag import unix_listeners, why_not

    doors: list[Door] = []
    try:
        doors += _in_folder(own_folder(make=False), posix.geteuid(), MOST)
    except OSError:
        pass  # there is none
    if posix.geteuid() == 0:
        doors += _in_users_folders(believed, with_strangers)
    if doors and not posix.access("/proc/self/fd", posix.X_OK):
        raise Failure("asking the services' watching processes: no /proc is mounted here: mount it")
    try:
        for name, kind, _, user in unix_listeners():
            if name.startswith(ABSTRACT) and kind == _socket.SOCK_STREAM:
                doors.append(Door(-1, name, user))
    except OSError as error:
        _leave(left, f"as {why_not(error)}", NOBODYS)
    return doors


def _in_users_folders(believed: set[int], with_strangers: bool) -> list[Door]:
    doors: list[Door] = []
    try:
        base = open_folder(USERS_BASE)
    except OSError:
        return doors
    try:
        for name in names(base, MOST):
            user = number(name, 0, USER_MAX)
            if user is None or not (with_strangers or user in believed):
                continue
            try:
                doors += _in_folder(_users_folder(base, name, user), user, OF_EACH + 1)
            except OSError:
                pass  # there is none, or it is not to be trusted
    finally:
        posix.close(base)
    return doors


def _users_folder(base: int, name: str, user: int) -> int:
    """A descriptor of the folder in which this user's sockets are. Raises OSError."""
    home = posix.open(name, HERE | posix.O_DIRECTORY, dir_fd=base)
    try:
        # A file system that a user's process serves may never answer: only then anything is asked of it.
        mount = mount_of(home)
        if is_served_by_a_process(mount) or not is_private(home, user):
            raise PermissionError(1, "it is no folder of that user's alone")
        folder = posix.open(FOLDER, HERE | posix.O_DIRECTORY, dir_fd=home)
    finally:
        posix.close(home)
    if mount_of(folder) == mount and is_private(folder, user):
        return folder
    posix.close(folder)
    raise PermissionError(1, "it is no folder of that user's alone")


def _in_folder(folder: int, user: int, most: int) -> list[Door]:
    """What there is in this user's folder, whose descriptor stays open if there is something. Raises OSError."""
    try:
        found = [Door(folder, name, user) for name in names(folder, most)]
    except OSError:
        posix.close(folder)
        raise
    if not found:
        posix.close(folder)
    return found


def _ask(doors: list[Door], patience_s: float, at_once: int, left: Left) -> list[Answer]:
    """What they say. at_once: how many connections may be open; 0: they are strangers', and stay so. Raises Failure."""
    end = monotonic() + patience_s
    poller = poll()
    asked: dict[int, tuple[Door, _socket.socket, int]] = {}
    answers: list[Answer] = []
    heard: dict[int, bytes] = {}
    todo = doors[::-1]
    while (todo or asked) and (left_s := end - monotonic()) > 0:
        busy: list[Door] = []
        while todo and (len(asked) < at_once or not at_once):
            door = todo.pop()
            try:
                sock = door.connect()
            except BlockingIOError:
                busy.append(door)
                continue
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE):
                    if asked and at_once:
                        todo.append(door)  # when some of them have been closed
                        break
                    _leave(left, NO_ROOM, door.user)
                continue  # it has ended, or is none of that user's
            pid, user, _ = credentials(sock.fileno())
            if user == door.user:
                asked[sock.fileno()] = (door, sock, pid)
                poller.register(sock.fileno(), POLLIN if at_once else HUNG_UP)
            else:
                sock.detach()  # a stranger's that another user has made
        todo = busy + todo
        wait_s = min(left_s, BUSY_S) if todo else left_s if asked else 0
        for fd, _ in poller.poll(wait_s * 1000):
            door, sock, pid = asked[fd]
            try:
                said = sock.recv(LONGEST, 0 if at_once else PEEK)
            except OSError:
                said = b""  # it has gone
            heard[fd] = heard.get(fd, b"") + said
            if said and at_once and len(heard[fd]) < OF_OURS:
                continue  # who watches many services has much to say
            del asked[fd]
            poller.unregister(fd)
            answers.append((pid, door.user, heard.pop(fd)))
            if at_once:
                sock.close()
            else:
                sock.detach()
    for door, sock, pid in asked.values():
        _leave(left, SILENT, door.user, pid)
        sock.detach()
    for door in todo:
        _leave(left, SILENT, door.user)
    return answers
