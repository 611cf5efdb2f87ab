"""The shape "hand over": the daemon is a descendant until it is ready, then the main process; then we are gone.

Three processes, while the daemon starts:

    bridge     the main process, as the init knows it; it alone may tell the init anything
      keeper   the daemon's parent, since only a parent sees a process stop
        daemon

When the daemon is ready the keeper is let go. So the daemon is the init's own child *before* the init is told that it
is the main process: systemd takes it as one of its own, and sees its end. A daemon that said so by stopping itself is
continued only when the init knows. Until then the keeper leaves a witness (witness.py) in its place: if the bridge is
killed in the middle of this, the daemon must not stay stopped, nor run unknown to the init.

The keeper is also the canary for signals. It shares the daemon's process group and control group, and blocks what it
gets: what waits at the keeper was sent to all, so the daemon has it too, and need not get it twice.

What the bridge does then is handing_over.py, which is imported when the daemon has been forked, so it delays no start.
"""

import posix
from time import monotonic

from cross_init.errors import FAILED, Failure
from cross_init.kernel.linux import fork
from cross_init.shapes.keeper import ENDED, Keeper, keep
from cross_init.shapes.processes import block, end_like

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.launch import Start


def run(start: "Start") -> int:
    """Run the daemon until it is ready and the init's; returns the exit code to end with. Raises Failure, OSError."""
    began = monotonic()
    start.shared = posix.pidfd_open(posix.getpid())
    given = block()
    channel = start.channel(True)
    laid_out = not (start.sockets or start.watchdog_usec)  # which name the daemon's process
    if laid_out:
        start.lay_out()  # behind a fork each page that is written to is copied first
    news, tell = posix.pipe2(posix.O_CLOEXEC)
    # That the bridge is gone, however it ended, is seen by this pipe's hanging up.
    bridge, lifeline = posix.pipe2(posix.O_CLOEXEC)
    pid = fork("starting the daemon")
    if pid == 0:
        posix.close(news)
        posix.close(lifeline)
        keep(start, given, channel, tell, bridge, laid_out)
    posix.close(tell)
    posix.close(bridge)
    start.close_sockets()
    keeper = Keeper(pid, news, lifeline)
    line = keeper.read_line()
    if not line.isdigit():
        channel.discard()
        if line:  # killed before it could name itself
            start.init.ended()
            return end_like(int(line.removeprefix(ENDED)))
        if posix.WIFSIGNALED(posix.waitpid(pid, 0)[1]):
            raise Failure("starting the daemon: the process that was to start it was killed")
        return FAILED  # the keeper has said why
    from cross_init.shapes.handing_over import HandOver
    from cross_init.watch.event_loop import (
        EventLoop,  # not earlier: on a small machine the daemon's start would wait for it
    )

    loop = EventLoop()
    hand_over = HandOver(loop, start, keeper, int(line), channel, began)
    loop.run()
    return hand_over.finish()
