"""One service whose daemon speaks without a bridge: watched as any other, but for what takes an option of ours."""

import posix
from time import monotonic

from cross_init.commands.options import parse
from cross_init.detect import target_named
from cross_init.errors import print_unexpected, why
from cross_init.kernel.pidfds import has_ended
from cross_init.kernel.procfs import process_owner
from cross_init.launch import Start
from cross_init.model import HEARD_S, STOP, Service
from cross_init.readiness.notification import Listener
from cross_init.readiness.worker import Task, Tell, workers_of
from cross_init.request import Request
from cross_init.resident.deposit import OUTSIDE
from cross_init.resident.loop import Facet
from cross_init.watch.log import Bucket
from cross_init.watch.status_socket import describe
from cross_init.watch.watched import Watched
from cross_init.watch.wire import Malformed, Value, decode, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from cross_init.resident.keeping import Deposit
    from cross_init.resident.whose import Owner
    from cross_init.watch.event_loop import EventLoop

    class Keeper(Protocol):
        """Who has all of these services."""

        def note(self, name: str, state: bytes) -> None:
            """Have this known after our end."""

        def bury(self, heard: "Heard") -> None:
            """It is over."""


SHAPE = "no bridge"
OPTIONS = parse(["-t", "systemd", "-N", "--", "a daemon"])
TARGET = target_named("systemd")
PATIENCE_S = 5.0  # for an init that is asked before it is told
NOT_YET, TELLING, TOLD = 0, 1, 2  # how far the init has been told
NAME_MAX = 500  # characters of a name that is noted: it may come from a variable of the daemon's
USERS_MAX = 256
buckets: dict[int, Bucket] = {}
STATE: dict[str, type] = {"state": str, "status": str, "since": float, "failure": int, "told": int, "ready": int}


