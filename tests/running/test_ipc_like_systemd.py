"""RemoveIPC= under a real systemd and under cross-init run: what is left when a service has ended."""

import json

import pytest

from tests.support.containers import FRONT_DOOR, INSIDE
from tests.support.systemd import Host, Manager

LEAVES = f"{INSIDE}/tests/support/ipc_left.py"
SEEN = "/usr/bin/python3", "-IS", LEAVES
# By whose they are, nothing of what is left counts but this. A user's of whom nothing else runs.
CASES = {
    "user": "User=games\nRemoveIPC=yes",
    "nobody's wish": "User=games",
    "group": "Group=games\nRemoveIPC=yes",
    "user of another group": "User=games\nGroup=mail\nRemoveIPC=yes",
    "root": "RemoveIPC=yes",
    "dynamic": "DynamicUser=yes",
    "it has failed": "User=games\nRemoveIPC=yes\nExecStartPost=/bin/false",
}
HELD = "someone of the user's is there"


def left(manager: Manager) -> list[list[object]]:
    """What there is, and whose, if that is somebody's who is there at each start."""
    found: list[list[object]] = json.loads(manager.container.run(*SEEN).stdout)
    manager.container.run(*SEEN, "--clear")
    return found


@pytest.mark.parametrize("case", [*CASES, HELD])
def test_the_same_is_left(host: Host, case: str) -> None:
    manager = host.system
    name = f"ipc-{'-'.join(case.replace(chr(39), '').split())}"
    lines = CASES.get(case, CASES["user"])
    unit = manager.folder / f"{name}.service"
    unit.write_text(f"[Service]\nType=oneshot\n{lines}\nExecStart={' '.join(SEEN)} {name}\n")
    holder = manager.folder / "ipc-holder.service"
    holder.write_text("[Service]\nUser=games\nExecStart=/bin/sleep infinity\n")
    manager.container.run(*SEEN, "--clear")
    try:
        manager.systemctl("daemon-reload")
        if case == HELD:
            manager.systemctl("start", holder.name)
        manager.systemctl("start", unit.name, check=False)
        manager.have_ended(unit.name)
        theirs = left(manager)
        manager.container.run(FRONT_DOOR, "run", "--init", "none", unit.name, check=False)
        assert left(manager) == theirs
        assert bool(theirs) == (case in ("nobody's wish", "root", HELD))
    finally:
        manager.systemctl("stop", holder.name)
        for file in (unit, holder):
            file.unlink()
        manager.systemctl("daemon-reload")
        manager.systemctl("reset-failed", check=False)
