"""The signals of an end, one behind the other; running/test_ending_like_systemd.py sees that systemd has the same."""

from signal import SIGABRT, SIGHUP, SIGINT, SIGKILL, SIGTERM, SIGUSR1

import pytest

from cross_init.watch.stages import ABORT, KILL, TERMINATE, Manner

STOP_S, ABORT_S = 2.0, 3.0
# What a unit says, by what the end begins, and which signals come of that, with how long each is waited for.
ENDS: list[tuple[dict[str, object], str, list[tuple[tuple[int, ...], float]]]] = [
    ({}, TERMINATE, [((SIGTERM,), STOP_S), ((SIGKILL,), STOP_S)]),
    ({}, ABORT, [((SIGABRT,), ABORT_S), ((SIGKILL,), STOP_S)]),
    ({}, KILL, [((SIGKILL,), STOP_S)]),
    ({"final": 0}, TERMINATE, [((SIGTERM,), STOP_S)]),
    ({"final": 0}, KILL, []),
    ({"final": SIGUSR1, "stop": SIGINT}, TERMINATE, [((SIGINT,), STOP_S), ((SIGUSR1,), STOP_S)]),
    ({"hangs_up": True}, TERMINATE, [((SIGTERM, SIGHUP), STOP_S), ((SIGKILL,), STOP_S)]),
    ({"hangs_up": True, "stop": SIGHUP}, TERMINATE, [((SIGHUP,), STOP_S), ((SIGKILL,), STOP_S)]),
    ({"hangs_up": True}, ABORT, [((SIGABRT,), ABORT_S), ((SIGKILL,), STOP_S)]),
    ({"stop_mode": ABORT}, TERMINATE, [((SIGTERM,), STOP_S), ((SIGABRT,), ABORT_S), ((SIGKILL,), STOP_S)]),
    ({"stop_mode": KILL}, TERMINATE, [((SIGTERM,), STOP_S), ((SIGKILL,), STOP_S)]),
]


def manner(said: dict[str, object]) -> Manner:
    made = Manner()
    made.stop_s, made.abort_s = STOP_S, ABORT_S
    for name, value in said.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(("said", "first", "wanted"), ENDS)
def test_each_end_has_its_signals(said: dict[str, object], first: str, wanted: object) -> None:
    made = manner(said)
    assert [stage[:2] for stage in made.stages(first)] == wanted
    assert made.whole(first) == [*made.stages(first), *made.stages(TERMINATE)]


def test_of_what_is_left_with_mixed_nobody_is_told_before() -> None:
    made = manner({"stop_mode": ABORT})
    assert [stage[0] for stage in made.of_rest("mixed", is_last=True)] == [(SIGKILL,)]
    assert made.of_rest("control-group", is_last=True) == made.stages(TERMINATE)
    assert made.of_rest("control-group", is_last=False) == made.whole(TERMINATE)
