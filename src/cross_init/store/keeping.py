"""What a daemon says about the descriptors that are to be kept for it, in the process that hears it (sd_notify(3)).

FDSTORE=1 with FDNAME= and FDPOLL=, and FDSTOREREMOVE=1 with FDNAME=. The holder keeps them; it is started when it is
first needed.
"""

from cross_init.model import Failure
from cross_init.news import Assignments, first, has
from cross_init.store.way import FOLLOW, POLLED, REMOVE, STORE, UNPOLLED, Way

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.watched import Watched

DEFAULT = "stored"  # the name of a descriptor that came without one
NAME_MAX = 255
NO_HOLDER = (FileNotFoundError, ConnectionError)


class Keeping:
    """One daemon's descriptors. pidfd: of the process that the init tracks, not ours to close."""

    def __init__(self, watched: "Watched", way: Way, pidfd: int) -> None:
        self.watched = watched
        self.way = way
        self.pidfd = pidfd
        try:
            self._follow()
        except (OSError, Failure) as error:
            self._complain(error)

    def _follow(self) -> None:
        """Let a holder that is there know for whom it keeps what it has."""
        try:
            self.way.ask(FOLLOW, descriptors=(self.pidfd,))
        except NO_HOLDER:
            keeper = self.way.init.keeper(self.way.service)
            if keeper is not None and keeper.names():  # the holder was killed; what the init has is still there
                self._start_holder()

    def _start_holder(self) -> None:
        from cross_init.store.process import start

        self.watched.helpers[start(self.way, self.pidfd)] = None

    def heed(self, message: Assignments, descriptors: list[int]) -> None:
        """Do what this message says; its descriptors stay the caller's."""
        name = first(message, "FDNAME")
        if name is not None and not is_name(name):
            self.watched.reporter.say("gives a name for descriptors that cannot be one (FDNAME=), which is ignored")
            name = None
        try:
            if has(message, "FDSTOREREMOVE", "1"):
                self._remove(name)
            elif has(message, "FDSTORE", "1") and descriptors:
                self._store(DEFAULT if name is None else name, not has(message, "FDPOLL", "0"), tuple(descriptors))
        except (OSError, Failure) as error:
            self._complain(error)

    def _store(self, name: str, polled: bool, descriptors: tuple[int, ...]) -> None:
        how = POLLED if polled else UNPOLLED
        request = (STORE, str(self.way.most).encode(), how.encode(), name.encode())
        try:
            said, _ = self.way.ask(*request, descriptors=descriptors)
        except NO_HOLDER:
            self._start_holder()
            said, _ = self.way.ask(*request, descriptors=descriptors)
        if said:
            self.watched.reporter.say(said)

    def _remove(self, name: str | None) -> None:
        if name is None:
            self.watched.reporter.say("wants descriptors removed (FDSTOREREMOVE=1) and does not say which (FDNAME=)")
            return
        try:
            self.way.ask(REMOVE, name.encode())
        except NO_HOLDER:
            pass  # there is nothing to remove

    def _complain(self, error: Exception) -> None:
        why = getattr(error, "strerror", None) or str(error)
        self.watched.reporter.say(f"keeping descriptors for it (--fd-store) failed: {why}")


def is_name(text: str) -> bool:
    """Whether it is one that systemd takes: ASCII without control characters and colons, 255 at most."""
    return text.isascii() and (text.isprintable() and ":" not in text) and len(text) <= NAME_MAX
