"""Services that no bridge of ours is on the way of: NOTIFY_SOCKET leads to a resident (tests/support/resident.py)."""

from pathlib import Path

from tests.support.command import FRONT_DOOR, script
from tests.support.puppet import Puppet, Stage
from tests.support.resident import PUPPET, Machine, Service
from tests.support.waiting import until

NOTIFY = "/run/cross-init/notify"
ALONE = ["cross-init-all", "cross-init-kept"]  # all that is there of ours
SETTING = f"export NOTIFY_SOCKET={NOTIFY}\n"


class Plain(Service):
    """A service directory with this as its run script, and who supervises it."""

    def __init__(self, machine: Machine, program: str, name: str, text: str) -> None:
        self.machine = machine
        self.folder = machine.folder / name
        self.folder.mkdir()
        self.log_path = self.folder / "log"
        script(self.folder, "run", f"#!/bin/sh\nexec 2>>log\n{SETTING}{text}\n")
        if program == "s6-supervise":
            (self.folder / "notification-fd").write_text("3\n")
        else:
            script(self.folder, "check", f"#!/bin/sh\nexec {FRONT_DOOR} check\n")
        self.process = machine.spawn(program, str(self.folder))


def opened(machine: Machine, name: str) -> Stage:
    """Where the puppets of a service come to."""
    made = Stage(machine.folder / f"stage-{name}")
    machine.stages.append(made)
    return made


def puppet_line(machine: Machine, name: str) -> str:
    """How a run script becomes a puppet."""
    return f"exec /usr/bin/python3 -IS {PUPPET} {machine.folder / f'stage-{name}'}"


def plain(machine: Machine, name: str = "web", program: str = "s6-supervise") -> tuple[Plain, Puppet]:
    """A service that is being started, and its puppet."""
    stage = opened(machine, name)
    service = Plain(machine, program, name, puppet_line(machine, name))
    return service, stage.puppet()


def resident_says(machine: Machine, text: str) -> None:
    """Wait until the resident has said this."""
    until(lambda: text in log_of(machine), f"it says: {text}")


def log_of(machine: Machine) -> str:
    """All that it has said."""
    path: Path = machine.log
    return path.read_text() if path.exists() else ""
