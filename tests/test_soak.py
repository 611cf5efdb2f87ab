"""A short soak: services started, reloaded, crashed and stopped in random order; tests/soak.py does it for longer."""

import os
import random

import pytest

from tests.soak import FORMS, init_of, soak

SERVICES, SECONDS, SEED = 6, 8, 20261124


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for the inits")
@pytest.mark.parametrize("name", FORMS)
def test_nothing_is_left_and_no_wrong_state_is_reported(name: str) -> None:
    with init_of(name, SERVICES) as init:
        done = soak(init, name, SERVICES, SECONDS, random.Random(SEED))
    assert all(done.values()), done
