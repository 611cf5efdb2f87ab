"""What no other process that runs tests uses meanwhile, though all of the machine share it: ports, abstract names.

There are several: the workers of a run, and those of other runs.
"""

import itertools
import os
import socket
import stat
from pathlib import Path

# For abstract names and the like: not in a parameter of a test, which has the same name in each worker.
OWN = f"cross-init-test-{os.getpid()}"
# A user of no name. How many descriptors of one user's are on their way is limited for all of its processes together.
# Not in a parameter of a test either.
STRANGER = 20_000 + os.getpid() % 20_000
# Below those that the kernel gives at any time to who asks for none (ip_local_port_range, ip(7)).
_FIRST_PORT, _PORTS = 10_000, 20_000
_ports = itertools.count(os.getpid() * 1009)


def free_port(kind: int = socket.SOCK_STREAM, host: str = "127.0.0.1") -> int:
    """A port that nobody uses just now, and that was not given before for a long time. Raises OSError."""
    for number in itertools.islice(_ports, _PORTS):
        port = _FIRST_PORT + number % _PORTS
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind) as probe:
            try:
                probe.bind((host, port))
            except OSError as error:
                taken = error
            else:
                return port
    raise taken


def open_to_others(folder: Path) -> None:
    """Let other users into this folder of a test's, and into those above it, which pytest makes for its user alone."""
    for each in (folder, *folder.parents):
        mode = each.stat().st_mode
        if not mode & stat.S_IXOTH:
            each.chmod(stat.S_IMODE(mode) | 0o055)
