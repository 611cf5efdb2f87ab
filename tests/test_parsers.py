"""Every parser of what comes from outside: whatever that is, it gives something in its bounds, or its own exception.

test_parsers_live.py has those that need a socket, a file or a process to read from.
"""

import os
import re
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cross_init.bounds import PORT_MAX, UINT64_MAX
from cross_init.commands.options import OPTIONS, Options, parse
from cross_init.commands.status import table, understand
from cross_init.detect import INITS, TARGETS, detect, init_named, target_named
from cross_init.errors import Failure, printable
from cross_init.kernel.evidence import Evidence
from cross_init.kernel.linux import Environment
from cross_init.model import DESCRIPTOR, Claim
from cross_init.readiness import sd_notify
from cross_init.readiness.bus import BusName, bus_address
from cross_init.readiness.conditions import KINDS, parse_all
from cross_init.sockets import address as address_of
from cross_init.sockets.passed import Passed, listen_fds
from cross_init.store.client import from_keeper
from cross_init.systems import dinit, openrc, s6, systemd, upstart
from cross_init.systems.s6_programs import unquoted
from cross_init.watch import log
from cross_init.watch.wire import encode
from tests.support.odd import BYTES, NUMBERS, TEXTS, VALUES, WORDS

KEYS = st.sampled_from([*log.NUMBERS, *log.UNSAID, "STATUS", "STOPPING", "RELOADING", "FDSTORE", "X"])
LINES = st.text(st.characters(exclude_characters="\n\r\0", exclude_categories=["Cs"]), max_size=40) | NUMBERS


def failure_of(do: Callable[[], object]) -> object:
    """What this gives, or the Failure that it raises. Nothing else may come out."""
    try:
        return do()
    except Failure as failure:
        found = failure
    assert printable(str(found)).isprintable()
    return found


# The command line.


@given(st.lists(TEXTS | st.sampled_from([*OPTIONS, "-t", "-N", "systemd", "s6:4", "inetd:nowait:5", "--"]), max_size=8))
def test_a_command_line_has_options_within_bounds_or_a_failure(words: list[str]) -> None:
    options = failure_of(lambda: parse(words))
    if isinstance(options, Options):
        assert 0 <= options.fd_store <= 999_999
        assert all(0 <= time <= 999_999_999 for time in (options.ready_timeout, *options.watchdog))
        assert all(0 <= number <= 64 for number in (options.stop_signal, options.reload_signal))
        assert all(0 < sent <= 64 and 0 <= wanted <= 64 for sent, wanted in options.rewrites.items())
        assert all(0 <= code <= 255 for code in options.success)


PLACES = st.tuples(st.sampled_from(["", "web=", "="]), st.sampled_from([*address_of.KINDS, "x"]), WORDS, NUMBERS)


@given(TEXTS | PLACES.map(lambda each: f"{each[0]}{each[1]}:{each[2]}:{each[3]}"))
def test_an_address_is_one_or_a_failure(text: str) -> None:
    address = failure_of(lambda: address_of.parse(text))
    if isinstance(address, address_of.Address):
        assert 0 <= address.port <= PORT_MAX
        assert address.path[:1] in ("", "/", "@")
        address.announced()


@given(st.lists(st.tuples(st.sampled_from([*KINDS, "https", "x"]), TEXTS | PLACES.map("//{0[2]}:{0[3]}/".format))))
def test_a_condition_is_one_or_a_failure(words: list[tuple[str, str]]) -> None:
    texts = [":".join(each) for each in words]
    failure_of(lambda: parse_all(texts, "system", leaves=False))


@given(st.sampled_from(INITS), TEXTS | NUMBERS.map("web={}".format) | NUMBERS.map("fd={}".format))
def test_an_inits_option_is_one_or_a_failure(name: str, option: str) -> None:
    init = failure_of(lambda: init_named(f"{name}:{option}"))
    if name == "circus" and not isinstance(init, Failure):
        assert all(0 <= number < 1 << 31 for _, number in getattr(init, "numbers"))  # noqa: B009 (of one init only)


