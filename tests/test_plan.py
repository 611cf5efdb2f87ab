"""The plan, exhaustively: for every init, target and request which shape it is, and what --explain says gets lost."""

from importlib import import_module
from itertools import product
from pathlib import Path

import pytest

from cross_init.commands.effects import effects
from cross_init.commands.options import parse
from cross_init.detect import CLUES, IN_TWO, INITS, LATER, PRESENT, TARGETS, init_named, target_named
from cross_init.model import MESSAGE, Init, Target
from cross_init.plan import EXEC, HAND_OVER, SERVE, SUPERVISE, WATCH, choose
from cross_init.request import Request
from tools.make_table import VARIANTS, rows, text

ROOT = Path(__file__).resolve().parent.parent

# Inits that follow the process they started, and can be told from beside it, or not at all; the latter:
UNHEARING = ("daemontools", "supervisord", "circus", "inetd")
ENDING = ("openrc", "sysv", "finit")
BESIDE = ("runit", "dinit", "launchd", *UNHEARING)
# (init, target): the shape with -N. Without it, it is exec for all.
SHAPES = {
    ("none", "systemd"): WATCH,
    ("none", "upstart"): SUPERVISE,
    ("systemd", "systemd"): EXEC,
    ("systemd", "upstart"): HAND_OVER,
    ("upstart", "systemd"): WATCH,
    ("systemd", "s6"): HAND_OVER,
    ("upstart", "upstart"): EXEC,
    ("upstart", "s6"): WATCH,
    ("s6", "systemd"): WATCH,
    ("s6", "upstart"): SUPERVISE,
    ("s6", "s6"): EXEC,
    ("none", "s6"): WATCH,
    ("systemd", "dinit"): HAND_OVER,
    ("none", "dinit"): WATCH,
    ("dinit", "dinit"): EXEC,
    ("container", "systemd"): SUPERVISE,
    ("container", "upstart"): SUPERVISE,
    **{(init, "systemd"): WATCH for init in BESIDE},
    **{(init, "upstart"): SUPERVISE for init in BESIDE},
    **{(init, "s6"): WATCH for init in BESIDE},
    ("shepherd", "systemd"): WATCH,
    ("shepherd", "upstart"): HAND_OVER,
    ("shepherd", "s6"): WATCH,
    ("finit", "systemd"): WATCH,
    ("finit", "upstart"): SUPERVISE,
    ("finit", "s6"): WATCH,
    ("openrc", "systemd"): WATCH,
    ("openrc", "upstart"): HAND_OVER,
    ("openrc", "s6"): WATCH,
    ("sysv", "systemd"): WATCH,
    ("sysv", "upstart"): HAND_OVER,
    ("sysv", "s6"): WATCH,
}
# Options that change nothing of the shape, and whether the daemon then gets something else than what the init passed.
EXTRAS = {
    "": False,
    "--listen=tcp::80": True,
    "--socket=web": True,
    "--all-sockets": True,
    "--wait-for-client": True,
    "--notify-access=all": False,
    "--end-after-ready": False,
}
# (init, target): what -N cannot bring through, by its first words.
LOSSES: dict[tuple[str, str], set[str]] = {
    ("none", "systemd"): {"watchdog", "main PID", "descriptors to keep"},
    ("none", "upstart"): set(),
    ("systemd", "upstart"): set(),
    ("upstart", "systemd"): {"watchdog", "main PID", "descriptors to keep"},
    ("s6", "systemd"): {"watchdog", "main PID", "descriptors to keep"},
    **{(init, "s6"): set() for init in ("none", "systemd", "upstart", "runit", "dinit", *ENDING)},
    ("s6", "upstart"): set(),
    **{(init, "systemd"): {"watchdog", "main PID", "descriptors to keep"} for init in ("runit", "dinit", "finit")},
    **{(init, "upstart"): set() for init in ("runit", "dinit", "finit")},
    **{(init, "dinit"): set() for init in ("none", "systemd")},
    **{(init, "systemd"): {"readiness", "watchdog", "main PID", "descriptors to keep"} for init in UNHEARING},
    **{(init, target): {"readiness"} for init in UNHEARING for target in ("upstart", "s6")},
    # Without --pid-file the Shepherd hears nothing.
    ("shepherd", "systemd"): {"readiness", "watchdog", "main PID", "descriptors to keep"},
    ("shepherd", "upstart"): {"readiness", "what the main process leaves"},
    ("shepherd", "s6"): {"readiness"},
    ("openrc", "systemd"): {"watchdog", "main PID", "descriptors to keep"},
    ("openrc", "upstart"): {"what the main process leaves"},
    ("sysv", "systemd"): {"watchdog", "main PID", "descriptors to keep"},
    ("sysv", "upstart"): {"what the main process leaves"},
}


def request_of(init: str, target: str, *options: str) -> Request:
    return Request(parse(["-t", target, *options, "--", "daemon"]), init_named(init), target_named(target))


def test_the_documented_table_is_what_the_code_decides() -> None:
    assert (ROOT / "docs/compatibility.md").read_text() == text(), "make docs"


def test_every_pair_has_a_shape_and_none_is_forgotten() -> None:
    table = "\n".join(rows())
    variants = sum(len(VARIANTS.get(target, (target,))) for target in TARGETS)
    assert table.count("\n| ") == len(INITS) * (variants + 1)


