#!/usr/bin/env python3
"""A daemon as they are written for dinit: any write to the descriptor that READY_FD names says that it is ready.

In dinit's words, "ready-notification = pipevar:READY_FD"; for the bridge, -t dinit:var=READY_FD. It ends on SIGTERM.
usage: dinit_daemon.py [FIFO]; with a FIFO, it is not ready before that is opened.
"""

import os
import signal
import sys


def main() -> None:
    """Get ready, and wait for the end."""
    if len(sys.argv) > 1:
        open(sys.argv[1], "rb").close()
    with open(int(os.environ["READY_FD"]), "wb") as ready:
        ready.write(b"ready")
    signal.pause()


if __name__ == "__main__":
    main()
