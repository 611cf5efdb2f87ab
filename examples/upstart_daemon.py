#!/usr/bin/env python3
"""A daemon as they are written for Upstart: a socket by UPSTART_FDS, readiness by stopping itself ("expect stop").

It answers each connection with one line, and ends on SIGTERM. It knows nothing of cross-init-bridge.
usage: upstart_daemon.py [FIFO]; with a FIFO, it is not ready before that is opened.
"""

import os
import signal
import socket
import sys
from types import FrameType


def stop(number: int, frame: FrameType | None) -> None:
    """End."""
    sys.exit(0)


def main() -> None:
    """Serve the socket that was passed."""
    if "UPSTART_FDS" not in os.environ:
        sys.exit("upstart_daemon: no socket was passed (UPSTART_FDS)")
    signal.signal(signal.SIGTERM, stop)
    if len(sys.argv) > 1:
        open(sys.argv[1], "rb").close()
    listener = socket.socket(fileno=int(os.environ["UPSTART_FDS"].split()[0]))
    signal.raise_signal(signal.SIGSTOP)  # "I am ready": whoever started us continues us when that is noted
    while True:
        client, _ = listener.accept()
        with client:
            client.sendall(b"hello from a daemon for Upstart, PID %d\n" % os.getpid())


if __name__ == "__main__":
    main()
