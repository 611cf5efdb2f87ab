"""A daemon that says what it sees of itself, a line of JSON in a file; then a line for each signal, until it is ended.

usage: looks.py FILE HOW [WORD...]

HOW: stay, stop (stops itself first, as for Upstart), fork, daemon (forks once, or twice), exit:CODE, deaf (to SIGTERM)
"""

import json
import os
import resource
import signal
import socket
import sys

SOME = ("HUP", "INT", "USR1", "USR2", "TERM")
LIMITS = [name for name in dir(resource) if name.startswith("RLIMIT_")]


def say(path: str, **what: object) -> None:
    with open(path, "a") as file:
        file.write(json.dumps(what) + "\n")


def status(key: str) -> str:
    with open("/proc/self/status") as file:
        return next(line.split()[1] for line in file if line.startswith(f"{key}:"))


def target(fd: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}").partition(":")[0]
    except OSError:
        return ""


def sockets() -> list[object]:
    return [socket.socket(fileno=os.dup(int(fd))).getsockname() for fd in os.environ.get("UPSTART_FDS", "").split()]


def itself() -> dict[str, object]:
    umask = os.umask(0)
    os.umask(umask)
    with open("/proc/self/oom_score_adj") as file:
        score = file.read().strip()
    return {
        "argv": sys.argv[3:],
        "pid": os.getpid(),
        "ids": [*os.getresuid(), *os.getresgid()],
        "groups": sorted(os.getgroups()),
        "umask": umask,
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "oom": score,
        "cwd": os.getcwd(),
        "root": os.readlink("/proc/self/root"),
        "limits": {name: resource.getrlimit(getattr(resource, name)) for name in LIMITS},
        "environ": dict(os.environ),
        "streams": [target(fd) for fd in range(3)],
        "leads": os.getsid(0) == os.getpid(),
        "blocked": status("SigBlk"),
        "sockets": sockets(),
    }


def main() -> None:
    path, how = sys.argv[1:3]
    for _ in range({"fork": 1, "daemon": 2}.get(how, 0)):
        if os.fork():
            os._exit(0)
    say(path, **itself())
    if how.startswith("exit:"):
        sys.exit(int(how[5:]))
    wanted = {getattr(signal, f"SIG{name}") for name in SOME}
    signal.pthread_sigmask(signal.SIG_BLOCK, wanted)
    if how == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    say(path, ready=True)
    while True:
        got = signal.Signals(signal.sigwait(wanted))
        say(path, signal=got.name)
        if got in (signal.SIGTERM, signal.SIGINT) and how != "deaf":
            return


main()
