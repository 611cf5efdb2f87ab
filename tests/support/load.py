"""A machine that is busy: one process for each processor that never rests, as long as a test wants them."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def busy() -> Iterator[None]:
    """Keep every processor busy meanwhile."""
    burners = [subprocess.Popen(["/bin/sh", "-c", "while :; do :; done"]) for _ in os.sched_getaffinity(0)]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()