CASES = [
    (init, target, notify, extra)
    for (init, target), notify, extra in product(SHAPES, (True, False), EXTRAS)
    if notify or extra not in ("--end-after-ready", "--notify-access=all")  # which are turned down without -N
]


@pytest.mark.parametrize(("init", "target", "notify", "extra"), CASES)
def test_the_shape_is_the_cheapest_that_translates(init: str, target: str, notify: bool, extra: str) -> None:
    options = [*(["-N"] if notify else []), *([extra] if extra else [])]
    plan = choose(request_of(init, target, *options))
    assert plan.shape == (SHAPES[init, target] if notify else EXEC)
    assert plan.same == (init == target and not EXTRAS[extra])
    assert plan.reason


@pytest.mark.parametrize(("init", "target"), LOSSES)
def test_with_readiness_translated_the_losses_are_named_one_by_one(init: str, target: str) -> None:
    request = request_of(init, target, "-N")
    said, lost = effects(choose(request), request)
    assert {line.partition(":")[0] for line in lost} == LOSSES[init, target]
    assert all(request.init.called in line for line in lost)
    assert any(line.startswith("readiness: ") for line in said) == ("readiness" not in LOSSES[init, target])


@pytest.mark.parametrize("init", [init for init, target in LOSSES if target == "systemd"])
def test_descriptors_are_kept_in_the_same_shape_where_that_is_asked_for(init: str) -> None:
    request = request_of(init, "systemd", "-N", "--fd-store=5")
    plan = choose(request)
    said, lost = effects(plan, request)
    assert plan.shape == SHAPES[init, "systemd"]
    assert "descriptors to keep: kept here over a restart, 5 at most" in said
    assert {line.partition(":")[0] for line in lost} == LOSSES[init, "systemd"] - {"descriptors to keep"}


@pytest.mark.parametrize(("init", "target"), LOSSES)
def test_without_readiness_that_is_the_loss(init: str, target: str) -> None:
    request = request_of(init, target)
    assert effects(choose(request), request)[1] == ["readiness: not asked for (-N)"]


@pytest.mark.parametrize("name", sorted(set(INITS) & set(TARGETS) - {"inetd"}))  # which has no readiness to pass on
def test_between_equals_nothing_gets_lost(name: str) -> None:
    for options in ([], ["-N"], ["--listen=tcp::80"]):
        request = request_of(name, name, *options)
        said, lost = effects(choose(request), request)
        assert any("talks to the init itself" in line for line in said)
        assert not lost


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("options", [(), ("-N",), ("--supervise",), ("--stop-signal=QUIT",)])
def test_a_daemon_for_one_connection_gets_it_from_us_if_the_init_passes_a_socket_that_listens(
    init: str, options: tuple[str, ...]
) -> None:
    assert choose(request_of(init, "inetd:nowait", *options), True).shape == SERVE
    assert choose(request_of(init, "inetd:wait", *options), True).shape != SERVE
    assert choose(request_of(init, "inetd:nowait", *options), False).shape != SERVE


def test_what_was_never_tried_is_said_so() -> None:
    request = request_of("launchd", "systemd", "-N")
    lost = effects(choose(request), request)[1]
    assert "certainty: launchd was written to its manual, and never tried" in lost
    assert "## On launchd (untested: written to its manual)" in rows()


def test_when_nobody_stays_everything_later_is_lost() -> None:
    request = request_of("upstart", "systemd", "-N", "--end-after-ready")
    said, lost = effects(choose(request), request)
    assert {line.partition(":")[0] for line in lost} == {*request.target.news, "what the main process leaves"}
    assert any("no process of ours remains" in line for line in said)


@pytest.mark.parametrize(("name", "half"), [*((name, Init) for name in INITS), *((name, Target) for name in TARGETS)])
def test_every_name_has_a_file_with_that_half(name: str, half: type) -> None:
    module = import_module(f"cross_init.systems.{IN_TWO.get(name, name) if half is Target else name}")
    found = init_named(name) if half is Init else target_named(VARIANTS.get(name, (name,))[0])
    assert type(found) is getattr(module, half.__name__)
    assert isinstance(found, half)
    assert found.name == name


def test_every_init_but_none_has_a_clue() -> None:
    assert [name for name, _, _ in (*CLUES, *LATER)] == [name for name in INITS if name != "none"]
    assert {name for name, _ in PRESENT} <= set(INITS)


def test_a_start_stop_daemon_that_waits_for_a_message_does_not_follow_a_daemon_that_forks() -> None:
    request = request_of("sysv", "sysv", "-N", "--pid-file=/run/web.pid")
    assert choose(request).shape == EXEC
    request.init.hears = MESSAGE
    assert choose(request).shape == SUPERVISE


@pytest.mark.parametrize("more", ["--ready-timeout=5", "--ready-when=listening"])
def test_what_is_asked_for_beside_what_both_sides_do_is_not_left_out(more: str) -> None:
    for name, shape in (("systemd", HAND_OVER), ("sysv", SUPERVISE), ("s6", SUPERVISE if "timeout" in more else WATCH)):
        request = request_of(name, name, "-N", "--pid-file=/run/web.pid", more)
        assert choose(request).shape == shape, name
