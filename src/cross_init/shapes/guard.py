"""The guard: a small process beside the bridge while that supervises, for what the bridge cannot do itself.

It ends the daemon, with the processes below it, when the bridge is gone without having ended it first: killed. The
kernel's own means, a parent's death signal, is lost when the daemon changes its user (PR_SET_PDEATHSIG, prctl(2)).

Where readiness is said by stopping the main process, it looks a while later whether the init has heard: we could not.

And it is the canary for signals. It blocks what it gets, so what waits at the guard was sent to all of the process
group, or of the control group, and the daemon has it as well. Where the daemon is in another process group, so is the
guard: an init that kills the group of its main process (Upstart, when a stop takes too long) must not kill it.

This is the bridge's side; guarding.py is the guard's own.
"""

import _signal
import _socket
import posix
import sys

from cross_init.errors import print_error, print_unexpected, why
from cross_init.kernel.linux import fork

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from cross_init.launch import Start

# What the two say to each other: one packet each, which begins so.
# To the guard: end this process as well if we are killed (its pidfd is with it); whether it was sent this signal too
# (the number stands behind); look whether the init has heard; it is all over.
FOLLOW, ASK, LOOK, GOODBYE = b"f", b"a", b"l", b"g"
# A variable by which the guard knows processes that have left those that it was told of, in the moment in which the
# bridge is killed. systemd gives it to all services, a new value at each start (systemd.exec(5)).
MARK = b"INVOCATION_ID"
# Its answers to ASK.
YES, NO = b"y", b"n"
# What is said when it has ended before we have.
UNGUARDED = "the process that guards it has ended: if this one is killed as well, the daemon stays"
AT_ONCE = _socket.MSG_NOSIGNAL | _socket.MSG_DONTWAIT  # a guard that was stopped reads nothing
END_MS = 2000  # it may have something to say first
ANSWER_MS = 200  # it is asked for nothing that takes time; one that was stopped must not stop us


class Guard:
    """The guard, as the bridge has it. pid: to be told apart from the daemon's processes; 0 before it is started."""

    def __init__(self, start: "Start", leaves_group: bool) -> None:
        """Whoever has this can be enrolled, and is heard when the guard has been started. Raises OSError."""
        self.start = start
        self.leaves_group = leaves_group
        self.socket, self.theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
        self.pid = 0
        self.sleeps = -1  # while this pipe is open

    def begin(self) -> None:
        """Start it, to sleep until it is woken up. Raises Failure, OSError.

        To be called while this process has one thread, with its signals blocked.
        """
        bridge = posix.getpid()
        pidfd = posix.pidfd_open(bridge)  # taken before the fork, so it cannot name another process
        woken, self.sleeps = posix.pipe2(posix.O_CLOEXEC)
        self.pid = fork("starting the daemon's guard")
        if self.pid == 0:
            try:
                self.socket.close()
                posix.close(self.sleeps)
                if self.leaves_group:
                    posix.setsid()
                # Before the bridge is up, or gone, there is nothing to do, and the daemon's start would be delayed.
                posix.read(woken, 1)
                from cross_init.shapes.guarding import run

                run(self.theirs, self.start, bridge, pidfd)
            except OSError as error:  # the limit on open files
                print_error(f"guarding the daemon: {why(error)}", 0)
            except Exception as error:
                print_unexpected(error)
            finally:
                posix._exit(0)
        self.theirs.close()
        posix.close(woken)
        posix.close(pidfd)

    def wake(self) -> None:
        """Have it see to what it is for, now that we are up; it wakes up by itself when we are gone."""
        posix.close(self.sleeps)

    def enrol(self) -> None:
        """In a new process that is about to become a daemon: it is to be ended if the bridge is killed.

        Nobody else could say so early enough. The guard may not be up yet: the message waits in the socket, and the
        bridge's end hangs up, when the bridge is gone, no sooner than this process has lost its copy at exec.
        """
        try:
            pidfd = posix.pidfd_open(posix.getpid())
            try:
                self._follow(pidfd)
            finally:
                posix.close(pidfd)
        except OSError as error:  # no reason not to serve
            print_error(f"having the daemon guarded: {why(error)}; if the bridge is killed, the daemon stays", 0)

    def follow(self, pidfd: int) -> None:
        """This process, too, is to be ended if we are killed."""
        try:
            self._follow(pidfd)
        except OSError:
            pass  # somebody has killed or stopped it; the service goes on without

    def _follow(self, pidfd: int) -> None:
        rights = pidfd.to_bytes(4, sys.byteorder)
        self.socket.sendmsg([FOLLOW], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)], AT_ONCE)

    def follow_all(self, pids: "Sequence[int]") -> None:
        """These as well; they are ours to wait for, or below those that are."""
        for pid in pids:
            try:
                pidfd = posix.pidfd_open(pid)
            except OSError:
                continue  # it has ended
            self.follow(pidfd)
            posix.close(pidfd)

    def has(self, number: int) -> bool:
        """Whether the guard was sent this signal too, since it was asked last."""
        from select import POLLIN, poll

        try:
            self.socket.send(ASK + bytes((number,)), AT_ONCE)
            answered = poll()
            answered.register(self.socket.fileno(), POLLIN)
            return bool(answered.poll(ANSWER_MS)) and self.socket.recv(1) == YES
        except OSError:
            return False

    def check_heard(self) -> None:
        """The init is about to be told that we, the main process, are ready: see whether it has heard."""
        try:
            self.socket.send(LOOK, AT_ONCE)
        except OSError:
            pass

    def dismiss(self) -> None:
        """The daemon has ended, and we are about to: the guard goes first, where somebody has stopped it as well."""
        from select import poll

        try:
            self.socket.send(GOODBYE, AT_ONCE)
            hangs_up = poll()
            hangs_up.register(self.socket.fileno(), 0)
            hangs_up.poll(END_MS)
        except OSError:
            pass  # it has gone already
        try:
            if not posix.waitpid(self.pid, posix.WNOHANG)[0]:
                posix.kill(self.pid, _signal.SIGKILL)  # our child, not waited for: the PID is still its own
                posix.waitpid(self.pid, 0)
        except ChildProcessError:
            pass  # killed, and reaped already
        self.socket.close()
