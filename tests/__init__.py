"""The tests. Some are programs as well (python -m tests.faults), to which nobody says where the package is."""

import sys
from pathlib import Path

if (SOURCES := str(Path(__file__).resolve().parents[1] / "src")) not in sys.path:
    sys.path.insert(0, SOURCES)
