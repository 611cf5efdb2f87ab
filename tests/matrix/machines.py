"""Drivers for systemd as PID 1 of a container: units of the system's manager, and of a user's."""

import itertools
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.matrix.daemons import outermost
from tests.matrix.driver import Driver
from tests.support.containers import BRIDGE, INSIDE
from tests.support.systemd import Manager, Unit

_numbers = itertools.count()


class Systemd(Driver):
    """A unit with Type=notify."""

    def __init__(self, manager: Manager, stack: ExitStack) -> None:
        self.manager = manager
        self.stack = stack
        run = f"/run/user/{manager.user}" if manager.user else "/run"
        self.runtime = manager.container.root / run.lstrip("/")
        self.here = f"{run}/matrix-{os.getpid()}-{next(_numbers)}.d"
        self.folder = manager.container.root / self.here.lstrip("/")
        self.folder.mkdir(mode=0o755)
        os.chown(self.folder, manager.user, manager.user)
        self.bridge, self.project = BRIDGE, INSIDE
        self.unit: Unit

    def entering(self, *words: str) -> tuple[list[str], dict[str, str]]:
        container, user = self.manager.container, self.manager.user
        return container.enter(*words, user=user), container.environment(user)

    def install(self, words: list[str]) -> None:
        text = f"Type=notify\nTimeoutStopSec=10\nExecStart={' '.join(words)}"
        self.unit = self.stack.enter_context(self.manager.unit(text))

    def begin(self) -> None:
        self.unit.begin("start")

    def is_ready(self) -> bool:
        return self.unit.show("ActiveState") == "active"

    def main_pid(self) -> int:
        return outermost(self.manager.container.pid, self.unit.main_pid)

    def is_down(self) -> bool:
        return self.unit.show("ActiveState") in ("failed", "inactive")

    def stop(self) -> None:
        self.unit.stop()


@contextmanager
def unit(manager: Manager) -> Iterator[Driver]:
    """A unit; it goes with all that it runs."""
    with ExitStack() as stack:
        yield Systemd(manager, stack)
