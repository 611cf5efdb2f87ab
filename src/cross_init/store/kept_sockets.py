"""--listen ADDRESS,keep: a socket that stays open from one start of a service to the next: no client is refused.

A holder (holder.py) has it, another one than that of --fd-store, whose descriptors are the daemon's own. It follows the
process that the init tracks, and lets go when the service is stopped for good. Until the next start takes it, clients
wait in the socket's own queue.
"""

import posix

from cross_init.errors import Failure, print_error, why
from cross_init.kernel.folders import KIND
from cross_init.model import Init
from cross_init.sockets.passed import Passed, describe
from cross_init.store.client import FOLLOW, REMOVE, STORE, TAKE, UNPOLLED, HolderClient

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.offered import DescriptorHolder
    from cross_init.request import Request
    from cross_init.sockets.address import Address

MOST = 250  # of one service
NO_HOLDER = (FileNotFoundError, ConnectionError)


class KeptSockets(HolderClient):
    """What is kept of one service's sockets. found: by their addresses. passed: those of this start, likewise."""

    __slots__ = ("found", "passed")

    def __init__(self, request: "Request", init: Init) -> None:
        super().__init__(request, init)
        self.most = MOST
        # Beside that of --fd-store, in the same folder, or under a name of the same form.
        place = self.address
        self.address = f"{place}-" if isinstance(place, str) else place.replace(b"/store/", b"/listen/")
        self.found: dict[str, int] = {}
        self.passed: list[tuple[str, Passed]] = []

    def descriptor_holder(self) -> "DescriptorHolder | None":
        """The init's own has only what the daemon wants kept."""
        return None

    def take_for(self, addresses: "list[Address]") -> None:
        """Take what earlier starts have left for these; what is asked for no more is let go. Raises OSError."""
        try:
            named = self.ask(TAKE)[1]
        except NO_HOLDER:
            return
        wanted = {key(address): address for address in addresses if address.options.keep}
        for name, fd in named:
            if name in wanted and name not in self.found and is_still(fd, wanted[name]):
                self.found[name] = fd
            else:
                posix.close(fd)
        for name in {name for name, _ in named} - set(self.found):
            self.ask(REMOVE, name.encode("utf-8", "surrogateescape"))

    def open(self, address: "Address") -> Passed | None:
        """The kept socket for this address, if there is one."""
        fd = self.found.pop(key(address), -1)
        return describe(fd, address.name) if fd >= 0 else None

    def remember(self, address: "Address", passed: Passed) -> None:
        """This one is the daemon's, and is to be kept."""
        self.passed.append((key(address), passed))

    def keep(self) -> None:
        """Have this start's sockets kept, while this process lives and its successors. Raises OSError, Failure."""
        pidfd = posix.pidfd_open(posix.getpid())
        try:
            try:
                self.ask(FOLLOW, descriptors=(pidfd,))
            except NO_HOLDER:
                from cross_init.store.process import start

                start(self, pidfd)
            for name, passed in self.passed:
                words = (str(self.most), UNPOLLED, name)
                request = (STORE, *(word.encode("utf-8", "surrogateescape") for word in words))
                if said := self.ask(*request, descriptors=(passed.fd,))[0]:
                    raise Failure(said)
        finally:
            posix.close(pidfd)


def key(address: "Address") -> str:
    """What is kept for this address is kept under this name, which says nothing: a path may hold anything."""
    from _blake2 import blake2s

    text = f"{address.kind}:{address.path or f'[{address.host}]:{address.port}'}"
    return blake2s(text.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def is_still(fd: int, address: "Address") -> bool:
    """Whether what was kept is a socket of this kind, and stands where clients look for it."""
    passed, wanted = describe(fd), address.announced()
    if (passed.kind, passed.listening) != (wanted.kind, wanted.listening):
        return False
    if not address.has_path:
        return True
    from cross_init.kernel.sock_diag import unix_at, unix_listeners

    try:
        status, own = posix.lstat(address.path), posix.fstat(fd)
        if status.st_mode & KIND != own.st_mode & KIND:
            return False
        if not passed.is_socket:
            return (status.st_dev, status.st_ino) == (own.st_dev, own.st_ino)
        if not passed.listening:
            return True
        name = address.path.encode("utf-8", "surrogateescape")
        # Where a file system hides which socket stands there, ours does if nobody else listens under this name.
        there = unix_at(address.path) or {inode for other, _, inode, _ in unix_listeners() if other == name}
    except OSError:
        return False
    return there == {own.st_ino}


def refuse(init: Init) -> None:
    """Raise Failure where nothing can be kept so."""
    if init.keeps_sockets:
        raise Failure(f"--listen ...,keep: {init.called} keeps sockets itself: {init.keeps_sockets}")
    if init.ends_all:
        raise Failure(f"--listen ...,keep: {init.called} ends with its service, and with it who keeps it: leave it out")


def prepare(request: "Request") -> KeptSockets | None:
    """What earlier starts have left; None if nothing can be kept. Raises Failure."""
    refuse(request.init)
    kept = KeptSockets(request, request.init)
    try:
        kept.take_for(request.listen)
    except PermissionError as error:  # whoever took the name must not be able to prevent the start
        print_error(f"--listen ...,keep: nothing can be kept for {request.service}: {why(error)}", 0)
        return None
    except OSError as error:
        raise Failure(f"--listen ...,keep: taking what was kept for {request.service}: {why(error)}") from None
    return kept


def keep(kept: KeptSockets) -> None:
    """To be called in the process that the init tracks, with its sockets in their places."""
    try:
        kept.keep()
    except (OSError, Failure) as error:
        reason = why(error) if isinstance(error, OSError) else error
        print_error(f"--listen ...,keep: the sockets of {kept.service} are not kept over a restart: {reason}", 0)
