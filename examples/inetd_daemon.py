#!/usr/bin/env python3
"""A daemon as they are written for inetd's "wait": standard input is the socket that listens. It ends on SIGTERM.

It writes the file READY when it serves. usage: inetd_daemon.py READY [FIFO]; with a FIFO, not before that is opened.
"""

import os
import socket
import sys


def main() -> None:
    """Serve, one line to each client."""
    if len(sys.argv) > 2:
        open(sys.argv[2], "rb").close()
    with open(sys.argv[1], "w") as ready:
        ready.write(f"{os.getpid()}\n")
    with socket.socket(fileno=0) as listener:
        while True:
            client, _ = listener.accept()
            with client:
                client.sendall(b"hello from a daemon for inetd, PID %d\n" % os.getpid())


if __name__ == "__main__":
    main()
