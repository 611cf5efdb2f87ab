#!/usr/bin/env python3
"""A daemon as they are written for init scripts: it forks twice, leaves a PID file, and its first process ends with 0.

It ends on SIGTERM, and removes its PID file. usage: sysv_daemon.py PIDFILE [FIFO]; with a FIFO, it is not ready before
that is opened.
"""

import os
import signal
import sys


def main() -> None:
    """Leave, get ready, let the first process end, and wait for the end."""
    ready, tell = os.pipe()
    if os.fork():
        os.close(tell)
        os._exit(0 if os.read(ready, 1) else 1)
    os.setsid()
    if os.fork():
        os._exit(0)
    os.chdir("/")
    if len(sys.argv) > 2:
        open(sys.argv[2], "rb").close()
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])  # from now on it is waited for
    with open(sys.argv[1], "w") as pid_file:
        pid_file.write(f"{os.getpid()}\n")
    os.write(tell, b"r")
    os.close(tell)
    os.close(ready)
    signal.sigwait([signal.SIGTERM])
    if os.path.exists(sys.argv[1]):
        os.unlink(sys.argv[1])


if __name__ == "__main__":
    main()
