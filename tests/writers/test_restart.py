"""A ./finish has a service started anew where systemd would: as cross-init run --restart decides, for each end."""

import os
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cross_init.definitions.definition import Definition
from cross_init.running.again import is_due
from cross_init.running.result import result
from cross_init.writers.restart import lines

RESTARTS = ("no", "on-success", "on-failure", "on-abnormal", "on-abort", "always")
ENDS = [*((code << 8) for code in (0, 1, 2, 3, 125, 255)), *(1, 2, 6, 9, 11, 13, 15)]  # wait statuses
codes = st.sets(st.sampled_from([0, 1, 2, 3, 255]), max_size=3).map(tuple)
signals = st.sets(st.sampled_from([1, 6, 9, 15]), max_size=2).map(tuple)
statuses = st.tuples(codes, signals)
RUN_S = 60


@pytest.mark.parametrize("by_signal", ["256", "-1"])
@settings(max_examples=40, deadline=None)
@given(st.sampled_from(RESTARTS), st.sampled_from(["simple", "oneshot"]), statuses, statuses, statuses)
def test_it_is_started_anew_where_systemd_does(
    by_signal: str,
    restart: str,
    kind: str,
    success: tuple[tuple[int, ...], tuple[int, ...]],
    prevent: tuple[tuple[int, ...], tuple[int, ...]],
    force: tuple[tuple[int, ...], tuple[int, ...]],
) -> None:
    definition = Definition("web.service")
    definition.readiness.type = kind
    ending = definition.ending
    ending.restart = restart
    ending.success_exit_status = success
    ending.restart_prevent_exit_status = prevent
    ending.restart_force_exit_status = force
    script = "\n".join(("one() {", *lines(definition, by_signal, "return 125"), "return 0", "}"))
    asks = []
    for status in ENDS:
        code, number = (by_signal, status) if os.WIFSIGNALED(status) else (status >> 8, 0)
        asks.append(f"one {code} {number}; echo $?")
    read = subprocess.run(
        ["/bin/sh", "-c", "\n".join((script, *asks))], capture_output=True, text=True, check=True, timeout=RUN_S
    )
    found = [line == "0" for line in read.stdout.split()]
    assert found == [is_due(ending, result(status, ending, kind == "oneshot"), status) for status in ENDS]
