"""The static file, made of the checkout as it is."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import ROOT
from tests.support.packages import need
from tools.make_static import MINOR, NEWEST

NEEDED = ("gcc", "binutils", "libc6-dev", "libpython3-dev", "zlib1g-dev", "libseccomp-dev", "python3-jeepney")


def static(folder: Path) -> Path:
    """The static file, made there."""
    if MINOR > NEWEST:
        pytest.skip(f"Debian's static libpython3.{MINOR} is not whole: the file is made on Debian 12 or 13")
    need(*NEEDED)
    path = folder / "cross-init-bridge"
    subprocess.run([sys.executable, "-I", ROOT / "tools/make_static.py", path], check=True, capture_output=True)
    return path
