#!/usr/bin/env python3
"""A daemon that knows of no init: it opens a UNIX socket when it is ready, and says so to nobody. It ends on SIGTERM.

usage: plain_daemon.py SOCKET [FIFO]; with a FIFO, it is not ready before that is opened.
"""

import os
import socket
import sys


def main() -> None:
    """Serve, one line to each client."""
    if len(sys.argv) > 2:
        open(sys.argv[2], "rb").close()
    if os.path.exists(sys.argv[1]):
        os.unlink(sys.argv[1])  # left by one that was killed
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(sys.argv[1])
    listener.listen()
    while True:
        client, _ = listener.accept()
        with client:
            try:
                client.sendall(b"hello from a plain daemon, PID %d\n" % os.getpid())
            except BrokenPipeError:
                pass  # a client that only looked whether somebody is there


if __name__ == "__main__":
    main()
