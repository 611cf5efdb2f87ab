"""The kinds of daemons: for each target the example daemon that is written for it, and how the bridge is told of it."""

from pathlib import Path

from tests.support.containers import PROJECT

# Target: the bridge's options, and the daemon's file and arguments. HERE is the folder that the daemon has to itself,
# FIFO what it waits for before it gets ready.
KINDS: dict[str, tuple[str, str]] = {
    "systemd": ("-t systemd -N --listen unix:HERE/socket", "systemd_daemon.py FIFO"),
    "upstart": ("-t upstart -N --listen unix:HERE/socket", "upstart_daemon.py FIFO"),
    "s6": ("-t s6 -N", "s6_daemon.py FIFO"),
    "dinit": ("-t dinit:var=READY_FD -N", "dinit_daemon.py FIFO"),
    "sysv": ("-t sysv -N --pid-file HERE/pid", "sysv_daemon.py HERE/pid FIFO"),
    "inetd": (
        "-t inetd:wait --listen unix:HERE/socket --ready-when file:HERE/ready",
        "inetd_daemon.py HERE/ready FIFO",
    ),
    "plain": ("-t plain --ready-when unix:HERE/socket", "plain_daemon.py HERE/socket FIFO"),
}
PYTHON = "/usr/bin/python3 -IS"


def options(kind: str, here: str, names_main: bool) -> list[str]:
    """The bridge's options for this kind of daemon, in this folder. names_main: the init reads a PID file there."""
    words = KINDS[kind][0].replace("HERE", here).split()
    return words if "--pid-file" in words or not names_main else [*words, "--pid-file", f"{here}/pid"]


def command(kind: str, here: str, project: str = str(PROJECT)) -> list[str]:
    """The daemon's command line."""
    file, *words = KINDS[kind][1].replace("HERE", here).replace("FIFO", f"{here}/fifo").split()
    return [*PYTHON.split(), str(Path(project) / "examples" / file), *words]
