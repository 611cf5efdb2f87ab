"""A folder for units, for whoever runs them from a shell."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.unit_folder import Folder, unit_folder


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    """An empty one; what was run from it ends with the test."""
    with unit_folder(tmp_path) as made:
        yield made
