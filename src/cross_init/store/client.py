"""The way to what is kept for a service: where its holder listens, what it can be asked, and by whom.

A holder (holder.py) listens on a UNIX socket in the folder where also the notification sockets are: one in which only
we and root can make things; where there is none, under an abstract name. Each side asks the kernel who the other is
(SO_PEERCRED, unix(7)), so neither a stranger's holder is believed nor a stranger served. Where it stands follows from
what a service is for its init, so that the next start finds it again. An abstract name could be anybody's, so it has an
end that nobody can foresee, and among those that begin alike the kernel says which one is our user's (sock_diag(7)).

A holder that was stopped, or that waits for what it was given to keep, holds up nobody for longer than PATIENCE_S.

A request is a packet: a verb, a line each for what goes with it, and descriptors. The answer is a packet for each
descriptor that is handed out, and a last one that begins with DONE.
"""

import _socket
import errno
import posix
import sys

from cross_init.bounds import UINT64_MAX, number
from cross_init.errors import Failure, print_error, why
from cross_init.kernel.linux import Environment, working_directory
from cross_init.model import Init, Service, Target
from cross_init.readiness.notify_socket import HOLDER, socket_folder
from cross_init.sockets.connection import credentials
from cross_init.sockets.passed import NOT_A_SOCKET, Passed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.offered import DescriptorHolder
    from cross_init.request import Request

NEWS = "descriptors to keep"
TAKE, FOLLOW, STORE, REMOVE = b"take", b"follow", b"store", b"remove"
DONE, ONE = b".", b"="
ABSTRACT = b"\0cross-init/store/%d/%s/"
PATH_MAX = 107  # bytes that a socket's path may have (unix(7))
PATIENCE_S = 2.0  # a holder that was stopped does not answer
QUIET_S = 30.0  # and is not asked for so long then
LONGEST = 1024
POLLED, UNPOLLED = "poll", "keep"


class HolderClient:
    """To what is kept for one service. address: see there. most: how many descriptors it may have.

    quiet_until: until when it is not asked, as it has not answered, in seconds of the monotonic clock.
    """

    __slots__ = ("address", "init", "most", "original", "quiet_until", "service")

    def __init__(self, request: "Request", init: Init, found: "str | bytes" = "") -> None:
        """found: the address, if that was found out before, by another process."""
        self.init = init
        self.service: Service = request.service
        self.original: Environment = request.environ
        self.most = request.fd_store
        self.quiet_until = 0.0
        self.address = found
        if found:
            return
        # Two services of one name may be in two folders. Where a service has gone itself says nothing of who it is; but
        # one that its init has given no name has nothing else, and its command line.
        words = [self.init.name, str(self.service), self.init.folder]
        if self.service.is_guess:
            words[2:] = [words[2] or working_directory("--fd-store"), *request.command]
        self.address = address(words)

    def descriptor_holder(self) -> "DescriptorHolder | None":
        """What the init itself has to keep descriptors in, if it has such a thing."""
        return self.init.descriptor_holder(self.service)

    def take(self) -> list[Passed]:
        """What an earlier start has left, the newest first, as systemd passes it. It is kept on. Raises OSError."""
        try:
            named = self.ask(TAKE)[1]
        except (FileNotFoundError, ConnectionError):  # no holder
            named = [(name, fd) for name, fd, _, _ in from_keeper(self)]
        return [Passed(fd, name, NOT_A_SOCKET, "stored descriptor", "", False) for name, fd in named]

    def let_rest(self) -> None:
        """Ask nothing for a while from now on: the holder has not answered, and whoever asks it is held up."""
        from time import monotonic

        if monotonic() >= self.quiet_until:
            self.quiet_until = monotonic() + QUIET_S

    def ask(self, *request: bytes, descriptors: tuple[int, ...] = ()) -> tuple[str, list[tuple[str, int]]]:
        """What the holder says to this, and the descriptors that it hands out, with their names.

        Raises OSError; FileNotFoundError or ConnectionError if there is no holder, PermissionError if nobody can know,
        TimeoutError if there is one that does not answer.
        """
        from time import monotonic

        if monotonic() < self.quiet_until:
            raise TimeoutError(errno.ETIMEDOUT, "who keeps them has not answered, and is asked again a little later")
        sock, keeper = connect(self.address)
        try:
            sock.settimeout(PATIENCE_S)
            return converse(sock, b"\n".join(request), descriptors, monotonic() + 2 * PATIENCE_S)
        except TimeoutError:
            self.let_rest()
            raise TimeoutError(
                errno.ETIMEDOUT,
                f"process {keeper}, which keeps it, does not answer within {PATIENCE_S:g} s: is it stopped? Continue "
                f"it (kill -CONT {keeper}), or end it (kill -KILL {keeper}) and lose what it has",
            ) from None
        finally:
            sock.close()


