"""A service on a terminal, under a real systemd and under cross-init run: what it finds there, and what it leaves."""

import fcntl
import json
import os
import re
import select
import struct
import termios
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any

import pytest

from tests.definitions.test_against_systemd import version_of
from tests.support.containers import FRONT_DOOR, INSIDE, Container
from tests.support.systemd import Host, Manager
from tests.support.terminal_seen import modes, size

Found = Callable[[Manager], dict[str, list[Any]]]
TIOCSPTLCK, TIOCGPTN = 0x40045431, 0x80045430  # ioctl_tty(2), which Python 3.11 lacks
PROBE = f"{INSIDE}/tests/support/terminal_seen.py"
# What 262 asks a terminal, tells it about the service, and a reset by letters.
OF_262 = re.compile(rb"\x1bP\+q.*?\x1b\\|\x1b\]3008;.*?\x1b\\|\x1bc")
CASES = {
    "it": "StandardInput=tty",
    "it, of a main process": "StandardInput=tty\nTTYReset=yes\nType=simple",
    "it, by force": "StandardInput=tty-force\nTTYReset=yes",
    "it, or fail": "StandardInput=tty-fail\nTTYRows=33",
    "it, reset, of a user's": "StandardInput=tty\nTTYReset=yes\nUser=games\nGroup=games",
    "hung up": "StandardInput=tty\nTTYReset=yes\nTTYVHangup=yes\nUser=games",
    "size": "StandardInput=tty\nTTYRows=33\nTTYColumns=70000",
    "output alone": "StandardOutput=tty\nTTYVTDisallocate=yes",
    "error alone": "StandardError=tty\nStandardOutput=null",
    "named alone": "TTYReset=yes",
    "TERM": "StandardInput=tty\nEnvironment=TERM=xterm",
    "later": "StandardInput=tty\nExecStart=/bin/true\nExecStopPost=PROBE",
}
SINCE = {"later": 257}  # what is run at the end reads from nothing


@contextmanager
def terminal(container: Container) -> Iterator[tuple[int, int, str]]:
    """A new one in the container, that somebody has left as nobody wants it: who writes there, it, and its path."""
    above = os.open(container.root / "dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY)
    fcntl.ioctl(above, TIOCSPTLCK, struct.pack("i", 0))
    path = f"/dev/pts/{struct.unpack('i', fcntl.ioctl(above, TIOCGPTN, struct.pack('i', 0)))[0]}"
    fd = os.open(container.root / path[1:], os.O_RDWR | os.O_NOCTTY)
    try:
        found = termios.tcgetattr(fd)
        found[0] = found[1] = found[3] = 0
        found[6][termios.VINTR] = found[6][termios.VEOL] = b"x"
        termios.tcsetattr(fd, termios.TCSANOW, found)
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 10, 20, 0, 0))
        yield above, fd, path
    finally:
        os.close(fd)
        os.close(above)


def written(fd: int) -> bytes:
    """What was written to it."""
    found = b""
    while select.select([fd], [], [], 0)[0]:  # they are there already
        try:
            found += os.read(fd, 4096)
        except OSError:  # EIO: nobody has it open any more
            break
    return OF_262.sub(b"", found)


@pytest.fixture(scope="module")
def found() -> Found:
    """By case: what was seen under systemd and here, what was written, what was left. All run at once."""
    return cache(_found)


def _found(manager: Manager) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {case: [] for case in CASES}
    names = {case: f"terminal-{at}" for at, case in enumerate(CASES)}
    units = {case: manager.folder / f"{name}.service" for case, name in names.items()}
    container = manager.container
    for is_ours in (False, True):
        with ExitStack() as stack:
            terminals = {case: stack.enter_context(terminal(container)) for case in CASES}
            for case, lines in CASES.items():
                seen = container.root / f"run/{names[case]}.seen"
                seen.touch()
                seen.chmod(0o666)
                probe = f"/usr/bin/python3 -IS {PROBE} /run/{seen.name}"
                start = "" if "ExecStart=" in lines else f"ExecStart={probe}\n"
                text = f"[Service]\nType=oneshot\nTTYPath={terminals[case][2]}\n{lines}\n{start}"
                units[case].write_text(text.replace("PROBE", probe))
            if is_ours:
                runs = [f"setsid --wait {FRONT_DOOR} run --init none {unit.name} &" for unit in units.values()]
                container.run("sh", "-c", "\n".join([*runs, "wait"]))
            else:
                manager.systemctl("daemon-reload")
                manager.systemctl("start", "--wait", *(unit.name for unit in units.values()), check=False)
            for case, (above, fd, path) in terminals.items():
                seen = container.root / f"run/{names[case]}.seen"
                status = (container.root / path[1:]).stat()
                after = (modes(fd), size(fd), status.st_uid, status.st_gid) if "Type=" not in CASES[case] else None
                text = seen.read_text().replace(path, "TERMINAL")
                found[case].append((json.loads(text or "null"), written(above), after))
                seen.unlink()
    for unit in units.values():
        unit.unlink()
    manager.systemctl("daemon-reload")
    manager.systemctl("reset-failed", check=False)
    return found


@pytest.mark.parametrize("case", CASES)
def test_a_process_sees_the_same(host: Host, found: Found, case: str) -> None:
    if version_of(host.system) < SINCE.get(case, 0):
        pytest.skip(f"so it is since systemd {SINCE[case]}")
    theirs, ours = found(host.system)[case]
    assert theirs[0], "it was there"
    assert ours == theirs
