"""How a command is run in namespaces of its own, which end with it, and with whoever started it, however that ends.

Nothing that it mounts is mounted outside, and no process of it remains.
"""

import os

import pytest

ALONE = (
    *("setpriv", "--pdeathsig", "KILL"),
    *("unshare", "--mount", "--propagation", "private", "--mount-proc", "--pid", "--fork", "--kill-child"),
)
# The same for what boots as a machine would: with a network of its own, and mounting its own /proc.
A_MACHINE = (
    *("setpriv", "--pdeathsig", "KILL"),
    *("unshare", "--mount", "--propagation", "private", "--uts", "--ipc", "--net"),
    *("--pid", "--fork", "--kill-child"),
)


def want_machines() -> None:
    """Skip the test if it needs an init that boots, or a container, and whoever runs the tests wants none of that."""
    if os.environ.get("CROSS_INIT_TEST_MACHINES") == "no":
        pytest.skip("needs a machine inside of this one, and CROSS_INIT_TEST_MACHINES=no")
