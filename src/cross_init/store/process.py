"""The holder's process: how it comes to be beside the daemon, where it listens, and how it ends."""

import _signal
import _socket
import errno
import posix

from cross_init.errors import Failure
from cross_init.kernel.linux import fork
from cross_init.sockets.connection import listener
from cross_init.store.client import new_name, own_names
from cross_init.store.holder import Holder
from cross_init.watch.detach import detach, ignore_stop_signals
from cross_init.watch.event_loop import EventLoop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cross_init.store.client import HolderClient

BACKLOG = 8
LONGEST = 1024
START_S = 10.0  # how long one may take that first gets back what the init's own keeper has


def start(client: "HolderClient", pidfd: int) -> int:
    """Start a holder; returns its PID when it can be asked. pidfd: what it is to follow. Raises OSError, Failure."""
    told, tell = posix.pipe2(posix.O_CLOEXEC)
    try:
        try:
            helper = fork("starting a process that keeps descriptors")
            if helper == 0:
                _in_helper(client, pidfd, tell)
        finally:
            posix.close(tell)
        said = _hear(told)
    finally:
        posix.close(told)
    try:
        posix.waitpid(helper, 0)
    except ChildProcessError:
        pass  # whoever waits for all children was first
    if not said.isdigit():
        raise OSError(errno.EIO, said or "the process that was to keep them has ended")
    return int(said)


def _hear(told: int) -> str:
    """What the new one says, within a time. Raises OSError."""
    from select import POLLIN, poll

    poller = poll()
    poller.register(told, POLLIN)
    if not poller.poll(START_S * 1000):
        raise TimeoutError(errno.ETIMEDOUT, f"the process that is to keep them has said nothing for {START_S:g} s")
    return posix.read(told, LONGEST).decode("utf-8", "replace")


def _in_helper(client: "HolderClient", pidfd: int, tell: int) -> None:
    """Between the two forks. Does not return."""
    try:
        posix.setsid()
        if posix.fork() == 0:
            _hold(client, pidfd, tell)
    finally:
        posix._exit(0)


def _hold(client: "HolderClient", pidfd: int, tell: int) -> None:
    """The holder's whole life. Does not return."""
    listener = None
    try:
        detach({pidfd, tell})
        posix.dup2(0, 2)  # it outlives the daemon, whose log must not wait for it; what is to be said is answered
        ignore_stop_signals()
        _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
        _raise_limit()
        listener = listen(client.address)
        loop = EventLoop()
        holder = Holder(loop, client, listener, pidfd)
        _call_when_told_to_end(loop, holder.told_to_end)
        posix.write(tell, b"%d" % posix.getpid())
        posix.close(tell)
        loop.run()
        # Whoever connects from now on finds nobody, or is cut off, and starts another one.
        assert not holder.entries
    except (OSError, Failure) as error:
        try:
            posix.write(tell, (getattr(error, "strerror", None) or str(error)).encode("utf-8", "replace"))
        except OSError:
            pass  # it was told already
    finally:
        if listener is not None and isinstance(client.address, str):
            try:
                posix.unlink(client.address)
            except OSError:
                pass
        posix._exit(0)


def _call_when_told_to_end(loop: EventLoop, callback: "Callable[[], None]") -> None:
    """Call back when SIGTERM comes. Raises OSError."""
    woken, wake = posix.pipe2(posix.O_CLOEXEC | posix.O_NONBLOCK)
    _signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    _signal.signal(_signal.SIGTERM, lambda number, frame: None)

    def hear() -> None:
        if _signal.SIGTERM in posix.read(woken, 64):
            callback()

    loop.watch(woken, hear)


def _raise_limit() -> None:
    """As many open files as we are allowed at all."""
    try:
        from resource import RLIM_INFINITY, RLIMIT_NOFILE, getrlimit, setrlimit

        hard = getrlimit(RLIMIT_NOFILE)[1]
        if hard != RLIM_INFINITY:
            setrlimit(RLIMIT_NOFILE, (hard, hard))
    except (ImportError, ValueError, OSError):
        pass  # Debian's python3-minimal has no such module; what was given has to do


def listen(address: str | bytes) -> _socket.socket:
    """A socket there, in the place of one that was left by a holder that was killed. Raises OSError.

    address: a path, or how an abstract name begins. One holder alone may be there.
    """
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK)
    before = posix.umask(0o077)
    try:
        try:
            sock.bind(address if isinstance(address, str) else new_name(address))
        except OSError as error:
            if error.errno != errno.EADDRINUSE or not isinstance(address, str) or not is_abandoned(address):
                raise
            posix.unlink(address)
            sock.bind(address)
        sock.listen(BACKLOG)
        if isinstance(address, bytes) and len(own_names(address)) != 1:
            raise OSError(errno.EADDRINUSE, "another process that keeps them was started at the same time")
    except BaseException:
        sock.close()
        raise
    finally:
        posix.umask(before)
    return sock


def is_abandoned(path: str) -> bool:
    """Whether nobody listens there any more."""
    try:
        listener(path, _socket.SOCK_SEQPACKET)
    except ConnectionRefusedError:
        return True
    except OSError:  # its queue is full, for one
        pass
    return False
