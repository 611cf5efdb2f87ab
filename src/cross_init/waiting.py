"""--wait-for-client: start the daemon only when a client waits, as an init does that starts it because of one."""

from select import POLLIN, poll

from cross_init.model import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.launch import Start


def wait_for_client(start: "Start") -> None:
    """Return when one of the sockets has a client, or a datagram, for the daemon. Raises Failure, OSError."""
    sockets = [passed for passed in start.sockets if passed.is_socket or passed.kind == "FIFO"]
    if not sockets:
        raise Failure(
            f"--wait-for-client: {start.init.called} passed no socket to wait on; give the job one, or use --listen"
        )
    poller = poll()
    for passed in sockets:
        poller.register(passed.fd, POLLIN)
    text = "waiting for a client on " + ", ".join(passed.where() for passed in sockets)
    while True:
        again_s = start.init.waiting(start.original, text) if start.wish.notify else None
        if poller.poll(None if again_s is None else again_s * 1000):
            return
