"""A resident that is killed at random, shortly; tests/resident_kills.py does it for longer."""

from tests.resident_kills import campaign

SEED = 13


def test_a_resident_that_is_killed_again_and_again_loses_nothing() -> None:
    campaign(kills=10, count=8, seed=SEED)