@given(st.sampled_from(TARGETS), TEXTS | NUMBERS.map("nowait:{}".format) | NUMBERS.map("fd={}".format))
def test_a_targets_option_is_one_or_a_failure(name: str, option: str) -> None:
    target = failure_of(lambda: target_named(f"{name}:{option}"))
    if not isinstance(target, Failure):
        assert getattr(target, "number", None) in (None, *range(3, 1024))
        assert 0 <= getattr(target, "clients_at_a_time") <= 9999  # noqa: B009 (typed as an object)


# The environment.

KNOWN = st.sampled_from(
    [
        *(b"LISTEN_FDS", b"LISTEN_PID", b"LISTEN_FDNAMES", b"NOTIFY_SOCKET", b"WATCHDOG_USEC", b"FDSTORE"),
        *(b"SYSTEMD_EXEC_PID", b"UPSTART_JOB", b"UPSTART_INSTANCE", b"UPSTART_FDS", b"UPSTART_EVENTS", b"PORT"),
        *(b"UPSTART_SESSION", b"S6_FD#", b"S6_FD_0", b"S6_FDID_0", b"DINIT_SERVICE", b"RC_SVCNAME", b"container"),
        *(b"SUPERVISOR_ENABLED", b"SUPERVISOR_PROCESS_NAME", b"XPC_SERVICE_NAME", b"XDG_RUNTIME_DIR"),
        *(b"DBUS_SESSION_BUS_ADDRESS", b"PIPE"),
    ]
)
ENVIRON = st.dictionaries(KNOWN, VALUES, max_size=8)


@given(ENVIRON)
def test_whatever_is_in_the_environment_an_init_is_detected_or_a_failure(environ: Environment) -> None:
    found = failure_of(lambda: detect(Evidence(environ)))
    assert isinstance(found, Failure) or (isinstance(found, tuple) and isinstance(found[1], Claim))


@given(st.sampled_from(INITS), ENVIRON)
def test_every_init_reads_any_environment(name: str, environ: Environment) -> None:
    init, evidence = init_named(name), Evidence(environ)
    if name not in ("inetd", "shepherd"):  # theirs takes care of standard error, which is the suite's own
        init.probe(evidence)
    init.recognise(evidence)
    assert printable(str(init.service(evidence, "command"))).isprintable()
    assert 0 <= init.watchdog_usec(environ) < UINT64_MAX
    assert 0 <= init.fd_store_max(environ) < 1 << 32
    failure_of(lambda: init.sockets(environ | {b"LISTEN_PID": str(os.getpid()).encode()}, os.getpid()))
    failure_of(lambda: init.warnings(environ))
    init.strip(environ)


@given(VALUES, VALUES)
def test_sockets_that_are_announced_are_there_or_it_is_a_failure(count: bytes, names: bytes) -> None:
    passed = failure_of(lambda: listen_fds({b"LISTEN_FDS": count, b"LISTEN_FDNAMES": names}, "systemd"))
    assert isinstance(passed, Failure) or len(as_passed(passed)) == int(count)


def as_passed(found: object) -> list[Passed]:
    assert isinstance(found, list)
    for each in found:
        assert isinstance(each, Passed)
        assert 0 <= each.fd < 1 << 31
        str(each)
    return found


@given(st.lists(VALUES, max_size=3).map(b" ".join))
def test_upstarts_list_is_one_of_descriptors_or_a_failure(fds: bytes) -> None:
    found = failure_of(lambda: upstart.Init().sockets({b"UPSTART_FDS": fds}, os.getpid()))
    assert isinstance(found, Failure) or not as_passed(found) or fds.split()


@given(VALUES, VALUES, VALUES)
@example(b"1", b"4294967296", b"")  # cut to 32 bits it would be standard input
@example(b"1", b"99999999999999999999", b"")
@example(b"1", b"-1", b"")
@example(b"1_0", b"1", b"")
def test_a_dump_of_an_fd_holder_is_sockets_or_a_failure(count: bytes, number: bytes, name: bytes) -> None:
    found = failure_of(lambda: s6.dumped({b"S6_FD#": count, b"S6_FD_0": number, b"S6_FDID_0": name}))
    assert isinstance(found, Failure) or len(as_passed(found)) <= 1


# Not what it would take for one of the suite's own, and close.
@given(TEXTS.filter(lambda text: not re.fullmatch("[0-9]+", text) or int(text[:4000]) > 99999))
def test_dinits_pipe_is_open_or_said_not_to_be(text: str) -> None:
    init = dinit.Init()
    init.configure("var=PIPE")
    assert init.why_unnotified({b"PIPE": text.encode("utf-8", "surrogateescape")})


