"""A service's namespaces beside that of its mounts (namespaces(7)): network, IPC, host's name, control groups, users.

The network's and that of IPC are one for all commands of a service, as is one of users that is there already: who
starts them makes or opens those, and hands their descriptors on.
"""

import posix

from cross_init.errors import Failure, why
from cross_init.kernel.system_calls import CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWUSER, enter, leave

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.definitions.definition import Context, Definition

OF_USERS = "users"  # that is there already; a new one is each command's own
SHARED = {"net": CLONE_NEWNET, "ipc": CLONE_NEWIPC, OF_USERS: CLONE_NEWUSER}  # by their names in /proc/PID/ns
PATHS = {"net": "network_namespace_path", "ipc": "ipc_namespace_path", OF_USERS: "user_namespace_path"}
PRIVATE = {"net": "private_network", "ipc": "private_ipc"}
NAMES = {"net": "Network", "ipc": "IPC", OF_USERS: "User"}  # in their directives
AS_SPACE = posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NOCTTY
FD = 100  # from which on their descriptors stand: below are a daemon's own
SIOCSIFFLAGS, IFF_UP = 0x8914, 1  # linux/sockios.h, net/if.h
NAME_MOST = 16  # bytes of an interface's name
USERS_MOST = (1 << 32) - 1


def shared(definition: "Definition", denied: "set[str]") -> dict[str, int]:
    """Their descriptors, by name. denied: those that cannot be had here. Raises Failure."""
    context, found = definition.context, {}
    for name in SHARED:
        path: str = getattr(context, PATHS[name])
        field = PATHS[name] if path else PRIVATE.get(name, "")
        if name in denied or not (path or (field and getattr(context, field))):
            continue
        try:
            found[name] = _kept(posix.open(path, AS_SPACE) if path else _new(name))
        except OSError as error:
            key = NAMES[name]
            said = f"{key}NamespacePath={path}" if path else f"Private{key}=yes"
            raise Failure(f"{definition.where(field)}: {said}: {why(error)}") from None
    return found


def _kept(fd: int) -> int:
    """The same, out of a daemon's way."""
    from fcntl import F_DUPFD_CLOEXEC, fcntl

    try:
        return fcntl(fd, F_DUPFD_CLOEXEC, FD)
    finally:
        posix.close(fd)


def _new(name: str) -> int:
    """A new one, in which this process is not. Raises OSError."""
    own = posix.open(f"/proc/self/ns/{name}", posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        leave(SHARED[name])
        try:
            if name == "net":
                _start_loopback()
            return posix.open(f"/proc/self/ns/{name}", posix.O_RDONLY | posix.O_CLOEXEC)
        finally:
            enter(own, SHARED[name])
    finally:
        posix.close(own)


def _start_loopback() -> None:
    """Have 127.0.0.1 and ::1 be there, as far as that goes."""
    import _socket
    from fcntl import ioctl

    any_one = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    try:
        ioctl(any_one.fileno(), SIOCSIFFLAGS, b"lo".ljust(NAME_MOST, b"\0") + IFF_UP.to_bytes(2, "little") + bytes(22))
    except OSError:
        pass  # as systemd has it
    finally:
        any_one.close()


def maps(context: "Context", own: tuple[int, int], wanted: tuple[int, int]) -> tuple[str, str]:
    """Which users and groups are themselves in a namespace of users. own, wanted: ours, and those to be (-1: ours)."""
    if context.private_users == "identity":
        return "0 0 65536\n", "0 0 65536\n"
    if context.private_users == "full":
        return f"0 0 {USERS_MOST}\n", f"0 0 {USERS_MOST}\n"
    found = []
    for one, other in zip(own, wanted, strict=True):
        both = dict.fromkeys((one, other if other != -1 else one))
        found.append("".join(f"{each} {each} 1\n" for each in both))
    return found[0], found[1]


def take_own_users() -> None:
    """A namespace of users in which this user alone is somebody, and may mount. Raises OSError."""
    user, group = posix.geteuid(), posix.getegid()
    leave(CLONE_NEWUSER)
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/gid_map", f"{group} {group} 1\n")
    _write("/proc/self/uid_map", f"{user} {user} 1\n")


class OtherUsers:
    """A namespace of users that is there already. space: its descriptor."""

    def __init__(self, space: int) -> None:
        self.space = space

    def enter(self) -> None:
        """Be in it. Raises OSError, Failure."""
        enter(self.space, CLONE_NEWUSER)


class Users:
    """A new one. Who may write down which they are stays outside of it: a process that waits for us."""

    def __init__(self, users: str, groups: str, setgroups: bool) -> None:
        """Raises OSError."""
        heard, self.say = posix.pipe2(posix.O_CLOEXEC)
        self.answer, told = posix.pipe2(posix.O_CLOEXEC)
        own = posix.getpid()
        self.pid = posix.fork()
        if self.pid:
            posix.close(heard)
            posix.close(told)
            return
        error = 5  # EIO
        try:
            posix.close(self.say)
            if posix.read(heard, 1):
                _write(f"/proc/{own}/setgroups", "allow" if setgroups else "deny")
                _write(f"/proc/{own}/gid_map", groups)
                _write(f"/proc/{own}/uid_map", users)
                error = 0
        except OSError as failed:
            error = failed.errno or error
        finally:
            posix.write(told, bytes((error,)))
            posix._exit(0)

    def enter(self) -> None:
        """Be in it. Raises OSError."""
        try:
            leave(CLONE_NEWUSER)
            posix.write(self.say, b"\n")
            error = posix.read(self.answer, 1)
        finally:
            posix.close(self.say)
            posix.close(self.answer)
            posix.waitpid(self.pid, 0)
        if error != b"\0":
            number = error[0] if error else 5
            raise OSError(number, posix.strerror(number))


def _write(path: str, text: str) -> None:
    fd = posix.open(path, posix.O_WRONLY | posix.O_CLOEXEC)
    try:
        posix.write(fd, text.encode())
    finally:
        posix.close(fd)
