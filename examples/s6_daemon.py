#!/usr/bin/env python3
"""A daemon as they are written for s6: it writes a newline to descriptor 3 when it is ready. It ends on SIGTERM.

It knows nothing of cross-init-bridge. usage: s6_daemon.py [FIFO]; with a FIFO, it is not ready before that is opened.
"""

import os
import signal
import sys

NOTIFICATION_FD = 3


def main() -> None:
    """Get ready, and wait for the end."""
    if len(sys.argv) > 1:
        open(sys.argv[1], "rb").close()
    os.write(NOTIFICATION_FD, b"\n")
    os.close(NOTIFICATION_FD)
    signal.pause()


if __name__ == "__main__":
    main()