class Heard(Watched):
    """Such a service. id: its name here; told: NOT_YET, TELLING, or TOLD, also if its init cannot be."""

    def __init__(self, loop: "EventLoop", name: str, owner: "Owner", keeper: "Keeper") -> None:
        request = Request(OPTIONS, owner.init, TARGET)
        request.service, request.pid = owner.service, owner.pid
        self.id = name
        self.owner = owner
        self.keeper = keeper
        self.told = NOT_YET
        self.is_over = False
        self.noted_state = b""
        self.facet = Facet(loop, 2, self._give_up)
        super().__init__(self.facet, Start(request), owner.pid, owner.pidfd, owner.began, self.tell_init)
        if owner.unreached and (user := process_owner(owner.pid)) != posix.geteuid():
            self.reporter.bucket = bucket_of(user)
        self.voice = Voice(self)
        self.facet.watch(owner.pidfd, lambda: keeper.bury(self))

    def describe(self) -> "dict[str, Value]":
        """For "cross-init status"."""
        return describe(self, SHAPE)

    def tell_init(self) -> None:
        """It is ready: its init is told, or else the log says why not."""
        if self.told == TOLD or has_ended(self.pidfd):
            return
        self.told = TELLING
        self.remember()
        if self.owner.unreached:
            self.reporter.say(
                f"ready after {self.seconds:.3f} s; {self.init.called} is not told: {self.owner.unreached}"
            )
            self.was_told()
        elif self.init.hears == STOP:
            workers_of(self).send(Telling(self))
        else:
            self._tell_at_once()

    def _tell_at_once(self) -> None:
        try:
            self.init.ready(self.service, self.pid, self.pidfd, self.seconds)
        except ProcessLookupError:
            pass  # it has ended meanwhile
        except OSError as error:
            if self.notify_again(error):
                return
        self.was_told()

    def was_told(self) -> None:
        """Once is enough."""
        self.told = TOLD
        self.init.descriptors = ()
        self.remember()
        if self.init.may_miss_readiness and not self.owner.unreached:
            self.timer = self.loop.after(HEARD_S, self._look)

    def _look(self) -> None:
        """See whether the init has heard it."""
        try:
            advice = self.init.check_heard(self.service, self.pid, self.pidfd)
        except OSError as error:
            advice = f"looking whether {self.init.called} has heard that it is ready failed: {why(error)}"
        if advice:
            self.reporter.say(advice)

    def remember(self) -> None:
        """Have noted how it is, if that has changed."""
        if self.ready and self.told == NOT_YET:
            return  # its init is told now, which is noted first, with this
        values = (self.state, self.status, self.since, self.failure, self.told, int(self.ready))
        name, instance = self.service.name, self.service.instance
        is_kept = not self.service.is_guess and len(name) + len(instance) <= NAME_MAX
        names = {"service": name if is_kept else "", "instance": instance if is_kept else ""}
        state = encode({**dict(zip(STATE, values, strict=True)), **names})
        if state != self.noted_state and not self.is_over:
            self.noted_state = state
            self.keeper.note(self.id, state)

    def deposit_anew(self, deposit: "Deposit") -> None:
        """Another deposit is there, which has nothing. Raises OSError."""
        deposit.put(self.id, OUTSIDE, [self.pidfd])
        self.noted_state = b""
        self.remember()

    def resume(self, state: bytes) -> None:
        """Go on where an earlier resident was."""
        try:
            known = decode(state)
        except Malformed:
            return  # nothing was noted, or by another version
        if any(type(known.get(name)) is not kind for name, kind in STATE.items()):
            return
        self.state, self.status = str(known["state"]), str(known["status"])
        self.since = min(float(known["since"]), monotonic())
        self.failure, self.told = int(known["failure"]), int(known["told"])
        if self.told == TOLD:
            self._let_go_of_init()
        if known["ready"]:
            self.outstanding.clear()
            self.has_got_ready()
            self.facet.call(self.tell_init)
        self.remember()

    def _give_up(self, error: BaseException) -> None:
        """A mistake of ours, five times in a row."""
        print_unexpected(error, 0)
        self.keeper.bury(self)

    def close(self) -> None:
        """Watch it no longer."""
        self.is_over = True
        self.facet.let_go()
        self._let_go_of_init()
        if self.reporter.bucket in buckets.values():
            self.reporter.bucket = Bucket(monotonic())  # that lines were left out is said with the next of that user's
        super().close()

    def _let_go_of_init(self) -> None:
        """Nothing is told any more."""
        for fd in self.init.descriptors:
            posix.close(fd)
        self.init.descriptors = ()


def named_before(state: bytes) -> "Service | None":
    """What it was called when this was noted: by its variables, which a daemon writes over that sets its title."""
    try:
        known = decode(state)
    except Malformed:
        return None
    name, instance = known.get("service"), known.get("instance")  # earlier versions have not noted them
    return Service(name, instance) if isinstance(name, str) and isinstance(instance, str) and name else None


def bucket_of(user: int) -> Bucket:
    """How many lines are said of all the services of another user's whose init is not told.

    They may be no services at all: where process 1 adopts orphans, anybody can make any number of what looks like one.
    """
    if user not in buckets and len(buckets) >= USERS_MAX:
        buckets.clear()
    return buckets.setdefault(user, Bucket(monotonic()))


class Voice(Listener):
    """What it says, which somebody else takes off the socket that all share."""

    def __init__(self, heard: Heard) -> None:
        self.watched = heard
        self.access = "main"
        self.held = heard.expect("READY=1")


class Telling(Task):
    """Tell an init that has to be asked first, and may not answer."""

    def __init__(self, heard: Heard) -> None:
        super().__init__({heard.pidfd}, PATIENCE_S)
        self.heard = heard

    def do(self, tell: Tell) -> None:
        """Ask, and tell."""
        heard = self.heard
        try:
            heard.init.ready(heard.service, heard.pid, heard.pidfd, heard.seconds)
        except OSError as error:
            heard.reporter.say(f"telling {heard.init.called} that the daemon is ready failed: {why(error)}")

    def over(self, done: bool) -> None:
        """What has failed was said."""
        self.heard.was_told()
