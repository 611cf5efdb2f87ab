"""A daemon for systemd that reloads: it says all that such a daemon says. usage: soak.py (systemd | upstart) TOKEN

As a daemon for Upstart it stops itself when it is ready, and says nothing else. TOKEN only marks its command line.
"""

import os
import signal
import socket
import sys
import time


def main() -> None:
    """Get ready; reload on SIGHUP; end on SIGTERM."""
    kind = sys.argv[1]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        if kind == "systemd":
            where = os.environ["NOTIFY_SOCKET"]
            sender.connect("\0" + where[1:] if where[0] == "@" else where)

        def say(text: str) -> None:
            if kind == "systemd":
                sender.send(text.encode())

        signals = (signal.SIGHUP, signal.SIGTERM)
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        say("STATUS=starting\nREADY=1")
        if kind == "upstart":
            os.kill(os.getpid(), signal.SIGSTOP)
        reloads = 0
        while signal.sigwait(signals) == signal.SIGHUP:
            reloads += 1
            say(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")
            say(f"STATUS=reloaded {reloads}\nREADY=1")
        say("STOPPING=1")


main()
