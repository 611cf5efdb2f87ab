"""A short soak: services started, reloaded, crashed and stopped in random order; tests/soak.py does it for longer."""

import os
import random

import pytest

from tests.soak import init_of, soak

SERVICES, SECONDS, SEED = 6, 8, 20261124


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for the inits")
@pytest.mark.parametrize(("name", "has_resident"), [("s6", False), ("s6", True), ("systemd", False)])
def test_nothing_is_left_and_no_wrong_state_is_reported(name: str, has_resident: bool) -> None:
    with init_of(name, SERVICES, has_resident) as init:
        done = soak(init, name, SERVICES, SECONDS, random.Random(SEED))
    assert all(done.values()), done
