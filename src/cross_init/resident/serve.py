"""The resident: one process that watches all daemons of this user's that bridges hand over to it.

A bridge connects, says all in one packet (description.py), and waits for the answer. Before that is given, the deposit
has what it takes to go on without us. All that a daemon says, and its end, is dealt with in fair rounds (loop.py).
"""

import _signal
import _socket
import posix
import sys
from time import monotonic

from cross_init.errors import Failure, print_error, why
from cross_init.kernel.evidence import command_line
from cross_init.kernel.linux import is_transient, reason
from cross_init.kernel.procfs import process_of
from cross_init.notify.service_manager import Manager
from cross_init.readiness.receiving import numbers
from cross_init.readiness.sweeping import sweep
from cross_init.resident.asking import BEGINNING, BEHIND, REFUSED, RESIDENTS, TAKEN, verdict
from cross_init.resident.beginning import Begun
from cross_init.resident.deposit import listening
from cross_init.resident.description import FDS_MAX, LONGEST, ONE
from cross_init.resident.heard import Heard
from cross_init.resident.init_store import offered
from cross_init.resident.instead import begin
from cross_init.resident.keeping import ID, Deposit
from cross_init.resident.loop import ManyLoop, reap
from cross_init.resident.means import limit_files, set_priority
from cross_init.resident.outside import Outside
from cross_init.resident.places import KEPT, NOTIFY, SERVE, folder
from cross_init.resident.rebuilt import Handed
from cross_init.resident.tended import Tended, give_up
from cross_init.sockets.connection import credentials
from cross_init.watch.acceptor import Acceptor
from cross_init.watch.predecessor import sweep as sweep_notes
from cross_init.watch.status_socket import StatusSocket
from cross_init.watch.wire import Malformed, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cross_init.resident.kept import Kept
    from cross_init.watch.event_loop import Timer

BACKLOG = 4096
BRIDGES_AT_ONCE = 16
PATIENCE_S = 5.0  # for who has connected and says nothing
OF_EACH = 8  # open files that one service may take
HURRY, HURRY_S = -20, 1.0  # nice(2), and for how long behind the last one that was handed over
DELETED = " (deleted)"
SPARE = 64  # and that are for everything else
TIDY_S = 600.0  # between two times at which it is looked for what killed watchers have left
SAME = ("ns/pid", "ns/mnt", "ns/net", "root")  # of a daemon that can be watched from here


