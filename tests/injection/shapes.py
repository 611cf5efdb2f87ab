"""The starts that faults are made in: each shape, on each kind of init that hears it in another way, and the extras.

A row names who plays the init (inits.py, s6.py, machine.py), the bridge's options and how the daemon gets ready
(daemon.c). PLACE in them stands for the folder where the bridge may leave something, which is its working directory.
"""

from dataclasses import dataclass

NOTIFY, STOP = ("notify",), ("stop",)


@dataclass(frozen=True)
class Shape:
    """One kind of start.

    init: a stand-in's name, or a real one. hands_over: the daemon is the main process once it is ready; we are gone.
    waits: the init is told when the daemon is ready. stays: names in PLACE that may remain: nobody is misled by them.
    """

    init: str
    options: tuple[str, ...]
    daemon: tuple[str, ...]
    hands_over: bool = False
    waits: bool = True
    health: str = ""  # where HTTP is answered
    stays: tuple[str, ...] = ()
    serves: str = ""  # the socket where clients get a daemon each

    @property
    def is_real(self) -> bool:
        """Whether the init is no stand-in."""
        return self.init in ("s6-supervise", "systemd-manager")


SYSTEMD = ("-t", "systemd", "-N")
UPSTART = ("-t", "upstart", "-N")
PID_FILE = ("--pid-file", "PLACE/pid")
SHAPES: dict[str, Shape] = {
    "exec": Shape("none", ("-t", "systemd"), NOTIFY, waits=False),
    "watch, none": Shape("none", SYSTEMD, NOTIFY),
    "watch, s6": Shape("s6", SYSTEMD, NOTIFY),
    "watch, Upstart": Shape("upstart", SYSTEMD, NOTIFY),
    "watch, end after ready": Shape("s6", (*SYSTEMD, "--end-after-ready"), NOTIFY),
    "watch, health, state file": Shape(
        "none",
        (*SYSTEMD, "--health-listen", "unix:PLACE/health", "--state-file", "PLACE/state"),
        NOTIFY,
        health="PLACE/health",
        stays=("state",),
    ),
    "watch, file, log": Shape(
        "s6",
        ("-t", "plain", "--ready-when", "file:PLACE/made", "--ready-when", "log:ready"),
        ("file", "PLACE/made", "print"),
        stays=("made",),
    ),
    "hand over, systemd": Shape("systemd", UPSTART, STOP, hands_over=True),
    "supervise, none": Shape("none", (*SYSTEMD, "--supervise"), NOTIFY),
    "supervise, systemd": Shape("systemd", (*SYSTEMD, "--supervise"), NOTIFY),
    "supervise, s6 and Upstart": Shape("s6", UPSTART, STOP),
    "supervise, forks away": Shape(
        "s6", ("-t", "sysv", "-N", "--pid-file", "PLACE/daemon"), ("fork", "PLACE/daemon"), stays=("daemon",)
    ),
    "supervise, watchdog, health": Shape(
        "none",
        (*SYSTEMD, "--supervise", "--watchdog", "30", "--health-listen", "tcp:127.0.0.1:8080"),
        ("notify", "watchdog"),
        health="127.0.0.1:8080",
    ),
    "serve": Shape(
        "none",
        ("-t", "inetd:nowait", "-N", "--listen", "unix:PLACE/socket"),
        NOTIFY,
        serves="PLACE/socket",
        stays=("socket",),
    ),
    "front": Shape("front", (*SYSTEMD, "--daemonize", *PID_FILE), NOTIFY, hands_over=True, stays=("pid",)),
    "front, Upstart": Shape("front", (*UPSTART, "--daemonize", *PID_FILE), STOP, hands_over=True, stays=("pid",)),
    "process 1": Shape("container", (*SYSTEMD, "--state-file", "PLACE/state"), NOTIFY, stays=("state",)),
    "s6-supervise, watch": Shape("s6-supervise", SYSTEMD, NOTIFY),
    "s6-supervise, Upstart": Shape("s6-supervise", UPSTART, STOP),
    "s6-supervise, store": Shape("s6-supervise", (*SYSTEMD, "--fd-store", "4"), ("store", "notify")),
    "systemd, hand over": Shape("systemd-manager", UPSTART, STOP, hands_over=True),
    "systemd, supervise": Shape("systemd-manager", (*SYSTEMD, "--supervise"), NOTIFY),
}
