"""Programs that are called beside the daemon."""

import os
import subprocess

import pytest

from tests.support.command import ROOT

NOBODY = 65534
# Where no process is to be had; printed is what spawn() says.
CALLS = """
import errno, os, resource, sys
sys.path.append(sys.argv[1])
from cross_init.kernel.called import spawn
resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
os.setgroups([])
os.setresuid(*[int(sys.argv[2])] * 3)
try:
    spawn(("true",), ())
except OSError as error:
    print(type(error).__name__, errno.errorcode[error.errno], error.strerror)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become a user")
def test_that_there_is_no_process_is_not_that_there_is_no_news() -> None:
    words = ["/usr/bin/python3", "-ISc", CALLS, str(ROOT / "src"), str(NOBODY)]
    said = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout
    assert said.startswith("OSError ENOMEM the kernel gave no process for it")
