"""A resident that is killed at random, shortly; tests/resident_kills.py does it for longer."""

import pytest

from tests.resident_kills import campaign

SEED = 13


@pytest.mark.parametrize("is_bridged", [True, False])
def test_a_resident_that_is_killed_again_and_again_loses_nothing(is_bridged: bool) -> None:
    campaign(10, 8, SEED, is_bridged)
