"""A program that writes down the signals that it gets, and ends only of those that it is told to.

usage: signals_seen.py FILE [ends=NUMBER] [child=FILE] [child-ends=NUMBER] [child-exits=CODE] [exits=CODE]
                       [lives=SECONDS] [ready] [reloads=FILE [by=NUMBER]] [lingers=SECONDS]

FILE gets "here" and its PID, and then a line for each signal: its number, and the time (monotonic). child: another one
that does the same. exits: with this code, as soon as the child is there; lives: after this time, child-exits: with this
code then. ready: it says so. reloads: it says that it does, for SIGHUP or this number, and that it has when that stands
in FILE. lingers: it ends so long behind the signal that it ends of.
"""

import os
import signal
import socket
import sys
import time

LINGERS_S = 0.1  # what was sent together with its end is written down as well


def main() -> None:
    file, *words = sys.argv[1:]
    asked = dict(word.partition("=")[::2] for word in words)
    numbers = signal.valid_signals() - {signal.SIGCHLD, signal.SIGCONT}
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    reload = int(asked.get("by", signal.SIGHUP))
    if "reloads" in asked:
        signal.signal(reload, lambda *_: None)  # systemd looks whether there is a handler
    if "child" in asked:
        more = [f"ends={asked['child-ends']}"] if "child-ends" in asked else []
        more += [f"lives={asked['lives']}"] if "lives" in asked else []
        more += [f"code={asked['child-exits']}"] if "child-exits" in asked else []
        child = os.fork()
        if child == 0:
            os.execv(sys.executable, [sys.executable, "-IS", __file__, asked["child"], *more])
        while not (os.path.exists(asked["child"]) and os.path.getsize(asked["child"])):
            time.sleep(0.01)
    log = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.write(log, f"here {os.getpid()}\n".encode())
    if "ready" in asked:
        say("READY=1")
    if "exits" in asked:
        sys.exit(int(asked["exits"]))
    until = time.monotonic() + float(asked.get("lives", 3600)) if "child" not in asked else time.monotonic() + 3600
    while (left := until - time.monotonic()) > 0:
        got = signal.sigtimedwait(numbers, left)
        if got is not None:
            os.write(log, f"{got.si_signo} {time.monotonic()}\n".encode())
            if got.si_signo == reload and "reloads" in asked:
                say(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
                time.sleep(LINGERS_S)
                with open(asked["reloads"], "a") as noted:
                    noted.write("has reloaded\n")
                say("READY=1")
            if str(got.si_signo) == asked.get("ends"):
                if asked["ends"] == asked.get("child-ends"):
                    os.waitpid(child, 0)  # which of the two is first would be luck
                until = time.monotonic() + float(asked.get("lingers", LINGERS_S))
    sys.exit(int(asked.get("code", 0)))


def say(text: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.sendto(text.encode(), os.environ["NOTIFY_SOCKET"].replace("@", "\0"))


main()