def connect(address: str | bytes) -> tuple[_socket.socket, int]:
    """A connection to our user's holder at this address, and its PID; waits for nobody. Raises OSError, as ask()."""
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK)
    try:
        sock.connect(address if isinstance(address, str) else own_name(address))
        keeper, user, _ = credentials(sock.fileno())
        if user != posix.geteuid():
            raise PermissionError(errno.EPERM, "another user's process listens where ours should")
        return sock, keeper
    except BlockingIOError:  # in a folder of ours, or by a name of ours: it can be nobody else's
        sock.close()
        shown = address if isinstance(address, str) else "@" + address[1:].decode()
        raise TimeoutError(
            errno.ETIMEDOUT, f"the process that listens at {shown} takes nobody in: is it stopped?"
        ) from None
    except OSError:
        sock.close()
        raise


def converse(
    sock: _socket.socket, request: bytes, descriptors: tuple[int, ...], end: float
) -> tuple[str, list[tuple[str, int]]]:
    """Say this, and hear the whole answer until then, in seconds of the monotonic clock. Raises OSError, as ask()."""
    from time import monotonic

    got: list[tuple[str, int]] = []
    try:
        send(sock, request, descriptors)
        while monotonic() < end:
            body, extra, _, _ = sock.recvmsg(LONGEST, _socket.CMSG_SPACE(4), _socket.MSG_CMSG_CLOEXEC)
            if body.startswith(DONE):
                return body.removeprefix(DONE).decode("utf-8", "replace"), got
            if not body:
                raise ConnectionResetError(errno.ECONNRESET, "it has ended")
            if not extra:
                raise OSError(errno.EMFILE, "the limit on open files is reached")
            name = body.removeprefix(ONE).decode("utf-8", "replace")
            got.append((name, int.from_bytes(extra[0][2][:4], sys.byteorder)))
        raise TimeoutError
    except BaseException:
        for _, fd in got:
            posix.close(fd)
        raise


def address(words: list[str]) -> str | bytes:
    """Where the holder of the service that these words tell from all others listens.

    A path; or how the abstract name begins, which own_name() finds and new_name() makes.
    """
    from _blake2 import blake2s

    name = blake2s("\0".join(words).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
    base = socket_folder()
    path = f"{base}/{HOLDER}{name}"
    if base and len(path.encode("utf-8", "surrogateescape")) <= PATH_MAX:
        return path
    return ABSTRACT % (posix.geteuid(), name.encode())


def new_name(beginning: bytes) -> bytes:
    """An abstract name that nobody can have foreseen."""
    return beginning + posix.urandom(12).hex().encode()


def own_name(beginning: bytes) -> bytes:
    """The name of our user's socket whose name begins so. Raises FileNotFoundError, PermissionError.

    By what the kernel says of the socket itself: a stranger's is not even connected to.
    """
    names = own_names(beginning)
    if not names:
        raise FileNotFoundError(errno.ENOENT, posix.strerror(errno.ENOENT))
    return names[0]


def own_names(beginning: bytes) -> list[bytes]:
    """All such names. Raises PermissionError."""
    from cross_init.kernel.sock_diag import unix_listeners, why_not

    user = posix.geteuid()
    try:
        return [name for name, _, _, owner in unix_listeners() if owner == user and name.startswith(beginning)]
    except OSError as error:
        raise PermissionError(errno.EPERM, why_not(error)) from None


def send(sock: _socket.socket, body: bytes, descriptors: tuple[int, ...] = ()) -> None:
    """One packet. Raises OSError."""
    rights = b"".join(fd.to_bytes(4, sys.byteorder) for fd in descriptors)
    extra = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)] if rights else []
    sock.sendmsg([body], extra, _socket.MSG_NOSIGNAL)


def from_keeper(client: HolderClient) -> list[tuple[str, int, bool, int]]:
    """What the init's own keeper has of the service, the newest first: name, copy, whether to poll it, number."""
    keeper = client.descriptor_holder()
    found: list[tuple[str, int, bool, int]] = []
    for text in keeper.names() if keeper else ():
        word, _, rest = text.partition(":")
        how, _, name = rest.partition(":")
        place = number(word, 0, UINT64_MAX)
        if place is not None and how in (POLLED, UNPOLLED) and keeper:
            found.append((name, keeper.take(text), how == POLLED, place))
    return sorted(found, key=lambda each: -each[3])


def refuse(init: Init, target: Target) -> None:
    """Raise Failure if --fd-store does not go with these."""
    if NEWS not in target.news:
        raise Failure(f"--fd-store: a daemon for {target.name} asks for no descriptors to be kept: leave it out")
    if NEWS in init.news:
        raise Failure(
            f"--fd-store: {init.called} keeps descriptors itself: leave it out, and let the unit have "
            "FileDescriptorStoreMax="
        )
    if init.ends_all:
        raise Failure(
            f"--fd-store: {init.called} ends with its service, and with it who keeps descriptors: leave it out"
        )


def open_store(request: "Request", init: Init) -> tuple[HolderClient, list[Passed]]:
    """The way to what earlier starts have left, and a copy of it. init: as it is told otherwise. Raises Failure."""
    client = HolderClient(request, init)
    try:
        return client, client.take()
    except PermissionError as error:  # whoever took the name must not be able to prevent the start
        print_error(f"--fd-store: nothing can be kept for {request.service}: {why(error)}", 0)
        return client, []
    except OSError as error:
        raise Failure(
            f"--fd-store: taking what was kept for {request.service}: {why(error)}; "
            "the daemon was not started, as it would open anew what is still open"
        ) from None
