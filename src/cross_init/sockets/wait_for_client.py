"""--wait-for-client: start the daemon only when a client waits, as an init does that starts it because of one."""

from select import POLLIN, poll

from cross_init.errors import Failure
from cross_init.kernel.linux import Environment
from cross_init.model import Init
from cross_init.sockets.passed import Passed


def wait_for_client(passed_on: list[Passed], init: Init, environ: Environment, tells: bool) -> None:
    """Return when one of the sockets has a client, or a datagram, for the daemon. tells: the init waits for readiness.

    Raises Failure, OSError.
    """
    sockets = [passed for passed in passed_on if passed.is_socket or passed.kind == "FIFO"]
    if not sockets:
        raise Failure(
            f"--wait-for-client: {init.called} passed no socket to wait on; give the job one, or use --listen"
        )
    poller = poll()
    for passed in sockets:
        poller.register(passed.fd, POLLIN)
    text = "waiting for a client on " + ", ".join(passed.where() for passed in sockets)
    while True:
        again_s = init.waiting(environ, text) if tells else None
        if poller.poll(None if again_s is None else again_s * 1000):
            return