class Resident:
    """All that is watched from here. services: by their names here; most: how many there may be."""

    def __init__(self, begun: Begun) -> None:
        """Raises OSError, Failure."""
        self.loop = ManyLoop()
        self.services: dict[str, Tended | Heard] = {}
        self.nice = posix.getpriority(posix.PRIO_PROCESS, 0)
        self.hurried = 0.0  # when we were last in a hurry, monotonic
        self.slow_down: Timer | None = None  # when it is looked whether we still are
        self.most = max((posix.sysconf("SC_OPEN_MAX") - SPARE) // OF_EACH, 1)
        self.folder = base = begun.folder
        self.lock = begun.lock
        self.world = world_of("self")
        self.deposit = Deposit(base + KEPT, begun.deposit, offered(self.loop, begun.files))
        self.loop.watch(self.deposit.fileno(), self._renew_deposit)
        self.outside = Outside(self)
        self._take_over()
        self.outside.begin()
        self.listener = listening(base + SERVE, BACKLOG)
        Acceptor(self.loop, self.listener, self._let_in, BRIDGES_AT_ONCE)
        try:
            StatusSocket(self.loop, self._describe)
        except OSError:
            pass  # it works without
        self._tidy()

    def _describe(self) -> bytes:
        return b"".join(encode(service.describe()) for service in self.services.values())

    # What is handed over.

    def _let_in(self, bridge: _socket.socket) -> None:
        bridge.setblocking(False)
        self.hurry()
        try:
            self._hear(bridge)  # it speaks at once
        except BlockingIOError:
            self._wait_for(bridge)
            return
        bridge.close()

    def hurry(self) -> None:
        """Be served before those who wait for us, for a while: a machine that boots is a busy one."""
        self.hurried = monotonic()
        if self.slow_down is None:
            self._set_priority(HURRY)
            self.slow_down = self.loop.after(HURRY_S, self._look_whether_to_hurry)

    def _look_whether_to_hurry(self) -> None:
        left_s = self.hurried + HURRY_S - monotonic()
        if left_s > 0:
            self.slow_down = self.loop.after(left_s, self._look_whether_to_hurry)
        else:
            self.slow_down = None
            self._set_priority(self.nice)

    def _set_priority(self, nice: int) -> None:
        """Ours, and that of the deposit, which we wait for."""
        set_priority(0, nice)
        set_priority(self.deposit.pid, nice)

    def be_as_before(self) -> None:
        """In a child of ours that is in no hurry."""
        set_priority(0, self.nice)

    def _wait_for(self, bridge: _socket.socket) -> None:
        """Hear it when it has spoken."""
        timer = self.loop.after(PATIENCE_S, lambda: done())

        def done() -> None:
            self.loop.cancel(timer)
            self.loop.forget(bridge.fileno())
            bridge.close()

        def hear() -> None:
            try:
                self._hear(bridge)
            finally:
                done()

        self.loop.watch(bridge.fileno(), hear)

    def _hear(self, bridge: _socket.socket) -> None:
        """Take a daemon over, or say why not. Raises BlockingIOError if nothing was said yet."""
        fds: list[int] = []
        taken: Handed | None = None
        try:
            room = _socket.CMSG_SPACE(4 * FDS_MAX)
            try:
                data, extra, flags, _ = bridge.recvmsg(LONGEST + 1, room, _socket.MSG_CMSG_CLOEXEC)
            except BlockingIOError:
                raise
            except OSError:
                return  # it has gone
            fds = [fd for _, kind, given in extra if kind == _socket.SCM_RIGHTS for fd in numbers(given)]
            if not data:
                return  # it has gone
            if flags & _socket.MSG_CTRUNC:
                raise Malformed("the limit on open files is reached here")
            taken = self._take(bridge, data, fds)
        except (Malformed, Failure) as error:
            answer(bridge, REFUSED + str(error).encode("utf-8", "replace")[:400])
        except BlockingIOError:
            raise
        except OSError as error:
            answer(bridge, REFUSED + why(error).encode())
        finally:
            if taken is None:
                for fd in fds:
                    posix.close(fd)

    def _take(self, bridge: _socket.socket, data: bytes, fds: list[int]) -> Handed | None:
        """Watch this from now on; None if its bridge does so by now. Raises Malformed, Failure, OSError."""
        pid, user, _ = credentials(bridge.fileno())
        if user != posix.geteuid():
            raise Malformed("it watches for its own user alone")
        if len(self.services) >= self.most:
            raise Malformed(f"it has {self.most} services, and no room for more (ulimit -n)")
        if len(fds) < len(ONE) or process_of(fds[1]) != pid:
            raise Malformed("it watches a process for that process alone")
        if world_of(str(pid)) != self.world:
            raise Malformed("it is in other namespaces, or has another root")
        changes = b""
        if data.startswith(BEGINNING):
            handed, changes = begin(data, fds, pid)
        else:
            handed = Handed(data, fds)
        name = posix.urandom(ID).hex()
        is_ours = False
        try:
            if handed.pid != pid or handed.pidfd != fds[1]:
                raise Malformed("it watches a process for that process alone")
            if changes:
                posix.pwrite(handed.verdict, changes, BEHIND)  # before anybody may take it over
            self._put(name, handed.data, fds)
            is_ours = verdict(handed.verdict, RESIDENTS)
        finally:
            if not is_ours:
                if changes:
                    handed.channel.discard()
                handed.disown()
                self.say(lambda: self.deposit.drop(name))
        answer(bridge, TAKEN + changes if is_ours else REFUSED)  # at once: the daemon waits for it
        if is_ours:
            self._tend(name, handed)
        return handed if is_ours else None

    def _tend(self, name: str, handed: Handed) -> Tended:
        """Watch it."""
        service = Tended(self, name, handed)
        if not service.is_over:
            self.services[name] = service
        return service

    def _put(self, name: str, data: bytes, fds: list[int]) -> None:
        """Have this outlive us. Raises OSError."""
        try:
            self.deposit.put(name, data, fds)
        except (TimeoutError, ConnectionError):
            self._renew_deposit()
            self.deposit.put(name, data, fds)

    # What outlives us.

    def _take_over(self) -> None:
        """Go on with what an earlier resident has left. Raises OSError."""
        for name, kept in self.deposit.take().items():
            if self.outside.takes(name, kept):
                continue
            try:
                self._resume(name, kept)
            except (Malformed, Failure, OSError) as error:
                print_error(f"taking over what an earlier cross-init serve has left: {error}", 0)
                if child := give_up(kept, f"what an earlier cross-init serve has left: {error}"):
                    self.reap(child, lambda status: None)
                self._forget(name, kept)

    def _forget(self, name: str, kept: "Kept") -> None:
        """It is not watched here."""
        self.deposit.drop(name)
        for fd in kept.fds:
            if fd >= 0:
                posix.close(fd)

    def _resume(self, name: str, kept: "Kept") -> None:
        handed = Handed(kept.data, kept.fds)
        if handed.verdict >= 0 and not verdict(handed.verdict, RESIDENTS):
            handed.disown()
            self._forget(name, kept)  # its bridge has taken it back
            return
        service = self._tend(name, handed)
        if not service.is_over:
            service.resume(kept.state, kept.said)

    def note(self, name: str, state: bytes) -> None:
        """Have this known after our end."""
        self.say(lambda: self.deposit.note(name, state))

    def close(self, name: str, handed: Handed, places: list[int], state: bytes) -> None:
        """The same; and the descriptors of a service that are in these places are needed no longer."""
        self.say(lambda: self.deposit.close(name, handed.data, handed.fds, places, state))

    def say(self, call: "Callable[[], None]") -> None:
        """Say something to the deposit."""
        try:
            call()
        except TimeoutError:
            self._renew_deposit()
        except OSError as error:
            if is_transient(error):
                print_error(f"noting what services have come to: {why(error)}", 0)
            # Else it has ended, which is seen by its hanging up.

    def _renew_deposit(self) -> None:
        """It has ended, or takes nothing any more: another one gets all. Raises OSError."""
        self.loop.forget(self.deposit.fileno())
        self.deposit.renew()
        self.loop.watch(self.deposit.fileno(), self._renew_deposit)
        self.outside.deposit_anew(self.deposit)
        for service in self.services.values():
            service.deposit_anew(self.deposit)

    # The end of a service, and ours.

    def bury(self, service: Tended, child: int) -> None:
        """It is over; this child of ours does what is to be done yet."""
        self.services.pop(service.id, None)
        self.reap(child, lambda status: self.say(lambda: self.deposit.drop(service.id)))

    def reap(self, child: int, callback: "Callable[[int], None]") -> None:
        """Call back with the wait status of this child of ours when it has ended."""
        reap(self.loop, posix.pidfd_open(child), child, callback)

    def _tidy(self) -> None:
        """Remove what killed watchers and residents have left."""
        folder = self.folder.decode("utf-8", "surrogateescape")
        sweep(folder)
        try:
            sweep_notes(folder)
        except OSError:
            pass
        self.loop.after(TIDY_S, self._tidy)


def world_of(process: str) -> tuple[str, ...]:
    """Where this process is, as far as it matters for who watches it. Raises OSError."""
    return tuple(posix.readlink(f"/proc/{process}/{each}") for each in SAME)


def answer(bridge: _socket.socket, text: bytes) -> None:
    """Say this, if it is still there."""
    try:
        bridge.send(text, _socket.MSG_NOSIGNAL)
    except OSError:
        pass


def run(begun: Begun) -> None:
    """Serve until SIGTERM. Raises Failure, OSError."""
    woken, wake = posix.pipe2(posix.O_CLOEXEC | posix.O_NONBLOCK)
    _signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    for number in (_signal.SIGTERM, _signal.SIGINT, _signal.SIGHUP):
        _signal.signal(number, lambda number, frame: None)
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, {_signal.SIGHUP})  # start_anew()
    resident = Resident(begun)
    told: set[int] = set()

    def hear() -> None:
        told.update(posix.read(woken, 64))
        resident.loop.stop()

    resident.loop.watch(woken, hear)
    say(b"READY=1")
    resident.loop.run()
    if told == {_signal.SIGHUP}:
        start_anew(begun.files)
    say(b"STOPPING=1")


def start_anew(files: int) -> None:
    """A reload: become the program as it is now, which takes all over. files: the limit of ours. Raises OSError."""
    from time import CLOCK_MONOTONIC, clock_gettime_ns

    say(b"RELOADING=1\nMONOTONIC_USEC=%d" % (clock_gettime_ns(CLOCK_MONOTONIC) // 1000))
    limit_files(files)
    _signal.pthread_sigmask(_signal.SIG_BLOCK, {_signal.SIGHUP})  # another one waits for who hears it
    program = sys.argv[0]  # it may have been replaced by another version
    if "/" in program:
        posix.execve(program, [program, "serve"], posix.environ)
    program = posix.readlink("/proc/self/exe").removesuffix(DELETED)
    posix.execve(program, command_line(posix.getpid()), posix.environ)


def say(text: bytes) -> None:
    """Tell whoever started us, if he listens (sd_notify(3)): not ourselves, where the init has our socket for all."""
    address = posix.environ.get(b"NOTIFY_SOCKET", b"")
    if address in (b"", folder() + NOTIFY):
        return
    try:
        manager = Manager(address)
        try:
            manager.send(text)
        finally:
            manager.close()
    except OSError as error:
        print_error(f"telling who started us: {reason(error)}", 0)
