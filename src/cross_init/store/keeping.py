"""What a daemon says about the descriptors that are to be kept for it, in the process that hears it (sd_notify(3)).

FDSTORE=1 with FDNAME= and FDPOLL=, and FDSTOREREMOVE=1 with FDNAME=. The holder keeps them; it is started when it is
first needed.
"""

from cross_init.errors import Failure
from cross_init.readiness.receiving import CARRY_S
from cross_init.readiness.sd_notify import Assignments, first, has
from cross_init.readiness.worker import LEFT, SILENT, Task, workers_of
from cross_init.store.client import FOLLOW, POLLED, REMOVE, STORE, UNPOLLED, HolderClient, connect
from cross_init.store.process import start

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Tell = Callable[[bytes, str], None]

    from cross_init.readiness.subject import Subject

DEFAULT = "stored"  # the name of a descriptor that came without one
NAME_MAX = 255
NO_HOLDER = (FileNotFoundError, ConnectionError)


class Asking(Task):
    """Ask the holder something, which may be stopped."""

    def __init__(self, keeping: "Keeping", ask: "Callable[[Tell], None]") -> None:
        super().__init__({keeping.pidfd}, CARRY_S)
        self.keeping = keeping
        self.ask = ask

    def do(self, tell: "Tell") -> None:
        """Ask it."""
        try:
            self.ask(tell)
        except (OSError, Failure) as error:
            self.keeping.print_error(error, tell)

    def hear(self, kind: bytes, text: bytes) -> None:
        """It does not answer."""
        if kind == SILENT:
            self.keeping.let_rest()

    def over(self, done: bool) -> None:
        """Say it if it came to nothing."""
        if not done:
            self.keeping.print_error(Failure("who keeps them does not answer"))
            self.keeping.let_rest()


class Keeping:
    """One daemon's descriptors. pidfd: of the process that the init tracks, not ours to close.

    It is a worker that asks the holder, as that may be stopped: whatever takes a Tell is done by one.
    """

    def __init__(self, watched: "Subject", client: HolderClient, pidfd: int) -> None:
        self.watched = watched
        self.client = client
        self.pidfd = pidfd
        workers_of(watched).send(Asking(self, self._follow))

    def _follow(self, tell: "Tell") -> None:
        """Let a holder that is there know for whom it keeps what it has."""
        try:
            self.client.ask(FOLLOW, descriptors=(self.pidfd,))
        except NO_HOLDER:
            keeper = self.client.descriptor_holder()
            if keeper is not None and keeper.names():  # the holder was killed; what the init has is still there
                self._start_holder(tell)

    def _start_holder(self, tell: "Tell") -> None:
        tell(LEFT, str(start(self.client, self.pidfd)))

    def prepare(self, tell: "Tell") -> None:
        """Have a holder there before descriptors are received.

        A process that is started later would have them as well, and could be held up as it closes them.
        """
        try:
            try:
                connect(self.client.address)[0].close()
            except NO_HOLDER:
                self._start_holder(tell)
        except (OSError, Failure):
            pass  # who asks it then says why not

    def heed(self, message: Assignments) -> None:
        """Do what this message says, which gives nothing to keep."""
        name = self._name(message)
        if not has(message, "FDSTOREREMOVE", "1"):
            return
        if name is None:
            self.watched.reporter.say("wants descriptors removed (FDSTOREREMOVE=1) and does not say which (FDNAME=)")
        else:
            workers_of(self.watched).send(Asking(self, lambda tell: self._remove(name)))

    def _name(self, message: Assignments) -> str | None:
        name = first(message, "FDNAME")
        if name is not None and not is_name(name):
            self.watched.reporter.say("gives a name for descriptors that cannot be one (FDNAME=), which is ignored")
            return None
        return name

    def store(self, message: Assignments, descriptors: list[int], tell: "Tell") -> None:
        """Have these kept, as the message says; they stay the caller's."""
        name = self._name(message)
        how = UNPOLLED if has(message, "FDPOLL", "0") else POLLED
        words = (str(self.client.most), how, DEFAULT if name is None else name)
        request = (STORE, *(word.encode() for word in words))
        try:
            try:
                said, _ = self.client.ask(*request, descriptors=tuple(descriptors))
            except NO_HOLDER:
                self._start_holder(tell)
                said, _ = self.client.ask(*request, descriptors=tuple(descriptors))
            if said:
                self.watched.reporter.say(said)
        except (OSError, Failure) as error:
            self.print_error(error, tell)

    def _remove(self, name: str) -> None:
        try:
            self.client.ask(REMOVE, name.encode())
        except NO_HOLDER:
            pass  # there is nothing to remove

    def let_rest(self) -> None:
        """The holder does not answer: ask it nothing for a while."""
        self.client.let_rest()

    def print_error(self, error: Exception, tell: "Tell | None" = None) -> None:
        """Say why nothing came of it. tell: how a worker says that nobody has answered it."""
        why = getattr(error, "strerror", None) or str(error)
        self.watched.reporter.say(f"keeping descriptors for it (--fd-store) failed: {why}")
        if tell is not None and isinstance(error, TimeoutError):
            tell(SILENT, "")


def is_name(text: str) -> bool:
    """Whether it is one that systemd takes: ASCII without control characters and colons, 255 at most."""
    return text.isascii() and (text.isprintable() and ":" not in text) and len(text) <= NAME_MAX
