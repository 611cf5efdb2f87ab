"""Sphinx, from PyPI, in an environment beside the tests' own, as "make docs-html" has it; it is kept there."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / "build/docs-venv"
LONGEST_S = 110


def interpreter() -> Path:
    """The one that has Sphinx; skips the test if that is not to be had."""
    words = [sys.executable, "-I", *map(str, (ROOT / "tools/make_venv.py", VENV, ROOT / "docs/requirements.txt"))]
    made = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LONGEST_S)
    if made.returncode:
        pytest.skip(f"needs Sphinx, from PyPI: {made.stderr.strip().splitlines()[-1]}")
    return VENV / "bin/python"
