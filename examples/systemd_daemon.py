#!/usr/bin/env python3
"""A daemon as they are written for systemd: sockets by LISTEN_FDS, readiness by a message to NOTIFY_SOCKET.

It answers each connection with one line, and ends on SIGTERM. It knows nothing of cross-init-bridge.
usage: systemd_daemon.py [FIFO]; with a FIFO, it is not ready before that is opened.
"""

import os
import signal
import socket
import sys
from types import FrameType

FIRST_FD = 3


def notify(message: str) -> None:
    """Tell the service manager, if there is one that listens (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(message.encode(), "\0" + address[1:] if address.startswith("@") else address)


def stop(number: int, frame: FrameType | None) -> None:
    """Say goodbye and end."""
    notify("STOPPING=1\nSTATUS=told to stop")
    sys.exit(0)


def main() -> None:
    """Serve the first socket that was passed."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        sys.exit("systemd_daemon: no socket was passed to this process (LISTEN_PID)")
    signal.signal(signal.SIGTERM, stop)
    if len(sys.argv) > 1:
        open(sys.argv[1], "rb").close()
    listener = socket.socket(fileno=FIRST_FD)
    notify("STATUS=waiting for clients\nREADY=1")
    while True:
        client, _ = listener.accept()
        with client:
            client.sendall(b"hello from a daemon for systemd, PID %d\n" % os.getpid())


if __name__ == "__main__":
    main()