@given(TEXTS)
def test_openrcs_way_to_wait_is_a_descriptor_or_none(text: str) -> None:
    evidence = Evidence({})
    evidence._parent_name, evidence._parent_words = (
        openrc.SUPERVISOR,
        ["supervise-daemon", "x", "--notify", f"fd:{text}"],
    )
    init = openrc.Init()
    init.probe(evidence)
    assert (init.hears == DESCRIPTOR) == (0 <= init.number < 1 << 31)


@given(st.sampled_from(["system", "session"]) | TEXTS | TEXTS.map("unix:path={}".format), ENVIRON)
def test_the_address_of_a_bus_is_one_or_a_failure(where: str, environ: Environment) -> None:
    assert isinstance(bus_address(where, environ), str)
    name = BusName("dbus:a.b", "a.b", where)
    failure_of(lambda: name.prepare(environ))
    assert not any("\0" in place[1:] for place in name.places)


# What a daemon says.


@given(BYTES)
def test_a_message_is_assignments_or_malformed(message: bytes) -> None:
    try:
        assignments = sd_notify.parse(message)
    except sd_notify.Malformed:
        return
    for key, value in assignments:
        said = log.report(key, value)
        assert said is None or log.printable(said).isprintable()


@given(KEYS, LINES)
def test_what_is_reported_is_printable_and_names_no_number_that_is_none(key: str, value: str) -> None:
    said = log.report(key, value)
    wrong = log.is_no(key, value)
    if said is not None:
        assert log.printable(said).isprintable()
        assert not wrong or wrong in said
    assert bool(wrong) == (key in log.NUMBERS and not is_within(key, value))


def is_within(key: str, value: str) -> bool:
    least, most, _ = log.NUMBERS[key]
    return value.isascii() and value.isdigit() and len(value) <= 32 and least <= int(value) <= most


# What other processes say, and files of others.

NUMBERS_OF = {
    "pid": len,
    **dict.fromkeys(("since", "age", "watchdog_age", "watchdog_limit"), lambda text: len(text) / 3),
}
FIELDS = ("service", "init", "target", "shape", "pid", "state", "since", "age", "waits_for", "status")


@given(
    BYTES
    | st.dictionaries(st.sampled_from([*FIELDS, "watchdog_age", "watchdog_limit"]), LINES).map(
        lambda facts: encode({key: NUMBERS_OF.get(key, str)(value) for key, value in facts.items()})
    )
)
def test_an_answer_is_facts_that_can_be_shown_or_none(said: bytes) -> None:
    facts = understand(said)
    if facts is not None:
        table([{**facts, "bridge": 1, "user": 0}])


@given(WORDS)
def test_an_identifier_loses_its_backslashes(line: str) -> None:
    assert unquoted(line.replace("\\", "\\\\")) == line
    assert len(unquoted(line)) <= len(line)


class Shelf:
    """Where an init keeps descriptors: these texts, each with a descriptor that is 7. See model.DescriptorHolder."""

    room = 255

    def __init__(self, texts: list[str]) -> None:
        self.texts = texts

    def names(self) -> list[str]:
        return self.texts

    def take(self, name: str) -> int:
        return 7

    def put(self, name: str, fd: int) -> None:
        raise NotImplementedError

    def drop(self, name: str) -> None:
        raise NotImplementedError


@settings(max_examples=50)
@given(st.lists(TEXTS | st.tuples(NUMBERS, st.sampled_from(["poll", "keep", "x"]), WORDS).map(":".join)))
def test_what_an_init_has_kept_is_taken_by_its_number_or_left(texts: list[str]) -> None:
    client = SimpleNamespace(descriptor_holder=lambda: Shelf(texts))
    found = from_keeper(client)  # type: ignore[arg-type]
    numbers = [number for _, _, _, number in found]
    assert numbers == sorted(numbers, reverse=True)
    assert all(0 <= number <= UINT64_MAX for number in numbers)


@pytest.mark.parametrize("number", ["1", "18446744073709551614", "999999999999999999"])
def test_a_time_that_systemd_would_take_is_passed_on_as_it_is(number: str) -> None:
    assert systemd.Init().watchdog_usec({b"WATCHDOG_USEC": number.encode()}) == int(number)
