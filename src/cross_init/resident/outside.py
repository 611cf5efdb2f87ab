"""Services of the resident whose daemons speak without a bridge: what it has of them, and what outlives it.

The socket is kept with them, so that no daemon finds nobody, and what is said while no resident is there is heard by
the next one.
"""

import _socket
import posix

from cross_init.kernel.pidfds import has_ended
from cross_init.resident.deposit import OUTSIDE, SOCKET
from cross_init.resident.ear import Ear, listening
from cross_init.resident.heard import Heard, named_before
from cross_init.resident.keeping import ID
from cross_init.resident.places import NOTIFY
from cross_init.resident.whose import Owner, Stranger, owner_again

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.resident.keeping import Deposit
    from cross_init.resident.kept import Kept
    from cross_init.resident.serve import Resident


class Outside:
    """All of them. name: the socket's, in the deposit."""

    def __init__(self, resident: "Resident") -> None:
        self.resident = resident
        self.kept: dict[str, Kept] = {}
        self.name = posix.urandom(ID).hex()
        self.ear: Ear | None = None  # None: it has not begun
        self.is_gone = False  # the deposit from which all this came

    def takes(self, name: str, kept: "Kept") -> bool:
        """Whether this is one of ours, which an earlier resident has left."""
        is_ours = kept.data.startswith((SOCKET, OUTSIDE))
        if is_ours:
            self.kept[name] = kept
        return is_ours

    def begin(self) -> None:
        """Go on with what was left, and listen. Raises OSError."""
        path = self.resident.folder + NOTIFY
        left = [(name, kept) for name, kept in self.kept.items() if kept.data == SOCKET]
        said = []
        if left and is_there(path):
            self.name, socket = left[0]
            sock, said = _socket.socket(fileno=socket.fds[0]), socket.said
        else:
            sock = listening(path)
        self.ear = ear = Ear(self.resident.loop, sock, self._add, self.bury)
        if not left or self.name != left[0][0] or self.is_gone:
            self.deposit_anew(self.resident.deposit)
        for name, kept in self.kept.items():
            if kept.data != SOCKET:
                self._resume(ear, name, kept)
            elif name != self.name:
                self.resident.deposit.drop(name)
        self.kept.clear()
        ear.resume(said)

    def _resume(self, ear: Ear, name: str, kept: "Kept") -> None:
        (pidfd,) = kept.fds
        if not has_ended(pidfd):
            try:
                owner = owner_again(pidfd)
            except Stranger:
                pass
            else:
                owner.service = named_before(kept.state) or owner.service
                heard = ear.services[owner.pid] = self._have(name, owner)
                heard.resume(kept.state)
                if self.is_gone:
                    heard.deposit_anew(self.resident.deposit)
                return
        posix.close(pidfd)
        self.resident.deposit.drop(name)

    def _add(self, owner: Owner) -> Heard:
        """A service that has spoken for the first time. Raises Stranger if there is no room for it."""
        resident = self.resident
        if len(resident.services) >= resident.most:
            posix.close(owner.pidfd)
            raise Stranger(f"as there are {resident.most} services, and no room for more (ulimit -n)")
        resident.hurry()
        name = posix.urandom(ID).hex()
        resident.say(lambda: resident.deposit.put(name, OUTSIDE, [owner.pidfd]))
        return self._have(name, owner)

    def _have(self, name: str, owner: Owner) -> Heard:
        heard = Heard(self.resident.loop, name, owner, self)
        self.resident.services[name] = heard
        return heard

    def note(self, name: str, state: bytes) -> None:
        """Have this known after our end."""
        self.resident.note(name, state)

    def deposit_anew(self, deposit: "Deposit") -> None:
        """Another deposit is there, which has nothing. Raises OSError."""
        if self.ear is None:
            self.is_gone = True  # all is put there when it is known
        else:
            deposit.put(self.name, SOCKET, [self.ear.socket.fileno()])

    def bury(self, heard: Heard) -> None:
        """Its main process has ended."""
        assert self.ear is not None
        self.ear.forget(heard)
        del self.resident.services[heard.id]
        heard.init.ended()
        heard.close()
        self.resident.say(lambda: self.resident.deposit.drop(heard.id))


def is_there(path: bytes) -> bool:
    """Whether there is something at this path."""
    try:
        posix.lstat(path)
    except OSError:
        return False
    return True
